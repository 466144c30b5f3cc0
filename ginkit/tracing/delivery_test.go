package tracing_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
)

// service answers with 200 behind a middleware.
func service(middleware gin.HandlerFunc) *gin.Engine {
	engine := gin.New()
	engine.Use(middleware)
	engine.GET("/users/:id", func(c *gin.Context) { c.String(http.StatusOK, c.Param("id")) })
	return engine
}

// serve makes requests and fails where one is not answered as it would be without tracing.
func serve(t *testing.T, engine http.Handler, requests int) {
	t.Helper()
	for i := range requests {
		if got := call(engine, fmt.Sprintf("/users/%d", i)); got.Code != http.StatusOK || got.Body.String() != fmt.Sprint(i) {
			t.Fatalf("request %d is answered %d %q", i, got.Code, got.Body)
		}
	}
}

func TestEverySpanArrivesOnce(t *testing.T) {
	for _, compression := range []string{"none", "gzip"} {
		t.Run(compression, func(t *testing.T) {
			to := newCollector(t, nil)
			tr, log := start(t, to.URL, "OTEL_EXPORTER_OTLP_COMPRESSION", compression, "OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b,x-team = shop",
				"POD_NAME", "shop-blue-7", "POD_NAMESPACE", "prod", "GIN_SERVICE_COLOR", "blue", "GIN_SERVICE_REVISION", "abc",
				"OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=pro%64")
			// More than one batch, less than the queue.
			const requests = 700
			serve(t, service(tr.Middleware()), requests)
			flush(t, tr)

			paths := map[string]int{}
			for _, span := range to.received() {
				paths[span.attribute("url.path")]++
			}
			if len(paths) != requests || len(to.received()) != requests {
				t.Errorf("%d spans of %d requests, want %d of each", len(to.received()), len(paths), requests)
			}
			span := to.received()[0]
			if span.GetName() != "GET /users/:id" || span.attribute("http.route") != "/users/:id" || span.attribute("http.response.status_code") != "200" {
				t.Errorf("a span is %v", span)
			}
			delete(span.resource, "telemetry.sdk.version")
			want := map[string]string{
				"service.name": "shop", "service.version": "v3", "service.instance.id": "shop-1", "k8s.pod.name": "shop-blue-7", "k8s.namespace.name": "prod",
				"gin_service.color": "blue", "gin_service.revision": "abc", "deployment.environment.name": "prod",
				"telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "go",
			}
			if diff := cmp.Diff(want, span.resource); diff != "" {
				t.Errorf("resource (-want +got):\n%s", diff)
			}
			if key, team := to.header("Api-Key"), to.header("X-Team"); key != "a b" || team != "shop" {
				t.Errorf("headers are %q and %q", key, team)
			}
			if log.lines() != 0 {
				t.Errorf("logged %s", log)
			}
		})
	}
}

func TestSpansAreSentWithoutShutdown(t *testing.T) {
	to := newCollector(t, nil)
	tr, _ := start(t, to.URL, "OTEL_BSP_SCHEDULE_DELAY", "10")
	serve(t, service(tr.Middleware()), 3)
	eventually(t, "three spans", func() bool { return len(to.received()) == 3 })
}

func TestWhereSpansGo(t *testing.T) {
	tests := map[string]struct {
		env  func(url string) []string
		want string
	}{
		"the endpoint of all signals gets a path": {func(url string) []string { return []string{"OTEL_EXPORTER_OTLP_ENDPOINT", url} }, "/v1/traces"},
		"with a path before it":                   {func(url string) []string { return []string{"OTEL_EXPORTER_OTLP_ENDPOINT", url + "/otlp/"} }, "/otlp/v1/traces"},
		"the endpoint of traces stays as it is":   {func(url string) []string { return []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url + "/in"} }, "/in"},
		"and without a path it is the root":       {func(url string) []string { return []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url} }, "/"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			to := newCollector(t, nil)
			// The endpoint for traces goes before this one.
			tr, _ := start(t, "http://127.0.0.1:1", tc.env(to.URL)...)
			serve(t, service(tr.Middleware()), 1)
			flush(t, tr)
			if len(to.received()) != 1 || to.last.URL.Path != tc.want {
				t.Errorf("%d spans went to %q, want 1 to %q", len(to.received()), to.last.URL.Path, tc.want)
			}
		})
	}
}

func TestACollectorWithItsOwnAuthority(t *testing.T) {
	to := &collector{}
	to.Server = httptest.NewTLSServer(to)
	defer to.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: to.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	tr, log := start(t, to.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE", file)
	serve(t, service(tr.Middleware()), 1)
	flush(t, tr)
	if len(to.received()) != 1 {
		t.Errorf("%d spans arrived: %s", len(to.received()), log)
	}
}

func TestABusyCollectorGetsTheSpansLater(t *testing.T) {
	for _, status := range []int{429, 502, 503, 504} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			to := newCollector(t, func(w http.ResponseWriter, _ *http.Request, number int) bool {
				if number == 1 {
					w.WriteHeader(status)
				}
				return number > 1
			})
			tr, log := start(t, to.URL, "OTEL_EXPORTER_OTLP_TIMEOUT", "30000")
			serve(t, service(tr.Middleware()), 5)
			flush(t, tr)
			if len(to.received()) != 5 || to.requests() != 2 || log.lines() != 0 {
				t.Errorf("%d spans in %d requests, want 5 in 2; logged %s", len(to.received()), to.requests(), log)
			}
		})
	}
}

func TestRetryAfterIsKept(t *testing.T) {
	var first, second time.Time
	to := newCollector(t, func(w http.ResponseWriter, _ *http.Request, number int) bool {
		if number > 1 {
			second = time.Now()
			return true
		}
		first = time.Now()
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	})
	tr, _ := start(t, to.URL, "OTEL_EXPORTER_OTLP_TIMEOUT", "30000")
	serve(t, service(tr.Middleware()), 1)
	flush(t, tr)
	if pause := second.Sub(first); len(to.received()) != 1 || pause < 2*time.Second {
		t.Errorf("%d spans after %s, want 1 after 2s or more", len(to.received()), pause)
	}
}

func TestWhatIsLostIsSaidOnce(t *testing.T) {
	tests := map[string]struct {
		answer func(w http.ResponseWriter)
		want   string
	}{
		"a retry after the timeout": {
			func(w http.ResponseWriter) {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusServiceUnavailable)
			}, "the collector answers 503 Service Unavailable",
		},
		"a batch that it doesn't like": {
			func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/x-protobuf")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write(protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), "no such tenant"))
			}, `the collector answers 400 Bad Request: \"no such tenant\"`,
		},
		"an error that is garbage": {
			func(w http.ResponseWriter) {
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = w.Write([]byte("\xff\xff\x00garbage"))
			}, "the collector answers 500 Internal Server Error",
		},
		"a redirect, which would carry the key elsewhere": {
			func(w http.ResponseWriter) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(http.StatusTemporaryRedirect)
			}, "the collector answers 307 Temporary Redirect",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			to := newCollector(t, func(w http.ResponseWriter, _ *http.Request, _ int) bool { tc.answer(w); return false })
			tr, log := start(t, to.URL, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1", "OTEL_EXPORTER_OTLP_TIMEOUT", "30000")
			serve(t, service(tr.Middleware()), 4)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			// How many of the four are lost before Shutdown, which says only what it loses itself, is a matter of luck.
			_ = tr.Shutdown(ctx)
			if to.requests() != 4 {
				t.Errorf("%d requests of 4 batches, so something was tried again", to.requests())
			}
			if log.lines() != 1 || !strings.Contains(log.String(), tc.want) {
				t.Errorf("logged %d lines, want 1 with %s:\n%s", log.lines(), tc.want, log)
			}
		})
	}
}

func TestWhatACollectorSaysWithSuccess(t *testing.T) {
	field := func(number protowire.Number, text []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), text)
	}
	rejected := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 3)
	tests := map[string]struct {
		contentType string
		body        []byte
		want        string
	}{
		"nothing":                       {"application/x-protobuf", nil, ""},
		"an empty message":              {"application/x-protobuf", field(1, nil), ""},
		"that three spans were refused": {"application/x-protobuf", field(1, append(rejected, field(2, []byte("too old"))...)), `3 were refused: \"too old\"`},
		"a page for people":             {"text/html", []byte("<html>"), "may be no collector"},
		"garbage":                       {"application/x-protobuf", []byte("\xff\xff\xff"), "may be no collector"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			to := newCollector(t, func(w http.ResponseWriter, _ *http.Request, _ int) bool {
				w.Header().Set("Content-Type", tc.contentType)
				_, _ = w.Write(tc.body)
				return false
			})
			tr, log := start(t, to.URL)
			serve(t, service(tr.Middleware()), 1)
			flush(t, tr)
			if tc.want == "" && log.lines() != 0 || !strings.Contains(log.String(), tc.want) {
				t.Errorf("logged %q, want %q", log, tc.want)
			}
		})
	}
}

func TestAnAnswerWithoutEndIsLeftAlone(t *testing.T) {
	ended := make(chan struct{})
	to := newCollector(t, func(w http.ResponseWriter, r *http.Request, _ int) bool {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				break
			}
		}
		close(ended)
		return false
	})
	tr, _ := start(t, to.URL, "OTEL_EXPORTER_OTLP_TIMEOUT", "3600000", "OTEL_BSP_EXPORT_TIMEOUT", "3600000")
	serve(t, service(tr.Middleware()), 1)
	flush(t, tr)
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the answer is still being read")
	}
}

func TestRequestsDontWaitForTheCollector(t *testing.T) {
	// Longer than the queue, so that spans are dropped too.
	const requests = 5000
	t.Run("which hangs", func(t *testing.T) {
		to := newCollector(t, func(_ http.ResponseWriter, r *http.Request, _ int) bool { <-r.Context().Done(); return false })
		tr, _ := start(t, to.URL, "OTEL_BSP_SCHEDULE_DELAY", "1", "OTEL_EXPORTER_OTLP_TIMEOUT", "3600000", "OTEL_BSP_EXPORT_TIMEOUT", "3600000")
		engine := service(tr.Middleware())
		serve(t, engine, 1)
		eventually(t, "a batch at the collector", func() bool { return to.requests() == 1 })
		// The collector answers none of these, nor the one before, until the test is over.
		serve(t, engine, requests)
		if to.requests() != 1 {
			t.Errorf("%d batches, want the one that hangs", to.requests())
		}
	})
	t.Run("which is gone", func(t *testing.T) {
		// Not the port of a collector that was closed, which somebody else may get.
		tr, log := start(t, "http://127.0.0.1:1", "OTEL_BSP_SCHEDULE_DELAY", "1", "OTEL_EXPORTER_OTLP_TIMEOUT", "100")
		serve(t, service(tr.Middleware()), requests)
		eventually(t, "a line in the log", func() bool { return strings.Contains(log.String(), "spans are lost") })
	})
}

func TestShutdownEndsInTime(t *testing.T) {
	for name, before := range map[string]time.Duration{"a collector that hangs": 50 * time.Millisecond, "no time at all": 0} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan struct{}, 1)
			to := newCollector(t, func(_ http.ResponseWriter, r *http.Request, _ int) bool {
				<-r.Context().Done()
				gone <- struct{}{}
				return false
			})
			tr, _ := start(t, to.URL, "OTEL_EXPORTER_OTLP_TIMEOUT", "3600000", "OTEL_BSP_EXPORT_TIMEOUT", "3600000", "OTEL_BSP_SCHEDULE_DELAY", "1")
			serve(t, service(tr.Middleware()), 10)
			eventually(t, "a batch at the collector", func() bool { return to.requests() > 0 })
			ctx, cancel := context.WithTimeout(t.Context(), before)
			defer cancel()
			// Without the deadline this takes an hour.
			if err := tr.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error is %v, want that the deadline has passed", err)
			}
			select {
			case <-gone:
			case <-time.After(30 * time.Second):
				t.Error("the request to the collector outlives Shutdown")
			}
			if err := tr.Shutdown(t.Context()); err != nil {
				t.Errorf("a second Shutdown: %v", err)
			}
		})
	}
}

func TestShutdownSaysWhatItLoses(t *testing.T) {
	to := newCollector(t, func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.WriteHeader(http.StatusUnauthorized)
		return false
	})
	tr, _ := start(t, to.URL, "OTEL_BSP_SCHEDULE_DELAY", "3600000")
	serve(t, service(tr.Middleware()), 7)
	if err := tr.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "7 spans were not delivered") {
		t.Errorf("error is %v", err)
	}
}
