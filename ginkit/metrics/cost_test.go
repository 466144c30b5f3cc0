package metrics_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/gin-operator/gin-operator/ginkit/metrics"
)

// nowhere is a writer that is used again and again, and keeps nothing.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header       { return w.header }
func (*nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (*nowhere) WriteHeader(int)             {}

// plain has routes of each kind, without anything else that takes time.
func plain() (*gin.Engine, *metrics.Metrics) {
	m := metrics.New()
	engine := gin.New()
	engine.Use(m.Middleware())
	fine := func(c *gin.Context) { c.Status(http.StatusNoContent) }
	engine.GET("/users/:id", fine)
	engine.POST("/users", fine)
	engine.Any("/files/*path", fine)
	return engine, m
}

// How many series there are is settled by the routes, the methods and the statuses: here three routes and none, ten methods, two statuses.
func TestNoClientCanMakeNewSeries(t *testing.T) {
	requests := 1_000_000
	if testing.Short() {
		requests = 50_000
	}
	engine, m := plain()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same numbers each time
	known := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
	paths := []string{"/users/", "/files/", "/", "/users", "//"}
	writer := &nowhere{header: http.Header{}}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	request.URL = &url.URL{}
	send := func(i int) {
		number := strconv.FormatUint(random.Uint64(), 36)
		request.Method = known[i%len(known)]
		if i%4 == 0 {
			request.Method = number
		}
		request.Host, request.URL.Path, request.URL.RawQuery = number, paths[i%len(paths)]+number, number
		engine.ServeHTTP(writer, request)
		clear(writer.header)
	}
	// Every kind of request has been there after a few of them.
	const first = 10_000
	for i := range first {
		send(i)
	}
	before := lines(t, m)
	for i := range requests - first {
		send(i)
	}
	if diff := cmp.Diff(before, lines(t, m)); diff != "" {
		t.Errorf("series (-before +after):\n%s", diff)
	}
	after := counts(t, m)
	total := uint64(0)
	for _, count := range after {
		total += count
	}
	if total != uint64(requests) || len(after) < 10 || len(after) > 30 {
		t.Errorf("%d requests in %d series, want %d in a few", total, len(after), requests)
	}
}

// lines returns the lines of a scrape without their values, but for those of Go and of the process.
func lines(t *testing.T, m *metrics.Metrics) []string {
	t.Helper()
	_, text := scrape(t, m, "text/plain")
	var all []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "http_") {
			all = append(all, line[:strings.LastIndex(line, " ")])
		}
	}
	return all
}

func FuzzNoClientCanMakeNewSeries(f *testing.F) {
	f.Add("GET", "/users/1", "a.example", "X-Route", "/users/:id")
	f.Add("", "", "", "", "")
	f.Add("_OTHER", "/files/../users/1", "unmatched", "Host", "x")
	f.Add("get", "//", "[::1]", "X-Http-Method-Override", "BREW")
	engine, m := plain()
	possible := map[string]bool{}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "_OTHER"} {
		possible[method+" unmatched 404"] = true
		possible[method+" /files/*path 204"] = true
	}
	possible["GET /users/:id 204"], possible["POST /users 204"] = true, true
	f.Fuzz(func(t *testing.T, method, path, host, header, value string) {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		request.Method, request.Host, request.URL = method, host, &url.URL{Path: path, Host: host}
		request.Header[header] = []string{value}
		engine.ServeHTTP(&nowhere{header: http.Header{}}, request)
		for key := range counts(t, m) {
			if !possible[key] {
				t.Fatalf("%s %q made the series %q", method, path, key)
			}
		}
	})
}

func TestTheMiddlewareDoesNotAllocate(t *testing.T) {
	m := metrics.New()
	bare, measured := gin.New(), gin.New()
	measured.Use(m.Middleware())
	for _, engine := range []*gin.Engine{bare, measured} {
		engine.GET("/x", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	}
	for name, ctx := range map[string]trace.TraceFlags{"in a trace that is not kept": 0, "in a trace that is": trace.FlagsSampled} {
		t.Run(name, func(t *testing.T) {
			allocations := func(engine *gin.Engine) float64 {
				// A context of its own, because the engine's pool loses some at random under the race detector.
				c := gin.CreateTestContextOnly(&nowhere{header: http.Header{}}, engine)
				c.Request = httptest.NewRequestWithContext(traced(t, 1, ctx), http.MethodGet, "/x", http.NoBody)
				return testing.AllocsPerRun(10_000, func() { engine.HandleContext(c) })
			}
			// An exemplar allocates, ten times a second: none in the mean, which AllocsPerRun rounds down.
			if without, with := allocations(bare), allocations(measured); with > without {
				t.Errorf("%v allocations a request with metrics, %v without", with, without)
			}
		})
	}
}

func BenchmarkMiddleware(b *testing.B) {
	for name, use := range map[string][]gin.HandlerFunc{"without": nil, "with": {metrics.New().Middleware()}} {
		b.Run(name, func(b *testing.B) {
			engine := gin.New()
			engine.Use(use...)
			engine.GET("/users/:id", func(c *gin.Context) { c.Status(http.StatusNoContent) })
			writer := &nowhere{header: http.Header{}}
			request := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/users/7", http.NoBody)
			b.ReportAllocs()
			for b.Loop() {
				engine.ServeHTTP(writer, request)
			}
		})
	}
}
