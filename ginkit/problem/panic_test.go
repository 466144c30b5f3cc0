package problem_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/requestid"
)

func TestAPanicIsLoggedWithItsStackAndTheIDOfTheRequest(t *testing.T) {
	var logged bytes.Buffer
	engine := newEngine(slog.New(slog.NewJSONHandler(&logged, nil)))
	engine.GET("/users/:id", func(*gin.Context) { panic("no such luck") })
	response := do(engine, http.MethodGet, "/users/7", "", requestid.Header, "the-id")
	if got := read(t, response); response.Code != 500 || got.RequestID != "the-id" {
		t.Errorf("answer %d %+v", response.Code, got)
	}
	var line map[string]any
	if err := json.Unmarshal(logged.Bytes(), &line); err != nil {
		t.Fatalf("log %q, want one line: %v", logged.String(), err)
	}
	if line["level"] != "ERROR" || line["cause"] != "no such luck" || line["route"] != "/users/:id" || line["requestId"] != "the-id" ||
		!strings.Contains(fmt.Sprint(line["stack"]), "panic_test.go") {
		t.Errorf("log is %v, want the cause, the route, the request's id and the stack", line)
	}
}

// What a client of a real server sees of a handler that panics.
func TestPanicsOverTheWire(t *testing.T) {
	tests := map[string]struct {
		handler    gin.HandlerFunc
		wantStatus int // 0: the connection is cut
		wantLogged bool
	}{
		"before the answer": {handler: func(*gin.Context) { panic("early") }, wantStatus: 500, wantLogged: true},
		"after a status that nobody has seen": {handler: func(c *gin.Context) {
			c.Status(201)
			panic("early")
		}, wantStatus: 500, wantLogged: true},
		"after half an answer": {handler: func(c *gin.Context) {
			_, _ = c.Writer.WriteString("half an ans")
			c.Writer.Flush()
			panic("late")
		}, wantLogged: true},
		"after half an answer in a buffer": {handler: func(c *gin.Context) {
			_, _ = c.Writer.WriteString("half an ans")
			panic("late")
		}, wantLogged: true},
		"to cut the connection": {handler: func(*gin.Context) { panic(http.ErrAbortHandler) }},
		"to cut the connection, wrapped": {handler: func(*gin.Context) {
			panic(fmt.Errorf("the other side has gone: %w", http.ErrAbortHandler))
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var logged bytes.Buffer
			engine := newEngine(slog.New(slog.NewJSONHandler(&logged, nil)))
			engine.GET("/", tc.handler)
			server := httptest.NewUnstartedServer(engine)
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
			server.Start()
			status, body, err := get(t, server.URL)
			server.Close() // waits for the handler, and so for the log
			if tc.wantStatus == 0 && err == nil {
				t.Errorf("status %d, body %q, want a connection that is cut", status, body)
			}
			if tc.wantStatus != 0 && (err != nil || status != tc.wantStatus) {
				t.Errorf("status %d (%v), want %d", status, err, tc.wantStatus)
			}
			if got := logged.Len() > 0; got != tc.wantLogged {
				t.Errorf("logged %q, want a line: %v", logged.String(), tc.wantLogged)
			}
		})
	}
}

func get(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	return response.StatusCode, string(all), err
}

func TestRecoverWithoutALogUsesTheDefault(t *testing.T) {
	var logged bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewJSONHandler(&logged, nil)))
	engine := newEngine(nil)
	engine.GET("/", func(*gin.Context) { panic("no") })
	if response := do(engine, http.MethodGet, "/", ""); response.Code != 500 || !strings.Contains(logged.String(), "panic in a handler") {
		t.Errorf("status %d, log %q", response.Code, logged.String())
	}
}
