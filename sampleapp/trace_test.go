package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes spans by OTLP over HTTP.
type collector struct {
	*httptest.Server

	mu    sync.Mutex
	spans []*tracepb.Span
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	// The one field of ExportTraceServiceRequest is that of TracesData.
	var traces tracepb.TracesData
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(data, &traces) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range traces.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// span returns the span with an id, or nil while it is not there.
func (c *collector) span(id string) *tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, span := range c.spans {
		if hex.EncodeToString(span.GetSpanId()) == id {
			return span
		}
	}
	return nil
}

// logged returns the line of the log that a request has, once it is there.
func (p *program) logged(t *testing.T, route string, status int) map[string]any {
	t.Helper()
	var found map[string]any
	eventually(t, "the log has the request "+route, func() bool {
		for line := range strings.Lines(p.log()) {
			entry := map[string]any{}
			if json.Unmarshal([]byte(line), &entry) == nil && entry["route"] == route && entry["status"] == float64(status) {
				found = entry
				return true
			}
		}
		return false
	})
	return found
}

// Who has one id of a request finds everything that belongs to it.
func TestOneTraceLeadsEverywhere(t *testing.T) {
	const trace, client = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	spans, events, dependency := newCollector(t), newBroker(t), newBehind(t)
	p := start(t, "DRAIN_SECONDS=0", "AUTH=none", "LOG_REQUESTS=all", "OTEL_EXPORTER_OTLP_ENDPOINT="+spans.URL, "OTEL_BSP_SCHEDULE_DELAY=50",
		"KAFKA_BROKERS="+events.address, "DEPENDENCY_URL=http://"+dependency.address)
	at := p.address(t, "PORT")
	send := func(method, target, body string, want int) answer {
		got := ask(t, at, message(method, target, body, "traceparent", "00-"+trace+"-"+client+"-01"))
		if got.status != want {
			t.Fatalf("%s %s: %s", method, target, got)
		}
		return got
	}
	created := send(http.MethodPost, "/api/v1/users", newUser("ada"), http.StatusCreated)
	conflict := send(http.MethodPost, "/api/v1/users", newUser("ada"), http.StatusConflict)
	send(http.MethodGet, "/api/v1/dependency", "", http.StatusOK)

	var document struct{ TraceID, RequestID string }
	if err := json.Unmarshal([]byte(conflict.body), &document); err != nil || document.TraceID != trace {
		t.Errorf("the error document: %s", conflict)
	}
	line := p.logged(t, "/api/v1/users", http.StatusConflict)
	if line["trace_id"] != trace || line["requestId"] != document.RequestID || document.RequestID == "" {
		t.Errorf("the log has %v, want trace %s and request %q", line, trace, document.RequestID)
	}
	// The span that the log names is the client's child, and is where the others lead.
	server := p.spanOf(t, spans, line)
	if got := hex.EncodeToString(server.GetTraceId()); got != trace || hex.EncodeToString(server.GetParentSpanId()) != client || server.GetKind() != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("the span of the request is %v", server)
	}
	exemplar := `# {span_id="` + line["span_id"].(string) + `",trace_id="` + trace + `"}`
	other := `# {trace_id="` + trace + `",span_id="` + line["span_id"].(string) + `"}`
	metrics := ask(t, at, message(http.MethodGet, "/metrics", "", "Accept", "application/openmetrics-text")).body
	if found := exemplarOf(metrics, "409"); !strings.Contains(found, exemplar) && !strings.Contains(found, other) {
		t.Errorf("the metrics have %q, want %s", found, exemplar)
	}

	id := strings.TrimPrefix(created.header.Get("Location"), "/api/v1/users/")
	creating := p.logged(t, "/api/v1/users", http.StatusCreated)
	if got, want := traceparentOf(events.read(t, 1)[id]), "00-"+trace+"-"+creating["span_id"].(string)+"-01"; got != want {
		t.Errorf("the event has traceparent %q, want %q", got, want)
	}

	parts := strings.Split(dependency.header("traceparent"), "-")
	if len(parts) != 4 || parts[1] != trace || parts[3] != "01" {
		t.Fatalf("the dependency got traceparent %q", dependency.header("traceparent"))
	}
	eventually(t, "the collector has the call of the dependency", func() bool { return spans.span(parts[2]) != nil })
	call, asking := spans.span(parts[2]), p.spanOf(t, spans, p.logged(t, "/api/v1/dependency", http.StatusOK))
	if call.GetKind() != tracepb.Span_SPAN_KIND_CLIENT || !bytes.Equal(call.GetParentSpanId(), asking.GetSpanId()) {
		t.Errorf("the call of the dependency is %v, want a child of %v", call, asking)
	}
	p.signal(t)
	if status := p.waitEnd(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

// spanOf returns the span that a line of the log names, once the collector has it.
func (*program) spanOf(t *testing.T, spans *collector, line map[string]any) *tracepb.Span {
	t.Helper()
	id, _ := line["span_id"].(string)
	eventually(t, "the collector has span "+id, func() bool { return spans.span(id) != nil })
	return spans.span(id)
}

func traceparentOf(event *kgo.Record) string {
	for _, header := range event.Headers {
		if header.Key == "traceparent" {
			return string(header.Value)
		}
	}
	return ""
}

// exemplarOf returns the bucket with an exemplar of the creation of users that had a status.
func exemplarOf(metrics, status string) string {
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "http_server_request_duration_seconds_bucket{") && strings.Contains(line, `http_response_status_code="`+status+`"`) &&
			strings.Contains(line, `http_route="/api/v1/users"`) && strings.Contains(line, " # ") {
			return line
		}
	}
	return ""
}
