package ginkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

// buffer is what several goroutines log to.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// lines returns what was logged, decoded.
func (b *buffer) lines(t *testing.T) []map[string]any {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []map[string]any
	for line := range bytes.Lines(b.text.Bytes()) {
		var decoded map[string]any
		if err := json.Unmarshal(line, &decoded); err != nil {
			t.Fatalf("log line %s: %v", line, err)
		}
		lines = append(lines, decoded)
	}
	return lines
}

func do(handler http.Handler, target string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequestWithContext(context.Background(), http.MethodGet, target, http.NoBody))
	return recorder
}

func TestANewKitHasWhatAServiceNeeds(t *testing.T) {
	logs := &buffer{}
	kit, err := New(WithEnvironment([]string{"POD_NAME=p1"}), WithVersion("v7"), WithLogs(logs))
	if err != nil {
		t.Fatal(err)
	}
	kit.Engine.GET("/hello/:name", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	kit.Engine.GET("/error", func(c *gin.Context) { _ = c.Error(errors.New("a secret reason")) })
	kit.Engine.GET("/panic", func(*gin.Context) { panic("a secret reason") })
	kit.Engine.GET("/teapot", func(c *gin.Context) { problem.Write(c, problem.New(http.StatusTeapot, "", "short and stout")) })

	for target, want := range map[string]int{
		"/livez": 200, "/readyz": 200, "/health": 200, "/metrics": 200, "/hello/you": 200, "/error": 500, "/panic": 500, "/teapot": 418, "/nowhere": 404,
		"/hello/you/": 404, // no redirect, which Gin would answer before anything of this
	} {
		response := do(kit.Engine, target)
		if response.Code != want || response.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: status %d, request id %q; want %d and an id", target, response.Code, response.Header().Get("X-Request-Id"), want)
		}
		if strings.Contains(response.Body.String(), "a secret reason") {
			t.Errorf("%s gives away why: %s", target, response.Body)
		}
		if want >= 400 && !json.Valid(response.Body.Bytes()) {
			t.Errorf("%s: the error is no document: %s", target, response.Body)
		}
	}

	counted := map[string]bool{}
	for line := range strings.Lines(do(kit.Engine, "/metrics").Body.String()) {
		if route, found := strings.CutPrefix(line, `http_server_request_duration_seconds_count{http_request_method="GET",`); found {
			counted[strings.TrimSpace(route)] = true
		}
	}
	want := map[string]bool{
		`http_response_status_code="200",http_route="/hello/:name"} 1`: true, `http_response_status_code="404",http_route="unmatched"} 2`: true,
		`http_response_status_code="500",http_route="/error"} 1`: true, `http_response_status_code="500",http_route="/panic"} 1`: true,
		`http_response_status_code="418",http_route="/teapot"} 1`: true,
	}
	if diff := cmp.Diff(want, counted); diff != "" {
		t.Errorf("counted requests (-want +got):\n%s", diff)
	}
	reasons := 0
	for _, line := range logs.lines(t) {
		if text, err := json.Marshal(line); err == nil && bytes.Contains(text, []byte("a secret reason")) {
			reasons++
		}
	}
	if reasons < 2 {
		t.Errorf("the log has the reasons of %d failures, want both:\n%v", reasons, logs.lines(t))
	}
}

func TestATraceIsFollowedWithoutTracing(t *testing.T) {
	logs := &buffer{}
	kit, err := New(WithEnvironment(nil), WithLogs(logs))
	if err != nil {
		t.Fatal(err)
	}
	kit.Engine.GET("/error", func(c *gin.Context) { _ = c.Error(errors.New("a reason")) })
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/error", http.NoBody)
	request.Header.Set("Traceparent", "00-"+id+"-00f067aa0ba902b7-01")
	response := httptest.NewRecorder()
	kit.Engine.ServeHTTP(response, request)
	if !strings.Contains(response.Body.String(), `"traceId":"`+id+`"`) {
		t.Errorf("the answer does not name the trace: %s", response.Body)
	}
	if lines := logs.lines(t); len(lines) != 1 || lines[0]["trace_id"] != id {
		t.Errorf("the log does not name the trace: %v", lines)
	}
}

func TestWhatIsWrongInTheEnvironmentIsNamed(t *testing.T) {
	tests := map[string]struct {
		environ []string
		want    []string
	}{
		"several at once": {
			[]string{"PORT=http", "METRICS_PORT=-1", "LOG_LEVEL=loud", "LOG_REQUESTS=some", "SLOW_REQUEST=soon", "DRAIN_SECONDS=long", "GIN_SERVICE_SHUTDOWN_SECONDS=x"},
			[]string{"PORT:", "METRICS_PORT:", "LOG_LEVEL:", "LOG_REQUESTS:", "SLOW_REQUEST:", "DRAIN_SECONDS:", "GIN_SERVICE_SHUTDOWN_SECONDS:", `"http"`, "0 to 65535", "problems, all or none"},
		},
		"a drain that takes all the time": {
			[]string{"GIN_SERVICE_SHUTDOWN_SECONDS=20", "DRAIN_SECONDS=20"},
			[]string{"DRAIN_SECONDS: 20s leaves no time for requests in flight", "GIN_SERVICE_SHUTDOWN_SECONDS, 20s"},
		},
		"no time at all":               {[]string{"GIN_SERVICE_SHUTDOWN_SECONDS=0.5"}, []string{"GIN_SERVICE_SHUTDOWN_SECONDS: 500ms"}},
		"a time that is no number":     {[]string{"DRAIN_SECONDS=NaN"}, []string{"DRAIN_SECONDS"}},
		"tracing by a protocol of old": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := New(WithEnvironment(tc.environ), WithLogs(io.Discard))
			if err == nil {
				t.Fatal("the service starts")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestDefaultsThatDependOnEachOther(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		environ []string
		want    func(Settings) bool
	}{
		"drain of five seconds":         {nil, func(s Settings) bool { return s.DrainTime() == 5*time.Second }},
		"drain of a third of the time":  {[]string{"GIN_SERVICE_SHUTDOWN_SECONDS=6"}, func(s Settings) bool { return s.DrainTime() == 2*time.Second }},
		"no drain, as somebody asks":    {[]string{"DRAIN_SECONDS=0"}, func(s Settings) bool { return s.DrainTime() == 0 }},
		"metrics on the service's port": {[]string{"PORT=9000"}, func(s Settings) bool { return *s.MetricsPort == 9000 }},
		"metrics elsewhere":             {[]string{"METRICS_PORT=9001"}, func(s Settings) bool { return s.Port == 8080 && *s.MetricsPort == 9001 }},
		"the host for a pod":            {nil, func(s Settings) bool { return s.Identity.Pod == host }},
		"what was built":                {nil, func(s Settings) bool { return s.Identity.Version == "built" }},
		"what was deployed":             {[]string{"APP_VERSION=v2"}, func(s Settings) bool { return s.Identity.Version == "v2" }},
		"an empty variable is unset":    {[]string{"PORT=", "LOG_LEVEL="}, func(s Settings) bool { return s.Port == 8080 && s.LogLevel == slog.LevelInfo }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readSettings(tc.environ, "built")
			if err != nil || !tc.want(got) {
				t.Errorf("settings %+v, error %v", got, err)
			}
		})
	}
}

// running is a kit that serves, with the addresses of its ports by the variable that sets them.
type running struct {
	kit     *Kit
	logs    *buffer
	signals chan os.Signal
	ended   chan error
}

func run(t *testing.T, environ []string, prepare func(*Kit)) *running {
	t.Helper()
	r := &running{logs: &buffer{}, signals: make(chan os.Signal, 2), ended: make(chan error, 1)}
	var err error
	if r.kit, err = New(WithEnvironment(environ), WithLogs(r.logs), WithSignals(r.signals)); err != nil {
		t.Fatal(err)
	}
	prepare(r.kit)
	go func() { r.ended <- r.kit.Run() }()
	return r
}

// address waits until a port is served.
func (r *running) address(t *testing.T, variable string) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		for _, line := range r.logs.lines(t) {
			if line["message"] == "serving" && line["variable"] == variable {
				_, port, err := net.SplitHostPort(line["address"].(string))
				if err != nil {
					t.Fatal(err)
				}
				return "http://127.0.0.1:" + port
			}
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Fatalf("%s is not served: %v", variable, r.logs.lines(t))
	return ""
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestMetricsAndHealthOnAPortOfTheirOwn(t *testing.T) {
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(free.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	r := run(t, []string{"PORT=0", "METRICS_PORT=" + port, "DRAIN_SECONDS=0"}, func(kit *Kit) {
		if err := kit.Health().Add("store", func(context.Context) error { return errors.New("it is gone") }); err != nil {
			t.Fatal(err)
		}
	})
	public, private := r.address(t, "PORT"), r.address(t, "METRICS_PORT")
	for url, want := range map[string]int{
		public + "/metrics": 404, public + "/health": 404, public + "/livez": 200, public + "/readyz": 503,
		private + "/metrics": 200, private + "/health": 503, private + "/livez": 404,
	} {
		status, body := get(t, url)
		if status != want {
			t.Errorf("%s: status %d, want %d", url, status, want)
		}
		if strings.HasPrefix(url, public) && strings.Contains(body, "it is gone") {
			t.Errorf("%s tells everybody what is wrong inside: %s", url, body)
		}
	}
	r.signals <- syscall.SIGTERM
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

func TestWhatWasAddedLastStopsFirst(t *testing.T) {
	var order []string
	r := run(t, []string{"PORT=0", "DRAIN_SECONDS=0"}, func(kit *Kit) {
		for _, name := range []string{"store", "queue"} {
			kit.OnStop(name, func(context.Context) error {
				order = append(order, name)
				return errors.New("it hangs on")
			})
		}
	})
	r.address(t, "PORT")
	r.signals <- syscall.SIGTERM
	err := <-r.ended
	if diff := cmp.Diff([]string{"queue", "store"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if err == nil || !strings.Contains(err.Error(), "stopping queue: it hangs on") || !strings.Contains(err.Error(), "stopping store: it hangs on") {
		t.Errorf("error %v, want both failures", err)
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	r := run(t, []string{"PORT=" + port}, func(kit *Kit) {
		kit.OnStop("store", func(context.Context) error {
			stopped = true
			return nil
		})
	})
	err = <-r.ended
	if err == nil || !strings.Contains(err.Error(), "opening port "+port+", from PORT") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("error %v, want one that names port and variable", err)
	}
	if !stopped {
		t.Error("the store was not closed")
	}
}

func TestEachThingThatIsWrongHasALine(t *testing.T) {
	first, second, third := errors.New("PORT: wrong"), errors.New("LATENCY: wrong"), errors.New("AUTH: wrong")
	wrapped := fmt.Errorf("reading: %w", errors.Join(first, second))
	tests := map[string]struct {
		err  error
		want []error
	}{
		"one":                      {first, []error{first}},
		"some":                     {errors.Join(first, second), []error{first, second}},
		"some that were joined":    {errors.Join(errors.Join(first, second), third), []error{first, second, third}},
		"some with words in front": {wrapped, []error{wrapped}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := split(tc.err); !slices.Equal(got, tc.want) {
				t.Errorf("lines %q, want %q", got, tc.want)
			}
		})
	}
}
