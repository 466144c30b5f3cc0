package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/gin-operator/gin-operator/ginkit/tracing"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// parentContext is the context of a request that came in with traceparent.
func parentContext(t testing.TB) context.Context {
	t.Helper()
	id, err := trace.TraceIDFromHex(traceID)
	if err != nil {
		t.Fatal(err)
	}
	span, err := trace.SpanIDFromHex(spanID)
	if err != nil {
		t.Fatal(err)
	}
	return trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: span, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
}

func get(ctx context.Context, t testing.TB, target string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func TestAnOutgoingCallIsASpan(t *testing.T) {
	var sent http.Header
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("later"))
	}))
	defer backend.Close()
	to := newCollector(t, nil)
	tr, _ := start(t, to.URL)
	client := &http.Client{Transport: tr.Transport(nil)}
	address := strings.TrimPrefix(backend.URL, "http://")
	request := get(parentContext(t), t, "http://me:s3cret@"+address+"/a%20b?page=2&key=s3cret&s3cret#part")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || string(text) != "later" {
		t.Errorf("the answer is %q, error %v", text, err)
	}
	flush(t, tr)

	span := to.received()[0]
	if got := fmt.Sprintf("%x %x", span.GetTraceId(), span.GetParentSpanId()); got != traceID+" "+spanID {
		t.Errorf("trace and parent are %s", got)
	}
	if got, want := sent.Get("Traceparent"), fmt.Sprintf("00-%s-%x-01", traceID, span.GetSpanId()); got != want {
		t.Errorf("traceparent is %s, want %s", got, want)
	}
	if request.Header.Get("Traceparent") != "" {
		t.Error("the caller's request is changed")
	}
	host, port, _ := strings.Cut(address, ":")
	want := map[string]string{
		"http.request.method": "GET", "server.address": host, "server.port": port, "http.response.status_code": "503", "error.type": "503",
		"url.full": "http://" + address + "/a%20b?page=REDACTED&key=REDACTED&REDACTED",
	}
	if diff := cmp.Diff(want, attributes(span.GetAttributes())); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if span.GetName() != "GET" || span.GetKind() != tracepb.Span_SPAN_KIND_CLIENT || span.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("span is %v", span)
	}
}

func TestACallThatFailsIsAnError(t *testing.T) {
	reset := errors.New("connection reset")
	tests := map[string]struct {
		next roundTripper
		want string
	}{
		"before the answer": {func(*http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Get", URL: "http://x/?key=s3cret", Err: reset}
		}, "connection reset"},
		"in the middle of it": {func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{reset}))}, nil
		}, "connection reset"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			to := newCollector(t, nil)
			tr, _ := start(t, to.URL)
			response, err := tr.Transport(tc.next).RoundTrip(get(t.Context(), t, "http://next/"))
			if err == nil {
				_, err = io.ReadAll(response.Body)
				response.Body.Close()
			}
			if !errors.Is(err, reset) {
				t.Errorf("error is %v", err)
			}
			flush(t, tr)
			if spans := to.received(); len(spans) != 1 || spans[0].GetStatus().GetMessage() != tc.want {
				t.Errorf("spans are %v, want one with %q", spans, tc.want)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestASpanEndsWithItsBody(t *testing.T) {
	tests := map[string]struct {
		status int
		body   io.ReadCloser
		use    func(io.ReadCloser)
	}{
		"that is read":            {200, io.NopCloser(strings.NewReader("x")), func(b io.ReadCloser) { _, _ = io.ReadAll(b) }},
		"that is closed unread":   {200, io.NopCloser(strings.NewReader("x")), func(b io.ReadCloser) { b.Close() }},
		"that is read and closed": {200, io.NopCloser(strings.NewReader("x")), func(b io.ReadCloser) { _, _ = io.ReadAll(b); b.Close() }},
		"that there is not":       {204, http.NoBody, func(io.ReadCloser) {}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			to := newCollector(t, nil)
			tr, _ := start(t, to.URL)
			response, err := tr.Transport(roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: tc.status, Body: tc.body}, nil
			})).RoundTrip(get(t.Context(), t, "http://next/"))
			if err != nil {
				t.Fatal(err)
			}
			tc.use(response.Body)
			flush(t, tr)
			response.Body.Close()
			if got := len(to.received()); got != 1 {
				t.Errorf("%d spans, want 1", got)
			}
		})
	}
}

type connection struct{ io.ReadWriteCloser }

func TestASwitchOfProtocolsKeepsItsConnection(t *testing.T) {
	to := newCollector(t, nil)
	tr, _ := start(t, to.URL)
	response, err := tr.Transport(roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusSwitchingProtocols, Body: connection{}}, nil
	})).RoundTrip(get(t.Context(), t, "http://next/")) //nolint:bodyclose // there is none
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := response.Body.(io.ReadWriteCloser); !ok {
		t.Errorf("the body is a %T, which can't be written to", response.Body)
	}
}

func TestWithoutTracingOnlyIdsGoOut(t *testing.T) {
	var sent *http.Request
	transport := (*tracing.Tracing)(nil).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = r
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))
	tests := map[string]struct {
		request *http.Request
		want    string
	}{
		"those that came in": {get(parentContext(t), t, "http://next/"), traceparent},
		"none":               {get(t.Context(), t, "http://next/"), ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			response, err := transport.RoundTrip(tc.request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if got := sent.Header.Get("Traceparent"); got != tc.want {
				t.Errorf("traceparent is %q, want %q", got, tc.want)
			}
		})
	}
}
