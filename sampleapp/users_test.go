package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/sampleapp/users"
)

// create creates a user where everybody may.
func (a *app) create(t *testing.T, name, email string) users.User {
	t.Helper()
	response := a.send(http.MethodPost, "/api/v1/users", fmt.Sprintf(`{"name":%q,"email":%q}`, name, email), "Content-Type", "application/json")
	if response.Code != http.StatusCreated {
		t.Fatalf("creating %s: status %d: %s", email, response.Code, response.Body)
	}
	var user users.User
	if err := json.Unmarshal(response.Body.Bytes(), &user); err != nil {
		t.Fatal(err)
	}
	if location := response.Header().Get("Location"); location != "/api/v1/users/"+user.ID {
		t.Errorf("Location is %q, want that of user %s", location, user.ID)
	}
	return user
}

func TestUsersAreCreatedAndFoundAgain(t *testing.T) {
	a := newTestApp(t, map[string]string{"AUTH": "none"})
	var created []users.User
	for i := range 5 {
		created = append(created, a.create(t, fmt.Sprintf("Person %d", i), fmt.Sprintf("person%d@example.org", i)))
	}
	response := a.do(http.MethodGet, "/api/v1/users/"+created[2].ID)
	var got users.User
	if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil || response.Code != http.StatusOK {
		t.Fatalf("status %d: %s", response.Code, response.Body)
	}
	if diff := cmp.Diff(created[2], got); diff != "" {
		t.Errorf("user (-created +found):\n%s", diff)
	}

	var listed []users.User
	for target, pages := "/api/v1/users?limit=2", 0; target != ""; pages++ {
		if pages > 3 {
			t.Fatal("the list has no end")
		}
		var p page
		if err := json.Unmarshal(a.do(http.MethodGet, target).Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		listed = append(listed, p.Users...)
		if target = ""; p.Next != "" {
			target = "/api/v1/users?limit=2&after=" + p.Next
		}
	}
	if diff := cmp.Diff(created, listed); diff != "" {
		t.Errorf("list (-created +listed):\n%s", diff)
	}
}

func TestRequestsForUsersThatAreWrong(t *testing.T) {
	const asJSON = "application/json"
	tests := map[string]struct {
		method, target, body string
		wantStatus           int
		wantCode             string
		wantFields           []string
	}{
		"no such user":            {target: "/api/v1/users/0190a1b2-0000-7000-8000-000000000000", wantStatus: 404, wantCode: "user_not_found"},
		"an id that is none":      {target: "/api/v1/users/7", wantStatus: 404, wantCode: "user_not_found"},
		"a page of none":          {target: "/api/v1/users?limit=0", wantStatus: 400, wantCode: "bad_request"},
		"a page without end":      {target: "/api/v1/users?limit=1001", wantStatus: 400, wantCode: "bad_request"},
		"a page after nothing":    {target: "/api/v1/users?after=x", wantStatus: 400, wantCode: "bad_request"},
		"no body":                 {method: "POST", body: ``, wantStatus: 400, wantCode: "invalid_request"},
		"no JSON":                 {method: "POST", body: `name=x`, wantStatus: 400, wantCode: "invalid_request"},
		"half a body":             {method: "POST", body: `{"name":"x"`, wantStatus: 400, wantCode: "invalid_request"},
		"no email":                {method: "POST", body: `{"name":"x"}`, wantStatus: 400, wantCode: "invalid_request", wantFields: []string{"email"}},
		"nothing that is asked":   {method: "POST", body: `{}`, wantStatus: 400, wantCode: "invalid_request", wantFields: []string{"name", "email"}},
		"an email that is none":   {method: "POST", body: `{"name":"x","email":"nobody"}`, wantStatus: 400, wantCode: "invalid_request", wantFields: []string{"email"}},
		"a name that is a number": {method: "POST", body: `{"name":7,"email":"a@example.org"}`, wantStatus: 400, wantCode: "invalid_request", wantFields: []string{"name"}},
		"a name without end": {
			method: "POST", body: `{"name":"` + strings.Repeat("x", 101) + `","email":"a@example.org"}`, wantStatus: 400, wantCode: "invalid_request", wantFields: []string{"name"},
		},
		"a body without end":     {method: "POST", body: `{"name":"` + strings.Repeat("x", maxBody) + `"}`, wantStatus: 413, wantCode: "body_too_large"},
		"an email that is taken": {method: "POST", body: `{"name":"x","email":"TAKEN@example.org"}`, wantStatus: 409, wantCode: "email_taken", wantFields: []string{"email"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			a := newTestApp(t, map[string]string{"AUTH": "none"})
			a.create(t, "First", "taken@example.org")
			if tc.method == "" {
				tc.method = http.MethodGet
			}
			if tc.target == "" {
				tc.target = "/api/v1/users"
			}
			response := a.send(tc.method, tc.target, tc.body, "Content-Type", asJSON)
			got := failureIn(t, response)
			var fields []string
			for _, detail := range got.Details {
				fields = append(fields, detail.Field)
			}
			if response.Code != tc.wantStatus || got.Code != tc.wantCode || !cmp.Equal(fields, tc.wantFields) {
				t.Errorf("status %d, code %q, fields %v; want %d, %q, %v", response.Code, got.Code, fields, tc.wantStatus, tc.wantCode, tc.wantFields)
			}
		})
	}
}

// issuer makes tokens.
type issuer struct {
	key    *ecdsa.PrivateKey
	keySet string // the file with its public key
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, set, 0o600); err != nil {
		t.Fatal(err)
	}
	return &issuer{key: key, keySet: file}
}

// env lets a service take this issuer's tokens.
func (i *issuer) env() map[string]string {
	return map[string]string{"AUTH_KEY_SET": i.keySet, "AUTH_ISSUER": "https://issuer.example", "AUTH_AUDIENCE": "users"}
}

func (i *issuer) token(t *testing.T, scope string, lasts time.Duration) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: "https://issuer.example", Audience: jwt.Audience{"users"}, Subject: "someone", Expiry: jwt.NewNumericDate(time.Now().Add(lasts)),
	}).Claims(map[string]any{"scope": scope}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestWhoMayWrite(t *testing.T) {
	issuer, other := newIssuer(t), newIssuer(t)
	tests := map[string]struct {
		env        map[string]string
		token      string
		wantStatus int
		wantCode   string
	}{
		"nobody, where nothing says who":  {wantStatus: 403, wantCode: "writes_off"},
		"everybody, where that is said":   {env: map[string]string{"AUTH": "none"}, wantStatus: 201},
		"not without a token":             {env: issuer.env(), wantStatus: 401, wantCode: "unauthenticated"},
		"who has the scope":               {env: issuer.env(), token: issuer.token(t, "users:read users:write", time.Hour), wantStatus: 201},
		"not who lacks the scope":         {env: issuer.env(), token: issuer.token(t, "users:read", time.Hour), wantStatus: 403, wantCode: "insufficient_scope"},
		"not with a token of yesterday":   {env: issuer.env(), token: issuer.token(t, "users:write", -24*time.Hour), wantStatus: 401, wantCode: "unauthenticated"},
		"not with a token of another":     {env: issuer.env(), token: other.token(t, "users:write", time.Hour), wantStatus: 401, wantCode: "unauthenticated"},
		"not with something like a token": {env: issuer.env(), token: "a.b.c", wantStatus: 401, wantCode: "unauthenticated"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			a := newTestApp(t, tc.env)
			headers := []string{"Content-Type", "application/json"}
			if tc.token != "" {
				headers = append(headers, "Authorization", "Bearer "+tc.token)
			}
			response := a.send(http.MethodPost, "/api/v1/users", `{"name":"x","email":"x@example.org"}`, headers...)
			if response.Code != tc.wantStatus {
				t.Fatalf("status %d, want %d: %s", response.Code, tc.wantStatus, response.Body)
			}
			if tc.wantCode != "" && failureIn(t, response).Code != tc.wantCode {
				t.Errorf("answer %s, want code %q", response.Body, tc.wantCode)
			}
			if got := a.do(http.MethodGet, "/api/v1/users").Code; got != http.StatusOK {
				t.Errorf("reading: status %d", got)
			}
		})
	}
}
