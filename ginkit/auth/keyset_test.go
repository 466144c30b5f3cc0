package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestNewRefusesWhatIsHalfConfigured(t *testing.T) {
	fileOf := func(text string) string {
		path := filepath.Join(t.TempDir(), "keys.json")
		writeFile(t, path, []byte(text))
		return path
	}
	keys := testKeys(t)
	encryption := public("enc", ecKey())
	encryption.Use = "enc"
	onlySigns, err := json.Marshal(public("ops", ecKey()))
	if err != nil {
		t.Fatal(err)
	}
	onlySigns = bytes.Replace(onlySigns, []byte(`"use":"sig"`), []byte(`"key_ops":["sign"]`), 1)
	for name, tc := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"no issuer":                  {func(o *Options) { o.Issuer = "" }, []string{"Issuer", "claim iss"}},
		"no audience":                {func(o *Options) { o.Audience = nil }, []string{"Audience", "claim aud"}},
		"an empty audience":          {func(o *Options) { o.Audience = []string{"a", ""} }, []string{"Audience"}},
		"no key set":                 {func(o *Options) { o.KeySet = "" }, []string{"KeySet is not set", "jwks.json"}},
		"everything at once":         {func(o *Options) { *o = Options{} }, []string{"Issuer", "Audience", "KeySet"}},
		"a negative leeway":          {func(o *Options) { o.Leeway = -1 }, []string{"Leeway"}},
		"a leeway of an hour":        {func(o *Options) { o.Leeway = time.Hour }, []string{"Leeway", "10m"}},
		"a refresh without a pause":  {func(o *Options) { o.Refresh = time.Millisecond }, []string{"Refresh", "15m"}},
		"a realm that ends its text": {func(o *Options) { o.Realm = `a"b` }, []string{"Realm"}},
		"HS256":                      {func(o *Options) { o.Algorithms = []string{"RS256", "HS256"} }, []string{"Algorithms", `"HS256"`, "ES256"}},
		"alg none":                   {func(o *Options) { o.Algorithms = []string{"none"} }, []string{"Algorithms", `"none"`}},
		"no such file":               {func(o *Options) { o.KeySet = "/nowhere/keys.json" }, []string{"KeySet /nowhere/keys.json", "jwks_uri"}},
		"a directory":                {func(o *Options) { o.KeySet = t.TempDir() }, []string{"KeySet", "can't be read"}},
		"a pipe": {func(o *Options) {
			o.KeySet = filepath.Join(t.TempDir(), "keys.json")
			if err := syscall.Mkfifo(o.KeySet, 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"KeySet", "no regular file"}},
		"an empty file":      {func(o *Options) { o.KeySet = fileOf(" \n") }, []string{"KeySet", "is empty"}},
		"a PEM file":         {func(o *Options) { o.KeySet = fileOf("-----BEGIN PUBLIC KEY-----") }, []string{"KeySet", "not a JSON Web Key Set"}},
		"a list":             {func(o *Options) { o.KeySet = fileOf("[]") }, []string{"KeySet", "not a JSON Web Key Set"}},
		"half a file":        {func(o *Options) { o.KeySet = fileOf(`{"keys":[`) }, []string{"KeySet", "not a JSON Web Key Set"}},
		"no keys":            {func(o *Options) { o.KeySet = fileOf(`{"keys":[]}`) }, []string{"KeySet", "no keys"}},
		"a key and no set":   {func(o *Options) { o.KeySet = fileOf(`{"kty":"EC"}`) }, []string{"KeySet", "no keys"}},
		"keys that are none": {func(o *Options) { o.KeySet = fileOf(`{"keys":[null,7,{}]}`) }, []string{"key 1 is not an object", "key 2 is not", "key 3 can't be used"}},
		"more than 1 MiB":    {func(o *Options) { o.KeySet = fileOf(repeat(" ", 1<<20+1)) }, []string{"KeySet", "more than 1048576 bytes"}},
		"a private key": {func(o *Options) {
			o.KeySet = keyFile(t, public("ec", ecKey()), jose.JSONWebKey{Key: rsaKey(), KeyID: "x"})
		}, []string{`key 2 (kid "x")`, "private"}},
		"a symmetric key": {func(o *Options) {
			o.KeySet = keyFile(t, public("ec", ecKey()), jose.JSONWebKey{Key: []byte("k"), KeyID: "x"})
		}, []string{`kid "x"`, "symmetric"}},
		"a symmetric key without one": {func(o *Options) { o.KeySet = fileOf(`{"keys":[{"kty":"oct","kid":"x"}]}`) }, []string{`kid "x"`, "symmetric"}},
		"only a key for encryption":   {func(o *Options) { o.KeySet = keyFile(t, encryption) }, []string{"no public key", `"enc"`}},
		"only a key that signs":       {func(o *Options) { o.KeySet = fileOf(`{"keys":[` + string(onlySigns) + `]}`) }, []string{"no public key", "not for verifying"}},
		"only a short key":            {func(o *Options) { o.KeySet = keyFile(t, public("short", shortKey())) }, []string{"no public key", "2048 bits"}},
		"only keys of other kinds":    {func(o *Options) { o.Algorithms = []string{"RS256"}; o.KeySet = keyFile(t, public("ec", ecKey())) }, []string{"no public key that can verify RS256"}},
		"another scheme":              {func(o *Options) { o.KeySet = "ftp://example.com/keys" }, []string{"KeySet ftp://example.com/keys", "http"}},
		"a URL without a host":        {func(o *Options) { o.KeySet = "https:///keys" }, []string{"KeySet", "a host"}},
		"a URL that is none":          {func(o *Options) { o.KeySet = "https://user:pass word@%zz" }, []string{"KeySet", "not a URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			options := testOptions(keys)
			tc.change(&options)
			a, err := New(t.Context(), options)
			if err == nil || a != nil {
				t.Fatal("it starts")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestKeysOfNoUseAreLeftOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	text, err := json.Marshal(public("ec", ecKey()))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, []byte(`{"keys":[{"kty":"OKP","crv":"X25519","x":"AA"},{"kty":"new"},{"kty":"EC","crv":"P-256"},`+string(text)+`]}`))
	if got := get(serve(newAuthenticator(t, testOptions(path))), "/", "Bearer "+goodToken(t, nil)).Code; got != http.StatusOK {
		t.Errorf("status %d, want 200", got)
	}
}

func TestNewRefusesAKeySetItCannotFetch(t *testing.T) {
	ok := setOf(t, public("ec", ecKey()))
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"status 500":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "status 500"},
		"status 204":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "status 204"},
		"a page":          {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "not a JSON Web Key Set"},
		"more than 1 MiB": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte(" "), 2<<20)) }, "more than 1048576 bytes"},
		"half of it": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(ok)
		}, "can't be read"},
		"a circle":      {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, "more than 3 redirects"},
		"nothing, ever": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tc.answer)
			defer server.Close()
			timing := defaultTiming
			if name == "nothing, ever" {
				timing.timeout = 50 * time.Millisecond
			}
			options := testOptions(strings.Replace(server.URL, "://", "://user:sesame@", 1))
			_, err := start(t.Context(), options, timing)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "KeySet") {
				t.Errorf("the error is %v, want one about KeySet that says %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Errorf("the error gives the password away: %v", err)
			}
		})
	}
}

func TestARedirectMustNotLeaveTLS(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(setOf(t, public("ec", ecKey()))) }))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer secure.Close()
	options := testOptions(secure.URL)
	options.HTTPClient = secure.Client()
	if _, err := New(t.Context(), options); err == nil || !strings.Contains(err.Error(), "redirect from https") {
		t.Errorf("the error is %v, want one about the redirect", err)
	}
}

// quick makes tests short without a word on how fast anything must be.
func quick() timing {
	fast := defaultTiming
	fast.poll, fast.retry, fast.pause, fast.patience = 5*time.Millisecond, 5*time.Millisecond, time.Hour, 30*time.Second
	return fast
}

func TestARotatedFileIsFollowed(t *testing.T) {
	path := keyFile(t, public("ec", ecKey()))
	a, err := start(t.Context(), testOptions(path), quick())
	if err != nil {
		t.Fatal(err)
	}
	handler := serve(a)
	before, after := "Bearer "+goodToken(t, nil), "Bearer "+sign(t, jose.ES256, otherECKey(), "new", good(nil))
	status := func(token string) int { return get(handler, "/", token).Code }
	if status(before) != http.StatusOK || status(after) != http.StatusUnauthorized {
		t.Fatal("at the start the old key must be good and the new one not")
	}
	writeFile(t, path, setOf(t, public("ec", ecKey()), public("new", otherECKey())))
	eventually(t, "both keys are good", func() bool { return status(before) == http.StatusOK && status(after) == http.StatusOK })
	writeFile(t, path, setOf(t, public("new", otherECKey())))
	eventually(t, "only the new key is good", func() bool { return status(before) == http.StatusUnauthorized && status(after) == http.StatusOK })
}

func TestABadFileKeepsTheLastGoodSet(t *testing.T) {
	log := &lines{}
	path := keyFile(t, public("ec", ecKey()))
	options := testOptions(path)
	options.Log = slog.New(slog.NewTextHandler(log, nil))
	a, err := start(t.Context(), options, quick())
	if err != nil {
		t.Fatal(err)
	}
	handler, token := serve(a), "Bearer "+goodToken(t, nil)
	for _, bad := range [][]byte{nil, []byte(`{"keys":[`), setOf(t, jose.JSONWebKey{Key: ecKey(), KeyID: "ec"})} {
		seen := log.count("keeping the last good key set")
		writeFile(t, path, bad)
		eventually(t, "the bad file is noticed", func() bool { return log.count("keeping the last good key set") > seen })
		if got := get(handler, "/", token).Code; got != http.StatusOK {
			t.Fatalf("with the file %.20q: status %d, want 200", bad, got)
		}
	}
	writeFile(t, path, setOf(t, public("ec", ecKey())))
	eventually(t, "the good file is noticed", func() bool { return log.count("works again") == 1 })
}

func TestAURLThatDiesAndComesBack(t *testing.T) {
	var set atomic.Pointer[[]byte]
	var dead atomic.Bool
	var failures atomic.Int64
	first := setOf(t, public("ec", ecKey()))
	set.Store(&first)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if dead.Load() {
			failures.Add(1)
			// The connection ends without an answer.
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(*set.Load())
	}))
	defer server.Close()
	options, fast := testOptions(server.URL), quick()
	options.Refresh = time.Second
	a, err := start(t.Context(), options, fast)
	if err != nil {
		t.Fatal(err)
	}
	handler, old := serve(a), "Bearer "+goodToken(t, nil)
	dead.Store(true)
	eventually(t, "several readings fail", func() bool { return failures.Load() > 3 })
	if got := get(handler, "/", old).Code; got != http.StatusOK {
		t.Errorf("while the URL is dead: status %d, want 200", got)
	}
	second := setOf(t, public("new", otherECKey()))
	set.Store(&second)
	dead.Store(false)
	fresh := "Bearer " + sign(t, jose.ES256, otherECKey(), "new", good(nil))
	eventually(t, "the new key is good and the old one is not", func() bool {
		return get(handler, "/", fresh).Code == http.StatusOK && get(handler, "/", old).Code == http.StatusUnauthorized
	})
}

func TestAStormOfUnknownKeysReadsTheSetOnce(t *testing.T) {
	var fetches atomic.Int64
	var rotated atomic.Bool
	old, both := setOf(t, public("ec", ecKey())), setOf(t, public("ec", ecKey()), public("new", otherECKey()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		if rotated.Load() {
			_, _ = w.Write(both)
			return
		}
		_, _ = w.Write(old)
	}))
	defer server.Close()
	clock := &manualClock{now: time.Now()}
	timing := defaultTiming
	timing.now, timing.patience = clock.Now, 30*time.Second
	options := testOptions(server.URL)
	options.Refresh = time.Hour
	a, err := start(t.Context(), options, timing)
	if err != nil {
		t.Fatal(err)
	}
	handler := serve(a)
	unknown, fresh := "Bearer "+sign(t, jose.ES256, otherECKey(), "no-such-key", good(nil)), "Bearer "+sign(t, jose.ES256, otherECKey(), "new", good(nil))
	storm := func() {
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				for range 10 {
					if got := get(handler, "/", unknown).Code; got != http.StatusUnauthorized {
						t.Errorf("status %d, want 401", got)
					}
				}
			})
		}
		wait.Wait()
	}
	storm()
	if got := fetches.Load(); got != 1 {
		t.Fatalf("%d readings right after the start, want only that of the start", got)
	}
	clock.add(11 * time.Second)
	storm()
	if got := fetches.Load(); got != 2 {
		t.Fatalf("%d readings 11 s after the start, want 2", got)
	}
	rotated.Store(true)
	if got := get(handler, "/", fresh).Code; got != http.StatusUnauthorized {
		t.Errorf("within 10 s of the last reading: status %d, want 401", got)
	}
	clock.add(11 * time.Second)
	if got := get(handler, "/", fresh).Code; got != http.StatusOK {
		t.Errorf("the first token with the new key: status %d, want 200", got)
	}
	clock.add(11 * time.Second)
	for name, hopeless := range map[string]string{
		"expired":        sign(t, jose.ES256, otherECKey(), "x", good(claims{"exp": 1})),
		"another issuer": sign(t, jose.ES256, otherECKey(), "x", good(claims{"iss": "x"})),
		"no kid":         sign(t, jose.ES256, otherECKey(), "", good(nil)),
		"a known kid":    sign(t, jose.RS256, rsaKey(), "ec", good(nil)),
	} {
		get(handler, "/", "Bearer "+hopeless)
		if got := fetches.Load(); got != 3 {
			t.Fatalf("%s: %d readings, want 3: a token that new keys can't help must cause none", name, got)
		}
	}
}

func TestARequestDoesNotWaitForASlowKeySet(t *testing.T) {
	var slow atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slow.Load() {
			<-r.Context().Done()
			return
		}
		_, _ = w.Write(setOf(t, public("ec", ecKey())))
	}))
	defer server.Close()
	timing := defaultTiming
	// The reading would take an hour: that the test ends is what it shows.
	timing.timeout, timing.pause, timing.patience = time.Hour, 0, 10*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a, err := start(ctx, testOptions(server.URL), timing)
	if err != nil {
		t.Fatal(err)
	}
	slow.Store(true)
	handler := serve(a)
	if got := get(handler, "/", "Bearer "+sign(t, jose.ES256, otherECKey(), "new", good(nil))).Code; got != http.StatusUnauthorized {
		t.Errorf("an unknown key: status %d, want 401", got)
	}
	if got := get(handler, "/", "Bearer "+goodToken(t, nil)).Code; got != http.StatusOK {
		t.Errorf("a known key while the set is read: status %d, want 200", got)
	}
	cancel()
	<-a.keys.stopped
	a.keys.timing.patience = time.Hour
	if got := get(handler, "/", "Bearer "+sign(t, jose.ES256, otherECKey(), "new", good(nil))).Code; got != http.StatusUnauthorized {
		t.Errorf("an unknown key after the end: status %d, want 401", got)
	}
	if got := get(handler, "/", "Bearer "+goodToken(t, nil)).Code; got != http.StatusOK {
		t.Errorf("a known key after the end: status %d, want 200", got)
	}
}

func TestAFileThatIsGoneAtTheStart(t *testing.T) {
	path := keyFile(t, public("ec", ecKey()))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), testOptions(path)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("the error is %v, want one that names the file", err)
	}
}

// manualClock moves only when told to.
type manualClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// lines is a log that several goroutines write.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}
