package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// encode writes a part of a token.
func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// sign signs claims with a key that the service doesn't know, or doesn't know as such.
func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, options *jose.SignerOptions, claims string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// forgeries are values of the header Authorization that nobody may write with.
func (a *attacked) forgeries(t *testing.T) map[string]string {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(own.Public())
	if err != nil {
		t.Fatal(err)
	}
	keySet, err := os.ReadFile(a.keySet)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	claims := fmt.Sprintf(`{"iss":"https://issuer.example","aud":"users","sub":"eve","scope":"users:write","exp":%d,"iat":%d}`, now+3600, now)
	parts := strings.Split(a.token, ".")
	head, body, signature := parts[0], parts[1], parts[2]
	named := (&jose.SignerOptions{}).WithHeader("kid", "k1")
	return map[string]string{
		"nothing":                        "",
		"a scheme alone":                 "Bearer",
		"an empty token":                 "Bearer ",
		"another scheme":                 "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:admin")),
		"a good token without scheme":    a.token,
		"a good token in another scheme": "Token " + a.token,
		"two tokens in one":              "Bearer " + a.token + ", Bearer " + a.token,
		"a token and more":               "Bearer " + a.token + " x",
		"dots":                           "Bearer ..",
		"many dots":                      "Bearer " + strings.Repeat(".", 8000),
		"five parts":                     "Bearer " + a.token + ".." + signature,
		"two parts":                      "Bearer " + head + "." + body,
		"no signature":                   "Bearer " + head + "." + body + ".",
		"half a signature":               "Bearer " + head + "." + body + "." + signature[:len(signature)/2],
		"a signature of zeros":           "Bearer " + head + "." + body + "." + encode(strings.Repeat("\x00", 64)),
		"another's claims":               "Bearer " + head + "." + encode(claims) + "." + signature,
		"no algorithm":                   "Bearer " + encode(`{"alg":"none"}`) + "." + encode(claims) + ".",
		"no algorithm, in capitals":      "Bearer " + encode(`{"alg":"NONE","kid":"k1"}`) + "." + encode(claims) + ".",
		"no algorithm, signed":           "Bearer " + encode(`{"alg":"none","kid":"k1"}`) + "." + body + "." + signature,
		"the key set as a secret":        "Bearer " + sign(t, jose.HS256, keySet, named, claims),
		"a public key as a secret":       "Bearer " + sign(t, jose.HS256, public, named, claims),
		"a key of one's own":             "Bearer " + sign(t, jose.ES256, own, named, claims),
		"a key in the token":             "Bearer " + sign(t, jose.ES256, own, &jose.SignerOptions{EmbedJWK: true}, claims),
		"a key elsewhere":                "Bearer " + sign(t, jose.ES256, own, (&jose.SignerOptions{}).WithHeader("jku", "http://"+a.at+"/"), claims),
		"a key that is a file":           "Bearer " + sign(t, jose.ES256, own, (&jose.SignerOptions{}).WithHeader("kid", "../../../dev/null"), claims),
		"an extension that is critical":  "Bearer " + encode(`{"alg":"ES256","kid":"k1","crit":["x"],"x":1}`) + "." + body + "." + signature,
		"no JSON":                        "Bearer " + encode("}{") + "." + encode("}{") + "." + signature,
		"JSON that is deep":              "Bearer " + encode(strings.Repeat(`{"a":`, 5000)) + "." + body + "." + signature,
		"claims that are a list":         "Bearer " + sign(t, jose.ES256, own, named, `[]`),
		"bytes":                          "Bearer \xff\xfe\x80",
		"what looks like a statement":    "Bearer ' or 1=1 --",
		"long":                           "Bearer " + strings.Repeat("a", 60_000),
		"long, with parts":               "Bearer " + head + "." + strings.Repeat("a", 55_000) + "." + signature,
	}
}

func (a *attacked) badTokens(t *testing.T) {
	send := func(name string, headers ...string) answer {
		return ask(t, a.at, message(http.MethodPost, "/api/v1/users", newUser("eve-"+fmt.Sprintf("%x", name)), headers...))
	}
	for name, forgery := range a.forgeries(t) {
		var headers []string
		if forgery != "" {
			headers = []string{"Authorization", forgery}
		}
		if got := send(name, headers...); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, headers := range map[string][]string{
		"two headers, the second good": {"Authorization", "Bearer x", "Authorization", "Bearer " + a.token},
		"two headers, the first good":  {"Authorization", "Bearer " + a.token, "Authorization", "Bearer x"},
		"another header":               {"X-Authorization", "Bearer " + a.token, "Cookie", "token=" + a.token},
	} {
		if got := send(name, headers...); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := ask(t, a.at, message(http.MethodPost, "/api/v1/users?access_token="+a.token, newUser("eve"))); got.status != http.StatusUnauthorized {
		t.Errorf("a good token in the query: %s", got)
	}
	if got := send("good", "Authorization", "Bearer "+a.token); got.status != http.StatusCreated {
		t.Errorf("a good token: %s", got)
	}
}
