package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
)

const (
	testIssuer   = "https://login.example.com"
	testAudience = "orders"
)

var (
	ecKey      = sync.OnceValue(func() *ecdsa.PrivateKey { return newECKey(elliptic.P256()) })
	otherECKey = sync.OnceValue(func() *ecdsa.PrivateKey { return newECKey(elliptic.P256()) })
	p384Key    = sync.OnceValue(func() *ecdsa.PrivateKey { return newECKey(elliptic.P384()) })
	rsaKey     = sync.OnceValue(func() *rsa.PrivateKey { return newRSAKey(2048) })
	shortKey   = sync.OnceValue(func() *rsa.PrivateKey { return newRSAKey(1024) })
	edKey      = sync.OnceValue(func() ed25519.PrivateKey {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			panic(err)
		}
		return key
	})
)

func newECKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func newRSAKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	// A test of short RSA keys needs one, which Go makes only when told to.
	if err := os.Setenv("GODEBUG", "rsa1024min=0"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

type claims map[string]any

// good returns the claims of a token that is valid now, with changes. A nil value takes a claim away.
func good(changes claims) claims {
	now := time.Now()
	all := claims{"iss": testIssuer, "aud": testAudience, "sub": "ann", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix()}
	for name, value := range changes {
		if value == nil {
			delete(all, name)
			continue
		}
		all[name] = value
	}
	return all
}

// sign makes a token.
func sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, id string, body any, headers ...map[jose.HeaderKey]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if id != "" {
		options.WithHeader("kid", id)
	}
	for _, more := range headers {
		maps.Copy(options.ExtraHeaders, more)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signature.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func goodToken(t testing.TB, changes claims) string {
	t.Helper()
	return sign(t, jose.ES256, ecKey(), "ec", good(changes))
}

// unsigned makes what looks like a token, with any header.
func unsigned(t testing.TB, header, body any, signature string) string {
	t.Helper()
	part := func(value any) string {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return part(header) + "." + part(body) + "." + signature
}

func public(id string, key crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: id, Use: "sig"}
}

func setOf(t testing.TB, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writeFile(t testing.TB, path string, text []byte) {
	t.Helper()
	// In one step, as rotations do it.
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func keyFile(t testing.TB, keys ...jose.JSONWebKey) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	writeFile(t, path, setOf(t, keys...))
	return path
}

func testOptions(keySet string) Options {
	return Options{Issuer: testIssuer, Audience: []string{testAudience, "orders-old"}, KeySet: keySet}
}

// serve returns what a service with one route says.
func serve(a *Authenticator) http.Handler {
	engine := gin.New()
	engine.GET("/", a.Middleware(), func(c *gin.Context) {
		found, _ := ClaimsFrom(c)
		c.String(http.StatusOK, found.Subject)
	})
	engine.GET("/write", a.Middleware(), RequireScope("users:write"), func(c *gin.Context) { c.Status(http.StatusNoContent) })
	return engine
}

func get(handler http.Handler, path string, authorization ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	for _, value := range authorization {
		request.Header.Add("Authorization", value)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}

func newAuthenticator(t testing.TB, options Options) *Authenticator {
	t.Helper()
	a, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func codeOf(t testing.TB, answer *httptest.ResponseRecorder) string {
	t.Helper()
	var document struct {
		Code string `json:"code"`
	}
	if err := json.NewDecoder(bytes.NewReader(answer.Body.Bytes())).Decode(&document); err != nil {
		t.Fatalf("the answer %q is no problem document: %v", answer.Body, err)
	}
	return document.Code
}

// eventually waits until something is true. The limit is for a machine that is very busy.
func eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-limit:
			t.Fatalf("it did not happen within 30 s: %s", what)
		case <-tick.C:
		}
	}
}

func repeat(text string, times int) string { return strings.Repeat(text, times) }
