package tracing_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/gin-operator/gin-operator/ginkit/tracing"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	m.Run()
}

// received is a span as a collector gets it.
type received struct {
	*tracepb.Span
	resource map[string]string
}

func (r received) attribute(name string) string { return attributes(r.Attributes)[name] }

func attributes(list []*commonpb.KeyValue) map[string]string {
	set := map[string]string{}
	for _, a := range list {
		if text, ok := a.GetValue().GetValue().(*commonpb.AnyValue_StringValue); ok {
			set[a.GetKey()] = text.StringValue
		} else {
			set[a.GetKey()] = strconv.FormatInt(a.GetValue().GetIntValue(), 10)
		}
	}
	return set
}

// collector takes spans by OTLP/HTTP as a real one does, except where answer, which gets the number of the request from 1, says false.
type collector struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request, number int) (take bool)

	mu     sync.Mutex
	number int
	spans  []received
	last   *http.Request
}

func newCollector(t *testing.T, answer func(http.ResponseWriter, *http.Request, int) bool) *collector {
	t.Helper()
	c := &collector{answer: answer}
	c.Server = httptest.NewServer(c)
	t.Cleanup(func() {
		// Close waits for what hangs.
		c.CloseClientConnections()
		c.Close()
	})
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.mu.Lock()
	c.number++
	number := c.number
	c.last = r
	c.mu.Unlock()
	if c.answer != nil && !c.answer(w, r, number) {
		return
	}
	spans, err := decode(r, data)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	c.spans = append(c.spans, spans...)
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// decode reads an ExportTraceServiceRequest: field 1 is the spans of one resource, any number of times.
func decode(r *http.Request, data []byte) ([]received, error) {
	if r.Header.Get("Content-Encoding") == "gzip" {
		reader, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if data, err = io.ReadAll(reader); err != nil {
			return nil, err
		}
	}
	var spans []received
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if number != 1 || kind != protowire.BytesType {
			return nil, protowire.ParseError(min(n, -1))
		}
		text, m := protowire.ConsumeBytes(data[n:])
		if m < 0 {
			return nil, protowire.ParseError(m)
		}
		data = data[n+m:]
		var of tracepb.ResourceSpans
		if err := proto.Unmarshal(text, &of); err != nil {
			return nil, err
		}
		for _, scope := range of.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				spans = append(spans, received{Span: span, resource: attributes(of.GetResource().GetAttributes())})
			}
		}
	}
	return spans, nil
}

func (c *collector) requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.number
}

func (c *collector) received() []received {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]received(nil), c.spans...)
}

func (c *collector) header(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last.Header.Get(name)
}

// logged is what has been logged, line by line.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) lines() int { return strings.Count(l.String(), "\n") }

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

// start returns tracing that sends to the endpoint, with more of the environment as name, value, name, value.
func start(t testing.TB, endpoint string, more ...string) (*tracing.Tracing, *logged) {
	t.Helper()
	env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
	maps.Insert(env, pairs(more))
	log := &logged{}
	tr, err := tracing.New(tracing.Options{
		Service: "shop", Version: "v3", Instance: "shop-1", Local: true, Lookup: lookupIn(env), Log: slog.New(slog.NewJSONHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Ends what a test leaves behind, at once.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = tr.Shutdown(ctx)
	})
	return tr, log
}

// flush ends tracing, with more time than any machine needs.
func flush(t *testing.T, tr *tracing.Tracing) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := tr.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}

// pairs goes through name, value, name, value.
func pairs(texts []string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for pair := range slices.Chunk(texts, 2) {
			if !yield(pair[0], pair[1]) {
				return
			}
		}
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("after 30 s there is still not: %s", what)
		}
	}
}

// call sends a request with headers as name, value, name, value.
func call(handler http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, target, http.NoBody)
	for name, text := range pairs(headers) {
		request.Header.Add(name, text)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}
