package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
)

func TestRequestsAreCountedByTemplateMethodAndStatus(t *testing.T) {
	a := newTestApp(t, nil)
	a.engine.GET("/users/:id", a.metrics.middleware, func(c *gin.Context) { c.Status(http.StatusOK) })
	a.metrics.addRoutes(a.engine.Routes())
	for _, target := range []string{"/users/1", "/users/2", "/api/v1/ping", "/api/v1/load/error?code=503", "/livez", "/metrics"} {
		a.do(http.MethodGet, target)
	}
	want := map[string]uint64{"GET /users/:id 200": 2, "GET /api/v1/ping 200": 1, "GET /api/v1/load/error 503": 1}
	if diff := cmp.Diff(want, a.series(t)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestNoClientCanMakeNewSeries(t *testing.T) {
	a := newTestApp(t, nil)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same numbers each time
	known := []string{"GET", "POST", "DELETE"}
	for i := range 10_000 {
		method := fmt.Sprintf("M%d", random.Uint32())
		if i%2 == 0 {
			method = known[i%len(known)]
		}
		a.do(method, fmt.Sprintf("http://host%d.example/%d/%d", random.Uint32(), random.Uint32(), i))
	}
	a.do("BREW", "/api/v1/ping")
	series := a.series(t)
	want := map[string]bool{"GET unmatched 404": true, "POST unmatched 404": true, "DELETE unmatched 404": true, "_OTHER unmatched 404": true, "_OTHER unmatched 405": true}
	total := uint64(0)
	for key, count := range series {
		if !want[key] {
			t.Errorf("unexpected series %q", key)
		}
		total += count
	}
	if len(series) != len(want) || total != 10_001 {
		t.Errorf("%d requests in %d series, want 10001 in %d", total, len(series), len(want))
	}
}

func TestStatusCodesThatDoNotExistShareASeries(t *testing.T) {
	a := newTestApp(t, nil)
	for _, status := range []int{99, 600, 999, 599, 100} {
		a.metrics.series("", methodIndex("GET"), status).Observe(0.1)
	}
	want := map[string]uint64{"GET unmatched other": 3, "GET unmatched 599": 1, "GET unmatched 100": 1}
	if diff := cmp.Diff(want, a.series(t)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestConcurrentFirstRequestsAreAllCounted(t *testing.T) {
	a := newTestApp(t, nil)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 200 {
				a.do(http.MethodGet, "/api/v1/ping")
				a.do(http.MethodPost, "/nowhere")
			}
		})
	}
	clients.Wait()
	want := map[string]uint64{"GET /api/v1/ping 200": 1600, "POST unmatched 404": 1600}
	if diff := cmp.Diff(want, a.series(t)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if active := a.activeRequests(t); active != 0 {
		t.Errorf("%v requests are active at rest", active)
	}
}

func TestMetricsMiddlewareDoesNotAllocate(t *testing.T) {
	a := newTestApp(t, nil)
	bare, measured := gin.New(), gin.New()
	measured.Use(a.metrics.middleware)
	for _, engine := range []*gin.Engine{bare, measured} {
		engine.GET("/x", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	}
	a.metrics.addRoutes(measured.Routes())
	allocations := func(engine *gin.Engine) float64 {
		// A context of its own, because the engine's pool loses some at random under the race detector.
		c := gin.CreateTestContextOnly(httptest.NewRecorder(), engine)
		c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", http.NoBody)
		return testing.AllocsPerRun(1000, func() { engine.HandleContext(c) })
	}
	if without, with := allocations(bare), allocations(measured); with > without {
		t.Errorf("%v allocations a request with metrics, %v without", with, without)
	}
}

func TestMetricsAreServedInTextForm(t *testing.T) {
	a := newTestApp(t, nil)
	a.do(http.MethodGet, "/api/v1/ping")
	body := a.do(http.MethodGet, "/metrics").Body.String()
	for _, want := range []string{
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/api/v1/ping"} 1`,
		`http_server_active_requests{http_request_method="GET"} 0`,
		`app_build_info{color="blue",goversion="go`,
		"go_goroutines ", "process_cpu_seconds_total ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

func TestWhichRequestsAreLogged(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		want []string
	}{
		"problems only, by default": {
			env:  map[string]string{"SLOW_REQUEST": "20ms"},
			want: []string{"ERROR GET /api/v1/load/error 503", "WARN GET /api/v1/load/sleep 200"},
		},
		"all of them": {
			env:  map[string]string{"LOG_REQUESTS": "all", "SLOW_REQUEST": "20ms"},
			want: []string{"INFO GET /api/v1/ping 200", "INFO GET unmatched 404", "ERROR GET /api/v1/load/error 503", "WARN GET /api/v1/load/sleep 200"},
		},
		"none":                   {env: map[string]string{"LOG_REQUESTS": "none", "SLOW_REQUEST": "20ms"}},
		"problems above a level": {env: map[string]string{"LOG_LEVEL": "error", "SLOW_REQUEST": "20ms"}, want: []string{"ERROR GET /api/v1/load/error 503"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			a := newTestApp(t, tc.env)
			for _, target := range []string{"/livez", "/api/v1/ping", "/nowhere", "/api/v1/load/error?code=503", "/api/v1/load/sleep?ms=30"} {
				a.do(http.MethodGet, target, requestIDHeader, "the-id")
			}
			var got []string
			for _, line := range a.logLines(t) {
				got = append(got, fmt.Sprintf("%v %v %v %v", line["level"], line["method"], line["route"], line["status"]))
				if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(line["timestamp"])); err != nil {
					t.Errorf("timestamp: %v", err)
				}
				if line["message"] != "request" || line["requestId"] != "the-id" || line["latencyMs"] == nil {
					t.Errorf("line %v lacks the message, the request's id or the latency", line)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("logged (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFloodOfProblemsDoesNotDrownTheLog(t *testing.T) {
	var l limiter
	now := time.Unix(1000, 0)
	allowed := 0
	for range 5 * problemsPerSecond {
		if ok, suppressed := l.take(now); ok {
			allowed++
			if suppressed != 0 {
				t.Errorf("%d suppressed before any was", suppressed)
			}
		}
	}
	if allowed != problemsPerSecond {
		t.Errorf("%d lines in one second, want %d", allowed, problemsPerSecond)
	}
	if ok, suppressed := l.take(now.Add(time.Second)); !ok || suppressed != 4*problemsPerSecond {
		t.Errorf("the next second says allowed %v, suppressed %d; want true, %d", ok, suppressed, 4*problemsPerSecond)
	}
}

func BenchmarkMetricsMiddleware(b *testing.B) {
	gin.SetMode(gin.ReleaseMode)
	cfg, err := readConfig(lookupIn(nil))
	if err != nil {
		b.Fatal(err)
	}
	m := newMetrics(cfg)
	for name, use := range map[string][]gin.HandlerFunc{"without": nil, "with": {m.middleware}} {
		b.Run(name, func(b *testing.B) {
			engine := gin.New()
			engine.Use(use...)
			engine.GET("/x", func(c *gin.Context) { c.Status(http.StatusNoContent) })
			m.addRoutes(engine.Routes())
			request, recorder := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/x", http.NoBody), httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				engine.ServeHTTP(recorder, request)
			}
		})
	}
}
