package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
)

// app is a router with what it writes to.
type app struct {
	engine  *gin.Engine
	metrics *metrics
	health  *health
	logs    *bytes.Buffer
}

// newTestApp makes a router from an environment.
func newTestApp(t *testing.T, env map[string]string) *app {
	t.Helper()
	all := map[string]string{"APP_VERSION": "v1", "GIN_SERVICE_COLOR": "blue", "GIN_SERVICE_REVISION": "r1", "POD_NAME": "p1"}
	maps.Copy(all, env)
	cfg, err := readConfig(lookupIn(all))
	if err != nil {
		t.Fatal(err)
	}
	a := &app{metrics: newMetrics(cfg), health: &health{failReady: cfg.faults.failReady}, logs: &bytes.Buffer{}}
	a.engine = newRouter(cfg, newLogger(a.logs, cfg.logLevel), a.metrics, a.health)
	return a
}

// do sends one request, with headers given as name and value in turns.
func (a *app) do(method, target string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(context.Background(), method, target, http.NoBody)
	for header := range slices.Chunk(headers, 2) {
		request.Header.Set(header[0], header[1])
	}
	recorder := httptest.NewRecorder()
	a.health.closeWhenDraining(a.engine).ServeHTTP(recorder, request)
	return recorder
}

// logLines returns what was logged, decoded.
func (a *app) logLines(t *testing.T) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for decoder := json.NewDecoder(a.logs); ; {
		var line map[string]any
		switch err := decoder.Decode(&line); err {
		case nil:
			lines = append(lines, line)
		case io.EOF:
			return lines
		default:
			t.Fatalf("decoding the log: %v", err)
		}
	}
}

// series returns the requests counted by "METHOD route status".
func (a *app) series(t *testing.T) map[string]uint64 {
	t.Helper()
	families, err := a.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, family := range families {
		if family.GetName() != "http_server_request_duration_seconds" {
			continue
		}
		for _, metric := range family.GetMetric() {
			label := labels(metric)
			key := fmt.Sprintf("%s %s %s", label["http_request_method"], label["http_route"], label["http_response_status_code"])
			counts[key] = metric.GetHistogram().GetSampleCount()
		}
	}
	return counts
}

func labels(metric *dto.Metric) map[string]string {
	all := map[string]string{}
	for _, pair := range metric.GetLabel() {
		all[pair.GetName()] = pair.GetValue()
	}
	return all
}

func TestEveryAnswerSaysWhereItComesFrom(t *testing.T) {
	a := newTestApp(t, nil)
	for _, target := range []string{"/", "/api/v1/ping", "/api/v1/version", "/livez", "/readyz", "/metrics", "/nowhere", "/api/v1/load/sleep?ms=x"} {
		response := a.do(http.MethodGet, target)
		got := map[string]string{}
		for _, name := range []string{"X-App-Version", "X-App-Color", "X-App-Revision", "X-App-Pod"} {
			got[name] = response.Header().Get(name)
		}
		want := map[string]string{"X-App-Version": "v1", "X-App-Color": "blue", "X-App-Revision": "r1", "X-App-Pod": "p1"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: headers (-want +got):\n%s", target, diff)
		}
	}
	for _, target := range []string{"/", "/api/v1/ping", "/api/v1/version"} {
		var got identity
		if err := json.Unmarshal(a.do(http.MethodGet, target).Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if want := (identity{Version: "v1", Color: "blue", Revision: "r1", Pod: "p1"}); got != want {
			t.Errorf("%s: body says %+v, want %+v", target, got, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		env         map[string]string
		method      string
		target      string
		wantStatus  int
		wantMessage string
	}{
		"load with defaults":            {target: "/api/v1/load/cpu?ms=1", wantStatus: 200},
		"sleep":                         {target: "/api/v1/load/sleep?ms=1", wantStatus: 200},
		"an error on demand":            {target: "/api/v1/load/error", wantStatus: 500, wantMessage: "this answer fails, as the request asks"},
		"an error of another kind":      {target: "/api/v1/load/error?code=503", wantStatus: 503, wantMessage: "this answer fails, as the request asks"},
		"an error that never happens":   {target: "/api/v1/load/error?rate=0", wantStatus: 200},
		"CPU load without end":          {target: "/api/v1/load/cpu?ms=1001", wantStatus: 400, wantMessage: `parameter ms: "1001" is not a whole number from 1 to 1000`},
		"CPU load that is no number":    {target: "/api/v1/load/cpu?ms=", wantStatus: 400, wantMessage: `parameter ms: "" is not a whole number from 1 to 1000`},
		"sleep into the past":           {target: "/api/v1/load/sleep?ms=-1", wantStatus: 400, wantMessage: `parameter ms: "-1" is not a whole number from 0 to 30000`},
		"an error rate in percent":      {target: "/api/v1/load/error?rate=50", wantStatus: 400, wantMessage: `parameter rate: "50" is not a number from 0 to 1`},
		"an error that is a success":    {target: "/api/v1/load/error?code=200", wantStatus: 400, wantMessage: `parameter code: "200" is not a whole number from 400 to 599`},
		"a parameter without end":       {target: "/api/v1/load/cpu?ms=" + strings.Repeat("9", 70), wantStatus: 400, wantMessage: `parameter ms: "` + strings.Repeat("9", 64) + `…" is not a whole number from 1 to 1000`},
		"an unknown path":               {target: "/nowhere", wantStatus: 404, wantMessage: "no route serves this path"},
		"an unknown method":             {method: "BREW", target: "/api/v1/ping", wantStatus: 405, wantMessage: "this path does not take this method; the header Allow names those it takes"},
		"a bad version fails":           {env: map[string]string{"ERROR_RATE": "1"}, target: "/api/v1/ping", wantStatus: 500, wantMessage: "this answer fails, as ERROR_RATE asks"},
		"a bad version stays alive":     {env: map[string]string{"ERROR_RATE": "1"}, target: "/livez", wantStatus: 200},
		"a bad version stays ready":     {env: map[string]string{"ERROR_RATE": "1"}, target: "/readyz", wantStatus: 200},
		"a version never ready":         {env: map[string]string{"FAIL_READY": "true"}, target: "/readyz", wantStatus: 503, wantMessage: "not ready, as FAIL_READY asks"},
		"a version never ready, alive":  {env: map[string]string{"FAIL_READY": "true"}, target: "/livez", wantStatus: 200},
		"metrics on the service's port": {target: "/metrics", wantStatus: 200},
		"metrics elsewhere":             {env: map[string]string{"METRICS_PORT": "9090"}, target: "/metrics", wantStatus: 404, wantMessage: "no route serves this path"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.method == "" {
				tc.method = http.MethodGet
			}
			response := newTestApp(t, tc.env).do(tc.method, tc.target)
			if response.Code != tc.wantStatus {
				t.Errorf("status %d, want %d; body %s", response.Code, tc.wantStatus, response.Body)
			}
			if tc.wantMessage == "" {
				return
			}
			var got failure
			if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil {
				t.Fatalf("body %s: %v", response.Body, err)
			}
			if got.Message != tc.wantMessage || got.Code == "" || got.RequestID == "" || got.Timestamp.IsZero() {
				t.Errorf("answer %+v, want message %q and all other fields", got, tc.wantMessage)
			}
		})
	}
}

func TestLatencyIsAdded(t *testing.T) {
	a := newTestApp(t, map[string]string{"LATENCY": "30ms"})
	start := time.Now()
	a.do(http.MethodGet, "/api/v1/ping")
	if took := time.Since(start); took < 30*time.Millisecond {
		t.Errorf("the answer took %s, want at least 30ms", took)
	}
}

func TestRequestIDIsKeptOnlyIfItIsOne(t *testing.T) {
	a := newTestApp(t, nil)
	if got := a.do(http.MethodGet, "/", requestIDHeader, "client-id.1_A").Header().Get(requestIDHeader); got != "client-id.1_A" {
		t.Errorf("the client's id became %q", got)
	}
	seen := map[string]bool{}
	for _, sent := range []string{"", "has blanks", "line\nbreak", "<script>", strings.Repeat("a", maxRequestID+1)} {
		got := a.do(http.MethodGet, "/", requestIDHeader, sent).Header().Get(requestIDHeader)
		if len(got) != 26 || seen[got] {
			t.Errorf("id for %q is %q, want a new one", sent, got)
		}
		seen[got] = true
	}
}

func TestDrainingIsToldToProbesAndClients(t *testing.T) {
	a := newTestApp(t, nil)
	if got := a.do(http.MethodGet, "/").Header().Get("Connection"); got != "" {
		t.Errorf("Connection is %q before the drain", got)
	}
	a.health.draining.Store(true)
	for target, want := range map[string]int{"/": 200, "/livez": 200, "/readyz": 503, "/nowhere": 404} {
		response := a.do(http.MethodGet, target)
		if response.Code != want || response.Header().Get("Connection") != "close" {
			t.Errorf("%s while draining: status %d, Connection %q; want %d and close", target, response.Code, response.Header().Get("Connection"), want)
		}
	}
}

// withPanic adds routes that panic behind the same middleware as all others.
func withPanic(a *app, log *slog.Logger) {
	group := a.engine.Group("/panic", withRequestID, a.metrics.middleware, recovery(log))
	group.GET("/early", func(*gin.Context) { panic("a bug") })
	group.GET("/late", func(c *gin.Context) {
		c.String(http.StatusOK, "half an ans")
		panic("a bug")
	})
	a.metrics.addRoutes(a.engine.Routes())
}

func TestPanicBecomesAnError(t *testing.T) {
	a := newTestApp(t, nil)
	withPanic(a, newLogger(a.logs, slog.LevelInfo))
	response := a.do(http.MethodGet, "/panic/early")
	var got failure
	if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil || response.Code != 500 || got.Code != "internal_error" {
		t.Errorf("answer %d %s (%v), want status 500 and code internal_error", response.Code, response.Body, err)
	}
	if strings.Contains(response.Body.String(), "a bug") {
		t.Error("the answer tells the client about the inside of the program")
	}
	lines := a.logLines(t)
	if len(lines) != 1 || lines[0]["cause"] != "a bug" || lines[0]["requestId"] != got.RequestID || !strings.Contains(fmt.Sprint(lines[0]["stack"]), "routes_test.go") {
		t.Errorf("log is %v, want one line with the cause, the request's id and the stack", lines)
	}
	if diff := cmp.Diff(map[string]uint64{"GET /panic/early 500": 1}, a.series(t)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestPanicAfterHalfAnAnswerCutsTheConnection(t *testing.T) {
	a := newTestApp(t, nil)
	withPanic(a, newLogger(io.Discard, slog.LevelInfo))
	server := httptest.NewServer(a.engine)
	defer server.Close()
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	if _, body, err := get(t, server.URL+"/panic/late"); err == nil {
		t.Logf("the answer is %q", body)
		t.Error("half an answer arrived as a whole one")
	}
	if got := a.activeRequests(t); got != 0 {
		t.Errorf("%v requests are active after the panic", got)
	}
}

// activeRequests returns the sum over all methods.
func (a *app) activeRequests(t *testing.T) float64 {
	t.Helper()
	families, err := a.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, family := range families {
		if family.GetName() == "http_server_active_requests" {
			found = true
			for _, metric := range family.GetMetric() {
				sum += metric.GetGauge().GetValue()
			}
		}
	}
	if !found {
		t.Fatal("there is no http_server_active_requests")
	}
	return sum
}
