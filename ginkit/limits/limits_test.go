package limits

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

// serve returns an engine with one route, GET and POST /, behind the middlewares.
func serve(handler gin.HandlerFunc, middlewares ...gin.HandlerFunc) *gin.Engine {
	engine := gin.New()
	engine.Use(middlewares...)
	engine.GET("/", handler)
	engine.POST("/", handler)
	return engine
}

func get(t *testing.T, engine http.Handler) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	engine.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	return answer
}

// wantProblem checks the status, the code and the header Retry-After of an answer.
func wantProblem(t *testing.T, answer *httptest.ResponseRecorder, status int, code, retryAfter string) {
	t.Helper()
	var body struct{ Code string }
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
		t.Fatalf("status %d, and the body %q is no problem: %v", answer.Code, answer.Body, err)
	}
	if answer.Code != status || body.Code != code || answer.Header().Get("Retry-After") != retryAfter {
		t.Errorf("got %d %q with Retry-After %q, want %d %q with %q", answer.Code, body.Code, answer.Header().Get("Retry-After"), status, code, retryAfter)
	}
}

func wantOK(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	if answer.Code != http.StatusOK {
		t.Errorf("got %d %s, want 200", answer.Code, answer.Body)
	}
}

func ok(c *gin.Context) { c.Status(http.StatusOK) }

func TestLimitsThatMakeNoSenseAreRefused(t *testing.T) {
	type made func() (gin.HandlerFunc, error)
	perKey := func(perSecond float64, burst int, key func(*gin.Context) string, opts ...KeyOption) made {
		return func() (gin.HandlerFunc, error) { return RatePerKey(perSecond, burst, key, opts...) }
	}
	concurrency := func(n int, opts ...ConcurrencyOption) made {
		return func() (gin.HandlerFunc, error) { return Concurrency(n, opts...) }
	}
	for name, tc := range map[string]struct {
		make    made
		refused bool
	}{
		"one request at once":            {make: concurrency(1)},
		"no request at once":             {make: concurrency(0), refused: true},
		"a queue":                        {make: concurrency(1, WithQueue(1, time.Second))},
		"a queue of nobody":              {make: concurrency(1, WithQueue(0, 0))},
		"a queue of less than nobody":    {make: concurrency(1, WithQueue(-1, time.Second)), refused: true},
		"a queue without a time to wait": {make: concurrency(1, WithQueue(1, 0)), refused: true},
		"a slow rate":                    {make: func() (gin.HandlerFunc, error) { return Rate(0.001, 1) }},
		"no rate":                        {make: func() (gin.HandlerFunc, error) { return Rate(0, 1) }, refused: true},
		"a rate below none":              {make: func() (gin.HandlerFunc, error) { return Rate(-1, 1) }, refused: true},
		"a rate that is no number":       {make: func() (gin.HandlerFunc, error) { return Rate(math.NaN(), 1) }, refused: true},
		"a rate without an end":          {make: func() (gin.HandlerFunc, error) { return Rate(math.Inf(1), 1) }, refused: true},
		"a rate without a burst":         {make: func() (gin.HandlerFunc, error) { return Rate(1, 0) }, refused: true},
		"a rate for each key":            {make: perKey(1, 1, ByClientIP)},
		"no rate for each key":           {make: perKey(0, 1, ByClientIP), refused: true},
		"a rate for each of no key":      {make: perKey(1, 1, nil), refused: true},
		"no room for a key":              {make: perKey(1, 1, ByClientIP, WithMaxKeys(0)), refused: true},
		"a short time":                   {make: func() (gin.HandlerFunc, error) { return Timeout(1) }},
		"no time":                        {make: func() (gin.HandlerFunc, error) { return Timeout(0) }, refused: true},
		"a byte":                         {make: func() (gin.HandlerFunc, error) { return Body(1) }},
		"no byte":                        {make: func() (gin.HandlerFunc, error) { return Body(0) }, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			middleware, err := tc.make()
			if refused := err != nil; refused != tc.refused {
				t.Errorf("refused: %v (%v), want %v", refused, err, tc.refused)
			}
			if (middleware == nil) != tc.refused {
				t.Errorf("there is a middleware: %v, with the error %v", middleware != nil, err)
			}
			defer func() {
				if panicked := recover() != nil; panicked != tc.refused {
					t.Errorf("Must panicked: %v, want %v", panicked, tc.refused)
				}
			}()
			Must(tc.make())
		})
	}
}

// nobody takes an answer without keeping it.
type nobody struct{ header http.Header }

func (n nobody) Header() http.Header             { return n.header }
func (nobody) Write(text []byte) (int, error)    { return len(text), nil }
func (nobody) WriteHeader(int)                   {}
func (nobody) WriteString(s string) (int, error) { return len(s), nil }

// TestRequestsThatAreLetInCostNoMemory calls the middlewares on contexts made before, because those of Gin's pool come and go with the
// garbage collector, and with the race detector.
func TestRequestsThatAreLetInCostNoMemory(t *testing.T) {
	const runs = 1000
	for name, middleware := range map[string]gin.HandlerFunc{
		"concurrency": Must(Concurrency(1)),
		"rate":        Must(Rate(1, runs+1)),
	} {
		t.Run(name, func(t *testing.T) {
			contexts := make([]*gin.Context, runs+1)
			for i := range contexts {
				contexts[i] = gin.CreateTestContextOnly(nobody{http.Header{}}, gin.New())
			}
			next := 0
			got := testing.AllocsPerRun(runs, func() {
				middleware(contexts[next])
				next++
			})
			if got != 0 {
				t.Errorf("%v allocations for a request, want 0", got)
			}
			if last := contexts[runs]; last.IsAborted() {
				t.Error("the last request was refused: this measured something else")
			}
		})
	}
}

func BenchmarkMiddleware(b *testing.B) {
	for _, bm := range []struct {
		name       string
		middleware gin.HandlerFunc
	}{
		{"none", func(*gin.Context) {}},
		{"Concurrency", Must(Concurrency(1000))},
		{"Rate", Must(Rate(1e9, 1e9))},
		{"RatePerKey", Must(RatePerKey(1e9, 1e9, func(*gin.Context) string { return "key" }))},
		{"RatePerClientIP", Must(RatePerKey(1e9, 1e9, ByClientIP))},
		{"Timeout", Must(Timeout(time.Minute))},
		{"Body", Must(Body(1 << 20))},
		{"RateRefused", Must(Rate(1e-9, 1))},
	} {
		b.Run(bm.name, func(b *testing.B) {
			engine := serve(ok, bm.middleware)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				request := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", http.NoBody)
				answer := nobody{http.Header{}}
				for pb.Next() {
					clear(answer.header)
					engine.ServeHTTP(answer, request)
				}
			})
		})
	}
}
