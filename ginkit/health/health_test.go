package health_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/ginkit/health"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// patience is how long a test waits for what should happen at once.
const patience = 30 * time.Second

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// lines returns "LEVEL message component" of each line so far.
func (b *buffer) lines(t *testing.T) []string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for decoder := json.NewDecoder(bytes.NewReader(b.b.Bytes())); ; {
		var line map[string]any
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%v %v: %v", line["level"], line["msg"], line["component"]))
	}
}

// newHealth returns a health with the endpoints that a service has, and its log.
func newHealth() (*health.Health, *gin.Engine, *buffer) {
	log := &buffer{}
	h := health.New(slog.New(slog.NewJSONHandler(log, nil)))
	engine := gin.New()
	engine.GET("/livez", health.Livez)
	engine.GET("/readyz", h.Readyz)
	engine.GET("/health", h.Health)
	return h, engine, log
}

func get(ctx context.Context, engine http.Handler, path string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	engine.ServeHTTP(recorder, httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody))
	return recorder
}

func add(t *testing.T, h *health.Health, name string, check health.Check, opts ...health.Option) {
	t.Helper()
	if err := h.Add(name, check, opts...); err != nil {
		t.Fatal(err)
	}
}

func fine(context.Context) error { return nil }

func broken(context.Context) error { return errors.New("dial tcp 10.0.0.7:5432: connection refused") }

func TestWhatTheEndpointsAnswer(t *testing.T) {
	tests := map[string]struct {
		set                          func(*testing.T, *health.Health)
		wantLive, wantReady, wantAll int
		wantStatus                   health.Status
		wantInReady                  string
	}{
		"nothing to check": {set: func(*testing.T, *health.Health) {}, wantLive: 200, wantReady: 200, wantAll: 200, wantStatus: health.OK, wantInReady: `{"status":"ready"}`},
		"all is well": {
			set: func(t *testing.T, h *health.Health) {
				t.Helper()
				add(t, h, "db", fine)
				add(t, h, "cache", fine, health.Optional())
			},
			wantLive: 200, wantReady: 200, wantAll: 200, wantStatus: health.OK, wantInReady: `{"status":"ready"}`,
		},
		"an optional component fails": {
			set: func(t *testing.T, h *health.Health) {
				t.Helper()
				add(t, h, "db", fine)
				add(t, h, "cache", broken, health.Optional())
			},
			wantLive: 200, wantReady: 200, wantAll: 200, wantStatus: health.Degraded, wantInReady: `{"status":"ready"}`,
		},
		"a required component fails": {
			set: func(t *testing.T, h *health.Health) {
				t.Helper()
				add(t, h, "queue", broken)
				add(t, h, "cache", broken, health.Optional())
				add(t, h, "db", broken)
				add(t, h, "other", fine)
			},
			wantLive: 200, wantReady: 503, wantAll: 503, wantStatus: health.Failing, wantInReady: `"code":"not_ready","message":"not ready: db, queue"`,
		},
		"a drain": {
			set: func(t *testing.T, h *health.Health) {
				t.Helper()
				add(t, h, "db", fine)
				h.Drain()
			},
			wantLive: 200, wantReady: 503, wantAll: 503, wantStatus: health.Draining, wantInReady: `"code":"draining","message":"the service is stopping"`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h, engine, _ := newHealth()
			tc.set(t, h)
			live, ready, all := get(t.Context(), engine, "/livez"), get(t.Context(), engine, "/readyz"), get(t.Context(), engine, "/health")
			if live.Code != tc.wantLive || ready.Code != tc.wantReady || all.Code != tc.wantAll {
				t.Errorf("statuses %d, %d, %d; want %d, %d, %d", live.Code, ready.Code, all.Code, tc.wantLive, tc.wantReady, tc.wantAll)
			}
			if body := ready.Body.String(); !strings.Contains(body, tc.wantInReady) || strings.Contains(body, "10.0.0.7") {
				t.Errorf("/readyz says %s, want %s and no address", body, tc.wantInReady)
			}
			var report health.Report
			if err := json.Unmarshal(all.Body.Bytes(), &report); err != nil {
				t.Fatal(err)
			}
			if report.Status != tc.wantStatus {
				t.Errorf("/health says %q, want %q", report.Status, tc.wantStatus)
			}
			if live.Header().Get("Cache-Control") != "no-store" || all.Header().Get("Cache-Control") != "no-store" {
				t.Error("health may be kept in caches")
			}
		})
	}
}

func TestHealthAgainstAGoldenDocument(t *testing.T) {
	h, engine, _ := newHealth()
	add(t, h, "db", fine)
	add(t, h, "cache", broken, health.Optional())
	add(t, h, "broker", func(context.Context) error { panic("no broker") })
	var indented bytes.Buffer
	if err := json.Indent(&indented, get(t.Context(), engine, "/health").Body.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+Z"`).ReplaceAllString(indented.String(), `"…"`)
	got = regexp.MustCompile(`"latencyMs": [0-9.e-]+`).ReplaceAllString(got, `"latencyMs": 0`) + "\n"
	golden := filepath.Join("testdata", "health.json")
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
		t.Errorf("health (-want +got):\n%s", diff)
	}
}

func TestComponentsThatAreRefused(t *testing.T) {
	h, _, _ := newHealth()
	add(t, h, "db", fine)
	for want, err := range map[string]error{
		"a component needs a name":                                 h.Add("", fine),
		`component "x" has no check`:                               h.Add("x", nil),
		`component "x": a check needs a timeout above 0, not 0s`:   h.Add("x", fine, health.Timeout(0)),
		`there are two components "db": give one another name`:     h.Add("db", fine),
		`component "db": a check needs a timeout above 0, not -1s`: h.Add("db", fine, health.Timeout(-time.Second)),
	} {
		if err == nil || err.Error() != "health: "+want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	if got := len(h.Report(t.Context()).Components); got != 1 {
		t.Errorf("%d components, want the first alone", got)
	}
}

// Ten checks of which each waits for all others can only end if they run at the same time.
func TestChecksRunAtTheSameTime(t *testing.T) {
	h, _, _ := newHealth()
	var met sync.WaitGroup
	met.Add(10)
	for i := range 10 {
		add(t, h, fmt.Sprint("c", i), func(ctx context.Context) error {
			met.Done()
			all := make(chan struct{})
			go func() { met.Wait(); close(all) }()
			select {
			case <-all:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, health.Timeout(patience))
	}
	if got := h.Report(t.Context()); got.Status != health.OK || len(got.Components) != 10 {
		t.Errorf("%+v", got)
	}
}

func TestAHangingCheckIsAskedOnce(t *testing.T) {
	h, engine, log := newHealth()
	release := make(chan struct{})
	var asked atomic.Int64
	add(t, h, "db", func(context.Context) error { // as one that knows no context
		asked.Add(1)
		<-release
		return nil
	}, health.Timeout(20*time.Millisecond), health.CacheFor(0))
	response := get(t.Context(), engine, "/readyz")
	if response.Code != 503 || !strings.Contains(response.Body.String(), "not ready: db") {
		t.Errorf("%d %s", response.Code, response.Body)
	}
	before := runtime.NumGoroutine()
	for range 200 {
		if got := get(t.Context(), engine, "/readyz").Code; got != 503 {
			t.Fatalf("status %d while the check hangs", got)
		}
	}
	if got := h.Report(t.Context()).Components["db"].Error; got != "no answer within 20ms" {
		t.Errorf("error %q", got)
	}
	if got := asked.Load(); got != 1 {
		t.Errorf("asked %d times while it hung, want once", got)
	}
	if after := runtime.NumGoroutine(); after > before+10 {
		t.Errorf("%d goroutines after 200 probes, %d before", after, before)
	}
	close(release)
	eventually(t, "the service is ready again", func() bool { return get(t.Context(), engine, "/readyz").Code == 200 })
	want := []string{
		"ERROR a component fails: db", "INFO the check of a component that hung has returned: db", "INFO a component works again: db",
	}
	if diff := cmp.Diff(want, log.lines(t)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// A check that keeps to its context returns at the very moment when its time is up.
func TestACheckThatGivesUpInTimeIsNotAskedWithoutAPause(t *testing.T) {
	h, _, _ := newHealth()
	var asked atomic.Int64
	add(t, h, "db", func(ctx context.Context) error {
		asked.Add(1)
		<-ctx.Done()
		return ctx.Err()
	}, health.Timeout(time.Millisecond), health.CacheFor(time.Hour))
	for range 50 {
		if got := h.Report(t.Context()).Components["db"]; got.Error != "no answer within 1ms" {
			t.Fatalf("%+v", got)
		}
		runtime.Gosched()
	}
	if got := asked.Load(); got != 1 {
		t.Errorf("asked %d times within an hour, want once", got)
	}
}

func TestAPanickingCheckHasFailed(t *testing.T) {
	h, _, log := newHealth()
	add(t, h, "db", func(context.Context) error { panic("no such luck") }, health.CacheFor(0))
	for range 5 {
		if got := h.Report(t.Context()).Components["db"]; got.Status != health.Failing || got.Error != "the check panics: no such luck" {
			t.Errorf("%+v", got)
		}
	}
	if diff := cmp.Diff([]string{"ERROR a component fails: db"}, log.lines(t)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if !strings.Contains(log.b.String(), "health_test.go") {
		t.Error("the log does not say where the panic came from")
	}
}

func TestResultsAreKept(t *testing.T) {
	for name, tc := range map[string]struct {
		cache time.Duration
		want  int64
	}{"for an hour": {time.Hour, 1}, "not at all": {0, 5}, "for less than nothing": {-time.Second, 5}} {
		t.Run(name, func(t *testing.T) {
			h, _, _ := newHealth()
			var asked atomic.Int64
			add(t, h, "db", func(context.Context) error { asked.Add(1); return nil }, health.CacheFor(tc.cache))
			for range 5 {
				h.Report(t.Context())
			}
			if got := asked.Load(); got != tc.want {
				t.Errorf("asked %d times, want %d", got, tc.want)
			}
		})
	}
}

func TestTheLogHearsOfEachChangeOnce(t *testing.T) {
	h, _, log := newHealth()
	var fails atomic.Bool
	check := func(context.Context) error {
		if fails.Load() {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	add(t, h, "db", check, health.CacheFor(0))
	add(t, h, "cache", check, health.CacheFor(0), health.Optional())
	for _, now := range []bool{false, false, true, true, true, false, false, true} {
		fails.Store(now)
		h.Report(t.Context())
	}
	got := map[string]int{}
	for _, line := range log.lines(t) {
		got[line]++
	}
	want := map[string]int{
		"ERROR a component fails: db": 2, "INFO a component works again: db": 1,
		"WARN a component fails: cache": 2, "INFO a component works again: cache": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// Who asks may go away before the check has ended. The check goes on for the next, and its result is not that of the one who went.
func TestAClientThatGoesDoesNotEndTheCheck(t *testing.T) {
	h, engine, log := newHealth()
	release, began := make(chan struct{}), make(chan struct{})
	add(t, h, "db", func(ctx context.Context) error {
		close(began)
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, health.Timeout(patience), health.CacheFor(time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan int, 1)
	go func() { left <- get(ctx, engine, "/readyz").Code }()
	<-began
	cancel()
	if got := <-left; got != 503 {
		t.Errorf("status %d for one who has gone", got)
	}
	close(release)
	if got := get(t.Context(), engine, "/readyz"); got.Code != 200 {
		t.Errorf("%d %s for the next", got.Code, got.Body)
	}
	if lines := log.lines(t); len(lines) != 0 {
		t.Errorf("log %v, want nothing: the component works", lines)
	}
}

func TestReadyzAsksRequiredComponentsAlone(t *testing.T) {
	h, engine, _ := newHealth()
	add(t, h, "cache", func(context.Context) error { t.Error("an optional component is asked"); return nil }, health.Optional())
	if got := get(t.Context(), engine, "/readyz").Code; got != 200 {
		t.Errorf("status %d", got)
	}
	add(t, h, "db", func(context.Context) error { t.Error("a component is asked in a drain"); return nil })
	h.Drain()
	if got := get(t.Context(), engine, "/readyz").Code; got != 503 {
		t.Errorf("status %d", got)
	}
}

func TestConnectionsAreGivenUpInADrain(t *testing.T) {
	h, engine, _ := newHealth()
	handler := h.CloseWhenDraining(engine)
	if got := get(t.Context(), handler, "/livez").Header().Get("Connection"); got != "" {
		t.Errorf("Connection: %s before the drain", got)
	}
	h.Drain()
	for _, path := range []string{"/livez", "/nowhere"} {
		if got := get(t.Context(), handler, path).Header().Get("Connection"); got != "close" {
			t.Errorf("%s: Connection: %q in the drain", path, got)
		}
	}
}

// Probes, curious clients, components that come late, that flap, hang and panic, and a drain, all at once. The race detector watches.
func TestStorm(t *testing.T) {
	h, engine, _ := newHealth()
	var turn atomic.Int64
	for i := range 5 {
		add(t, h, fmt.Sprint("c", i), func(ctx context.Context) error {
			switch turn.Add(1) % 4 {
			case 0:
				return io.EOF
			case 1:
				panic("now and then")
			case 2:
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}, health.Timeout(time.Millisecond), health.CacheFor(time.Duration(i)*time.Millisecond))
	}
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for j := range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				if j%3 == 0 {
					cancel()
				}
				get(ctx, engine, []string{"/readyz", "/health", "/livez"}[j%3])
				cancel()
				if i == 0 {
					add(t, h, fmt.Sprint("late", j), fine)
				}
				if i == 1 && j == 40 {
					h.Drain()
				}
			}
		})
	}
	clients.Wait()
	if got := h.Report(t.Context()); got.Status != health.Draining || len(got.Components) != 55 {
		t.Errorf("status %s with %d components", got.Status, len(got.Components))
	}
}
