package metrics_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"go.opentelemetry.io/otel/trace"

	"github.com/gin-operator/gin-operator/ginkit/metrics"
	"github.com/gin-operator/gin-operator/ginkit/problem"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// newEngine measures requests into a registry that has nothing else.
func newEngine(opts ...metrics.Option) (*gin.Engine, *metrics.Metrics) {
	m := metrics.New(append([]metrics.Option{metrics.WithRegistry(prometheus.NewRegistry())}, opts...)...)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.Use(m.Middleware(), problem.Recover(slog.New(slog.DiscardHandler)), problem.Errors())
	engine.NoRoute(problem.NoRoute)
	engine.NoMethod(problem.NoMethod)
	return engine, m
}

func do(engine http.Handler, method, target, body string) {
	engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body)))
}

func family(t *testing.T, m *metrics.Metrics, name string) *dto.MetricFamily {
	t.Helper()
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f
		}
	}
	return &dto.MetricFamily{}
}

// counts returns the number of requests by "METHOD route status".
func counts(t *testing.T, m *metrics.Metrics) map[string]uint64 {
	t.Helper()
	all := map[string]uint64{}
	for _, metric := range family(t, m, "http_server_request_duration_seconds").GetMetric() {
		label := map[string]string{}
		for _, pair := range metric.GetLabel() {
			label[pair.GetName()] = pair.GetValue()
		}
		all[label["http_request_method"]+" "+label["http_route"]+" "+label["http_response_status_code"]] = metric.GetHistogram().GetSampleCount()
	}
	return all
}

func active(t *testing.T, m *metrics.Metrics) float64 {
	t.Helper()
	sum := 0.0
	gauges := family(t, m, "http_server_active_requests").GetMetric()
	if len(gauges) != 10 {
		t.Fatalf("%d gauges of active requests, want one for each of ten methods from the start", len(gauges))
	}
	for _, metric := range gauges {
		sum += metric.GetGauge().GetValue()
	}
	return sum
}

func scrape(t *testing.T, m *metrics.Metrics, accept string) (contentType, body string) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	request.Header.Set("Accept", accept)
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, request)
	if recorder.Code != http.StatusOK {
		t.Fatalf("status %d: %s", recorder.Code, recorder.Body)
	}
	return recorder.Header().Get("Content-Type"), recorder.Body.String()
}

// durations are what differs from run to run: the sum, and the buckets below the last.
var durations = regexp.MustCompile(`(?m)^(http_server_request_duration_seconds_(?:sum\{.*\}|bucket\{.*le="[0-9.]+"\})) .*$`)

// The names, labels, types and boundaries are what dashboards, autoscalers and the operator's analysis ask for.
func TestAllSeriesAgainstAGoldenText(t *testing.T) {
	engine, m := newEngine()
	engine.GET("/users/:id", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	engine.POST("/users", func(c *gin.Context) { problem.Write(c, problem.New(http.StatusConflict, "taken", "somebody has it")) })
	do(engine, http.MethodGet, "/users/1", "")
	do(engine, http.MethodGet, "/users/2?q=1", "")
	do(engine, http.MethodPost, "/users", strings.Repeat("x", 300))
	do(engine, "BREW", "/nowhere", "")
	_, got := scrape(t, m, "text/plain")
	got = durations.ReplaceAllString(got, "$1 …")
	// The answer of an error holds the time, whose digits vary.
	got = regexp.MustCompile(`(?m)^(http_server_response_body_size_bytes_sum\{.*code="4..".*\}) .*$`).ReplaceAllString(got, "$1 …")
	golden := filepath.Join("testdata", "metrics.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil { //nolint:gosec // for everybody to read
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestRequestsAreCountedByTemplateMethodAndStatus(t *testing.T) {
	engine, m := newEngine()
	fine := func(c *gin.Context) { c.Status(http.StatusOK) }
	engine.GET("/users/:id", fine)
	engine.HEAD("/users/:id", fine)
	engine.OPTIONS("/users/:id", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	engine.GET("/files/*path", fine)
	engine.Any("/any", fine)
	engine.GET("/status/:code", func(c *gin.Context) {
		var code int
		if _, err := fmt.Sscan(c.Param("code"), &code); err != nil {
			panic(err)
		}
		c.Status(code)
		c.Writer.WriteHeaderNow()
	})
	for _, request := range []string{
		"GET /users/1", "GET /users/2", "HEAD /users/1", "OPTIONS /users/1", "GET /files/a/b/c", "GET /files/../x", "TRACE /any", "CONNECT /any",
		"get /any", "PROPFIND /any", "GET /nowhere", "GET /any/", "DELETE /users/1", "GET /status/599", "GET /status/100", "GET /status/503",
	} {
		method, target, _ := strings.Cut(request, " ")
		do(engine, method, target, "")
	}
	want := map[string]uint64{
		"GET /users/:id 200": 2, "HEAD /users/:id 200": 1, "OPTIONS /users/:id 204": 1, "GET /files/*path 200": 2, "TRACE /any 200": 1, "CONNECT /any 200": 1,
		"_OTHER unmatched 405": 2, "GET unmatched 404": 1, "DELETE unmatched 405": 1,
		"GET /status/:code 599": 1, "GET /status/:code 100": 1, "GET /status/:code 503": 1,
	}
	if diff := cmp.Diff(want, counts(t, m)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestStatusesThatDoNotExistShareASeries(t *testing.T) {
	m := metrics.New()
	engine := gin.New()
	engine.Use(m.Middleware())
	// One route, whatever it answers.
	engine.GET("/x/:n", func(c *gin.Context) {
		var status int
		if _, err := fmt.Sscan(c.Param("n"), &status); err != nil {
			panic(err)
		}
		c.Status(status)
	})
	for _, status := range []int{99, 1, 600, 999, 1 << 30, 599, 100} {
		func() {
			defer func() { _ = recover() }() // httptest and net/http refuse what is below 100 or above 999, after it was counted
			do(engine, http.MethodGet, fmt.Sprintf("/x/%d", status), "")
		}()
	}
	want := map[string]uint64{"GET /x/:n other": 5, "GET /x/:n 599": 1, "GET /x/:n 100": 1}
	if diff := cmp.Diff(want, counts(t, m)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestSizes(t *testing.T) {
	engine, m := newEngine()
	engine.POST("/x", func(c *gin.Context) { c.String(http.StatusOK, strings.Repeat("y", 2000)) })
	engine.POST("/empty", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	do(engine, http.MethodPost, "/x", strings.Repeat("x", 300))
	do(engine, http.MethodPost, "/empty", "")
	// A body that doesn't say how long it is has no size that could be told without reading it.
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/x", io.MultiReader(strings.NewReader("xx")))
	engine.ServeHTTP(httptest.NewRecorder(), request)

	type size struct {
		Count uint64
		Sum   float64
	}
	got := map[string]size{}
	for _, name := range []string{"http_server_request_body_size_bytes", "http_server_response_body_size_bytes"} {
		for _, metric := range family(t, m, name).GetMetric() {
			h := metric.GetHistogram()
			got[name[len("http_server_"):]+" "+metric.GetLabel()[2].GetValue()] = size{h.GetSampleCount(), h.GetSampleSum()}
		}
	}
	want := map[string]size{
		"request_body_size_bytes /x": {1, 300}, "request_body_size_bytes /empty": {1, 0},
		"response_body_size_bytes /x": {2, 4000}, "response_body_size_bytes /empty": {1, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
}

func TestPanicsAreCountedAndLeaveNothingActive(t *testing.T) {
	engine, m := newEngine()
	engine.GET("/early", func(*gin.Context) { panic("early") })
	engine.GET("/late", func(c *gin.Context) { c.String(http.StatusOK, "half an ans"); panic("late") })
	engine.GET("/cut", func(*gin.Context) { panic(http.ErrAbortHandler) })
	engine.GET("/gone", func(c *gin.Context) {
		ctx, cancel := context.WithCancel(c.Request.Context())
		cancel()
		c.Request = c.Request.WithContext(ctx)
		panic(http.ErrAbortHandler)
	})
	for _, target := range []string{"/early", "/late", "/cut", "/gone"} {
		func() {
			defer func() {
				if cause := recover(); (cause == nil) != (target == "/early") {
					t.Errorf("%s: panic %v", target, cause)
				}
			}()
			do(engine, http.MethodGet, target, "")
		}()
	}
	want := map[string]uint64{"GET /early 500": 1, "GET /late 500": 1, "GET /cut 500": 1, "GET /gone 499": 1}
	if diff := cmp.Diff(want, counts(t, m)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if got := active(t, m); got != 0 {
		t.Errorf("%v requests are active at rest", got)
	}
}

func TestConcurrentFirstRequestsAreAllCounted(t *testing.T) {
	engine, m := newEngine()
	var paths []string
	for i := range 20 {
		paths = append(paths, fmt.Sprintf("/route%d", i))
		engine.GET(paths[i], func(c *gin.Context) { c.Status(http.StatusOK) })
	}
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 20 {
				for _, path := range paths {
					do(engine, http.MethodGet, path, "")
				}
				do(engine, http.MethodPost, "/nowhere", "")
			}
		})
	}
	// Scrapes at the same time.
	clients.Go(func() {
		for range 20 {
			if _, err := m.Registry().Gather(); err != nil {
				t.Error(err)
			}
		}
	})
	clients.Wait()
	want := map[string]uint64{"POST unmatched 404": 160}
	for _, path := range paths {
		want["GET "+path+" 200"] = 160
	}
	if diff := cmp.Diff(want, counts(t, m)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if got := active(t, m); got != 0 {
		t.Errorf("%v requests are active at rest", got)
	}
}

func TestRequestsAreActiveWhileTheyAreAnswered(t *testing.T) {
	engine, m := newEngine()
	inside := 0.0
	engine.GET("/x", func(*gin.Context) { inside = active(t, m) })
	do(engine, http.MethodGet, "/x", "")
	if after := active(t, m); inside != 1 || after != 0 {
		t.Errorf("%v active inside and %v after, want 1 and 0", inside, after)
	}
}

func traced(t *testing.T, first byte, flags trace.TraceFlags) context.Context {
	t.Helper()
	return trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{first}, SpanID: trace.SpanID{first}, TraceFlags: flags,
	}))
}

func TestExemplarsOfSampledTracesAlone(t *testing.T) {
	engine, m := newEngine()
	engine.GET("/sampled", func(*gin.Context) {})
	engine.GET("/not", func(*gin.Context) {})
	for target, ctx := range map[string]context.Context{"/sampled": traced(t, 0xab, trace.FlagsSampled), "/not": traced(t, 0xcd, 0)} {
		engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody))
	}
	contentType, body := scrape(t, m, "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(contentType, "application/openmetrics-text") || !strings.HasSuffix(body, "# EOF\n") {
		t.Errorf("type %q", contentType)
	}
	exemplar := regexp.MustCompile(`(?m)^http_server_request_duration_seconds_bucket\{.*http_route="/sampled".*\} 1 # \{(.*)\} [0-9.e-]+ [0-9.e+]+$`)
	match := exemplar.FindStringSubmatch(body)
	if match == nil {
		t.Fatalf("no exemplar in\n%s", body)
	}
	labels := strings.Split(match[1], ",")
	slices.Sort(labels)
	want := []string{`span_id="ab00000000000000"`, `trace_id="ab000000000000000000000000000000"`}
	if diff := cmp.Diff(want, labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if strings.Contains(body, "cd0000") {
		t.Error("a trace that is not kept is an exemplar")
	}
}

func TestNativeHistogramInTheProtobufFormat(t *testing.T) {
	engine, m := newEngine()
	engine.GET("/x", func(*gin.Context) {})
	engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(traced(t, 1, trace.FlagsSampled), http.MethodGet, "/x", http.NoBody))
	contentType, body := scrape(t, m, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	if !strings.HasPrefix(contentType, "application/vnd.google.protobuf") {
		t.Fatalf("type %q", contentType)
	}
	decoder := expfmt.NewDecoder(strings.NewReader(body), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		var f dto.MetricFamily
		if err := decoder.Decode(&f); err != nil {
			t.Fatalf("there is no histogram of durations: %v", err)
		}
		if f.GetName() != "http_server_request_duration_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		// Schema 3 has eight buckets for each doubling: each is 9 % wider than the one before.
		if h.GetSchema() != 3 || len(h.GetPositiveSpan()) == 0 || len(h.GetPositiveDelta()) != 1 {
			t.Errorf("schema %d, spans %v, deltas %v", h.GetSchema(), h.GetPositiveSpan(), h.GetPositiveDelta())
		}
		if len(h.GetBucket()) < 14 || len(h.GetExemplars()) != 1 {
			t.Errorf("%d classic buckets, %d exemplars", len(h.GetBucket()), len(h.GetExemplars()))
		}
		return
	}
}

func TestOptions(t *testing.T) {
	engine, m := newEngine(metrics.WithBuckets(0.1, 1))
	engine.GET("/x", func(*gin.Context) {})
	do(engine, http.MethodGet, "/x", "")
	_, text := scrape(t, m, "text/plain")
	if got := strings.Count(text, "http_server_request_duration_seconds_bucket{"); got != 3 {
		t.Errorf("%d buckets, want two and the one without a bound", got)
	}
	// Without a registry there are those of Go and of the process.
	_, text = scrape(t, metrics.New(), "text/plain")
	for _, want := range []string{"\ngo_goroutines ", "\nprocess_cpu_seconds_total "} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
