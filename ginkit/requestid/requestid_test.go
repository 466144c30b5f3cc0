package requestid_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/requestid"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// ask sends a request with an id, or with none, and returns the id that its handler saw and the one in the answer.
func ask(t *testing.T, id *string) (inside, outside string) {
	t.Helper()
	engine := gin.New()
	engine.Use(requestid.Middleware())
	engine.GET("/", func(c *gin.Context) { inside = requestid.Get(c) })
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	if id != nil {
		request.Header[requestid.Header] = []string{*id}
	}
	recorder := httptest.NewRecorder()
	engine.ServeHTTP(recorder, request)
	return inside, recorder.Header().Get(requestid.Header)
}

var made = regexp.MustCompile(`^[0-9a-f]{32}$`)

func TestAnIDIsKeptOnlyIfItIsOne(t *testing.T) {
	tests := map[string]struct {
		id   string
		want bool
	}{
		"one of another service": {"client-id.1_A", true},
		"a UUID":                 {"6f8c2f6e-2d5b-4d43-9d0a-0d9b3b3e9d11", true},
		"the longest":            {strings.Repeat("x", 128), true},
		"too long":               {strings.Repeat("x", 129), false},
		"empty":                  {"", false},
		"a line break":           {"a\nb", false},
		"a quote":                {`a"b`, false},
		"a space":                {"a b", false},
		"not ASCII":              {"ä", false},
		"a NUL":                  {"a\x00", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			inside, outside := ask(t, &tc.id)
			if inside != outside {
				t.Errorf("the handler sees %q, the client %q", inside, outside)
			}
			if (outside == tc.id) != tc.want || !tc.want && !made.MatchString(outside) {
				t.Errorf("%q became %q, want it kept: %v", tc.id, outside, tc.want)
			}
		})
	}
}

func TestEachRequestWithoutAnIDGetsOneOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		_, id := ask(t, nil)
		if !made.MatchString(id) || seen[id] {
			t.Fatalf("id %q, want 32 hexadecimal digits that are new", id)
		}
		seen[id] = true
	}
}

func TestWithoutTheMiddlewareThereIsNoID(t *testing.T) {
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	if got := requestid.Get(c); got != "" {
		t.Errorf("id %q", got)
	}
}

func FuzzNoIDHarmsALog(f *testing.F) {
	f.Add("a")
	f.Add("a\r\nSet-Cookie: x")
	f.Fuzz(func(t *testing.T, id string) {
		_, got := ask(t, &id)
		if got == "" || len(got) > 128 || strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			t.Fatalf("%q became %q", id, got)
		}
	})
}
