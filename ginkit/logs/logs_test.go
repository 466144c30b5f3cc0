package logs_test

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
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/gin-operator/gin-operator/ginkit/logs"
	"github.com/gin-operator/gin-operator/ginkit/problem"
	"github.com/gin-operator/gin-operator/ginkit/requestid"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

func inTrace(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{0xab}, SpanID: trace.SpanID{0xcd}}))
}

// slow is above what any request takes that does not wait.
const slow = time.Hour

// newEngine has the middlewares in the order that a service has them.
func newEngine(log *slog.Logger, mode logs.Mode, slow time.Duration) *gin.Engine {
	engine := gin.New()
	engine.Use(requestid.Middleware(), logs.Requests(log, mode, slow), problem.Recover(slog.New(slog.DiscardHandler)), problem.Errors())
	engine.NoRoute(problem.NoRoute)
	engine.GET("/fine/:id", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	engine.GET("/broken/:id", func(c *gin.Context) {
		problem.Write(c, problem.New(http.StatusBadGateway, "no_backend", "the backend is away").WithCause(io.ErrUnexpectedEOF))
	})
	engine.GET("/failed/:id", func(c *gin.Context) { _ = c.Error(io.ErrUnexpectedEOF) })
	engine.GET("/panic/:id", func(*gin.Context) { panic("no such luck") })
	engine.GET("/refused/:id", func(c *gin.Context) {
		problem.Write(c, problem.Invalid(fmt.Errorf("what they sent: %s %s %s", c.Param("id"), c.Query("q"), c.GetHeader("X-Secret"))))
	})
	return engine
}

// paths are a request of each kind, full of what the client has to say.
var paths = []string{"/fine/hunter2", "/nowhere/hunter2", "/refused/hunter2?q=hunter2", "/broken/hunter2?q=hunter2", "/failed/hunter2", "/panic/hunter2"}

func do(ctx context.Context, engine http.Handler, path string) {
	request := httptest.NewRequestWithContext(inTrace(ctx), http.MethodGet, path, strings.NewReader("hunter2"))
	request.Header.Set(requestid.Header, "the-id")
	for _, name := range []string{"X-Secret", "User-Agent", "Cookie", "Authorization", "X-Forwarded-For", "Referer"} {
		request.Header.Set(name, "hunter2")
	}
	request.Host, request.RemoteAddr = "hunter2.example", "203.0.113.7:4711"
	engine.ServeHTTP(httptest.NewRecorder(), request)
}

var (
	timestamp = regexp.MustCompile(`"timestamp":"[^"]+"`)
	latency   = regexp.MustCompile(`"latencyMs":[0-9.e+-]+`)
)

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = latency.ReplaceAllString(timestamp.ReplaceAllString(got, `"timestamp":"…"`), `"latencyMs":0`)
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil { //nolint:gosec // for everybody to read
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestLinesAgainstGoldens(t *testing.T) {
	for _, mode := range []logs.Mode{logs.Problems, logs.All} {
		var log bytes.Buffer
		engine := newEngine(logs.New(&log, slog.LevelInfo), mode, slow)
		for _, path := range paths {
			do(t.Context(), engine, path)
		}
		golden(t, string(mode)+".txt", log.String())
	}
}

func TestNothingThatTheClientSentIsLogged(t *testing.T) {
	var log bytes.Buffer
	engine := newEngine(logs.New(&log, slog.LevelDebug), logs.All, time.Nanosecond)
	for _, path := range paths {
		do(t.Context(), engine, path)
	}
	if lines := strings.Count(log.String(), "\n"); lines != len(paths) {
		t.Errorf("%d lines, want %d", lines, len(paths))
	}
	for _, word := range []string{"hunter2", "203.0.113.7", "/nowhere"} {
		if strings.Contains(log.String(), word) {
			t.Errorf("the log has %s:\n%s", word, log.String())
		}
	}
}

func TestWhichRequestsAreLogged(t *testing.T) {
	const none, all = 0, "INFO 204,INFO 404,INFO 400,ERROR 502,ERROR 500,ERROR 500"
	tests := map[string]struct {
		mode  logs.Mode
		slow  time.Duration
		level slog.Level
		want  string
	}{
		"problems":                 {mode: logs.Problems, slow: slow, want: "ERROR 502,ERROR 500,ERROR 500"},
		"no mode":                  {mode: "", slow: slow, want: "ERROR 502,ERROR 500,ERROR 500"},
		"problems, all of it slow": {mode: logs.Problems, slow: 1, want: "WARN 204,WARN 404,WARN 400,ERROR 502,ERROR 500,ERROR 500"},
		"problems, nothing slow":   {mode: logs.Problems, slow: none, want: "ERROR 502,ERROR 500,ERROR 500"},
		"errors alone":             {mode: logs.Problems, slow: 1, level: slog.LevelError, want: "ERROR 502,ERROR 500,ERROR 500"},
		"all":                      {mode: logs.All, slow: slow, want: all},
		"all, from a level on":     {mode: logs.All, slow: slow, level: slog.LevelWarn, want: "ERROR 502,ERROR 500,ERROR 500"},
		"none":                     {mode: logs.None, slow: 1, want: ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			engine := newEngine(logs.New(&log, tc.level), tc.mode, tc.slow)
			for _, path := range paths {
				do(t.Context(), engine, path)
			}
			var got []string
			for _, line := range decode(t, &log) {
				got = append(got, fmt.Sprintf("%v %v", line["level"], line["status"]))
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, ",")); diff != "" {
				t.Errorf("logged (-want +got):\n%s", diff)
			}
		})
	}
}

func decode(t *testing.T, log io.Reader) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for decoder := json.NewDecoder(log); ; {
		var line map[string]any
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
}

// A thousand failures take a moment, or longer on a slow machine: in any case there are far fewer lines, and nothing is lost from the count.
func TestAFloodIsCounted(t *testing.T) {
	var log bytes.Buffer
	engine := newEngine(logs.New(&log, slog.LevelInfo), logs.Problems, slow)
	began, sent := time.Now(), 0
	// Until a second has begun that tells of the one before.
	for told := false; !told; {
		if time.Since(began) > 30*time.Second {
			t.Fatal("no line says how many were left out")
		}
		do(t.Context(), engine, "/broken/1")
		sent++
		told = bytes.Contains(log.Bytes()[max(0, log.Len()-400):], []byte(`"suppressed":`))
	}
	lines := decode(t, &log)
	suppressed := lines[len(lines)-1]["suppressed"].(float64)
	if float64(len(lines))+suppressed != float64(sent) {
		t.Errorf("%d lines and %v suppressed of %d requests", len(lines), suppressed, sent)
	}
	if most := 100 * (int(time.Since(began).Seconds()) + 2); len(lines) > most {
		t.Errorf("%d lines, want %d at most", len(lines), most)
	}
}

func TestTraceIDsInWhateverIsLoggedWithTheContext(t *testing.T) {
	var text bytes.Buffer
	log := logs.New(&text, slog.LevelInfo)
	log.InfoContext(inTrace(t.Context()), "plain", "a", 1)
	log.With("b", 2).InfoContext(inTrace(t.Context()), "with attributes")
	log.InfoContext(t.Context(), "no trace")
	log.Info("no context", "g", slog.GroupValue(slog.String("time", "kept"), slog.String("msg", "kept")))
	log.Debug("below the level")
	golden(t, "trace.txt", text.String())
}

func TestTheLevelChangesWhileTheServiceRuns(t *testing.T) {
	var text bytes.Buffer
	var level slog.LevelVar
	log := logs.New(&text, &level)
	log.Debug("one")
	level.Set(slog.LevelDebug)
	log.Debug("two")
	if lines := decode(t, &text); len(lines) != 1 || lines[0]["message"] != "two" {
		t.Errorf("lines %v", lines)
	}
}

// Handlers may share the record that they are given: adding to it must not change what others see.
func TestRecordsOfOthersStayAsTheyAre(t *testing.T) {
	var one, two bytes.Buffer
	a, b := logs.New(&one, slog.LevelInfo).Handler(), logs.New(&two, slog.LevelInfo).Handler()
	record := slog.NewRecord(time.Unix(0, 0), slog.LevelInfo, "x", 0)
	for i := range 9 {
		record.AddAttrs(slog.Int(fmt.Sprint("a", i), i))
	}
	for _, handler := range []slog.Handler{a, b} {
		if err := handler.Handle(inTrace(t.Context()), record); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(one.String(), two.String()); diff != "" || strings.Contains(two.String(), "BUG") {
		t.Errorf("the second line differs from the first:\n%s", diff)
	}
}

func TestModesAreReadByName(t *testing.T) {
	for name, want := range map[string]logs.Mode{"problems": logs.Problems, "all": logs.All, "none": logs.None} {
		var got logs.Mode
		if err := got.UnmarshalText([]byte(name)); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "ALL", "some"} {
		mode := logs.All
		if err := mode.UnmarshalText([]byte(name)); err == nil || err.Error() != "must be problems, all or none" || mode != logs.All {
			t.Errorf("%q: mode %q, error %v", name, mode, err)
		}
	}
}
