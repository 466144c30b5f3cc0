package tracing_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/tracing"
)

// nowhere is an answer that is thrown away, without allocations.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header       { return n.header }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}

func engineWith(middleware gin.HandlerFunc) *gin.Engine {
	engine := gin.New()
	if middleware != nil {
		engine.Use(middleware)
	}
	engine.GET("/users/:id", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	return engine
}

func incoming(headers ...string) *http.Request {
	request := httptest.NewRequest(http.MethodGet, "/users/7", http.NoBody)
	for name, text := range pairs(headers) {
		request.Header.Set(name, text)
	}
	return request
}

func TestWithoutTracingNothingIsAllocated(t *testing.T) {
	off, err := tracing.New(tracing.Options{Local: true, Lookup: lookupIn(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if off.Middleware() != nil {
		t.Error("there is a middleware")
	}
	// Without an engine, whose pool is another matter.
	propagate, c := tracing.Propagate(), &gin.Context{Request: incoming("User-Agent", "test")}
	if got := testing.AllocsPerRun(1000, func() { propagate(c) }); got != 0 {
		t.Errorf("%v allocations for a request, want none", got)
	}
	response := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	transport := off.Transport(roundTripper(func(*http.Request) (*http.Response, error) { return response, nil }))
	request := get(t.Context(), t, "http://next/")
	if got := testing.AllocsPerRun(1000, func() { _, _ = transport.RoundTrip(request) }); got != 0 { //nolint:bodyclose // there is none
		t.Errorf("%v allocations for a call, want none", got)
	}
}

// BenchmarkMiddleware is what a request costs, with Gin's own share, which is all of "off".
func BenchmarkMiddleware(b *testing.B) {
	to := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer to.Close()
	on, _ := start(b, to.URL)
	unsampled, _ := start(b, to.URL, "OTEL_TRACES_SAMPLER", "always_off")
	for _, bench := range []struct {
		name       string
		middleware gin.HandlerFunc
		headers    []string
	}{
		{"off", nil, nil},
		{"propagate/without a trace", tracing.Propagate(), nil},
		{"propagate/with a trace", tracing.Propagate(), []string{"Traceparent", traceparent}},
		{"propagate/with a trace and baggage", tracing.Propagate(), []string{"Traceparent", traceparent, "Baggage", "tenant=7"}},
		{"on/not sampled", unsampled.Middleware(), nil},
		{"on/sampled", on.Middleware(), nil},
		{"on/sampled, with a trace", on.Middleware(), []string{"Traceparent", traceparent}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			engine, request, w := engineWith(bench.middleware), incoming(bench.headers...), nowhere{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				engine.ServeHTTP(w, request)
			}
		})
	}
}

func BenchmarkTransport(b *testing.B) {
	to := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer to.Close()
	on, _ := start(b, to.URL)
	response := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	next := roundTripper(func(*http.Request) (*http.Response, error) { return response, nil })
	for _, bench := range []struct {
		name      string
		transport http.RoundTripper
		request   *http.Request
	}{
		{"off/without a trace", (*tracing.Tracing)(nil).Transport(next), get(b.Context(), b, "http://next/a?b=c")},
		{"off/with a trace", (*tracing.Tracing)(nil).Transport(next), get(parentContext(b), b, "http://next/a?b=c")},
		{"on", on.Transport(next), get(parentContext(b), b, "http://next/a?b=c")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bench.transport.RoundTrip(bench.request); err != nil { //nolint:bodyclose // there is none
					b.Fatal(err)
				}
			}
		})
	}
}
