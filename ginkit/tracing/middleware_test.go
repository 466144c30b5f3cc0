package tracing_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/gin-operator/gin-operator/ginkit/problem"
	"github.com/gin-operator/gin-operator/ginkit/tracing"
)

const (
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	spanID      = "b7ad6b7169203331"
	traceparent = "00-" + traceID + "-" + spanID + "-01"
)

func TestTheTraceOfTheCallerGoesOn(t *testing.T) {
	to := newCollector(t, nil)
	on, _ := start(t, to.URL)
	for name, middleware := range map[string]gin.HandlerFunc{"with tracing": on.Middleware(), "without": tracing.Propagate()} {
		t.Run(name, func(t *testing.T) {
			var seen trace.SpanContext
			var tenant string
			engine := gin.New()
			engine.Use(middleware)
			engine.GET("/", func(c *gin.Context) {
				seen, tenant = trace.SpanContextFromContext(c.Request.Context()), baggage.FromContext(c.Request.Context()).Member("tenant").Value()
				problem.Write(c, problem.New(http.StatusTeapot, "teapot", "no coffee"))
			})
			got := call(engine, "/", "Traceparent", traceparent, "Tracestate", "vendor=x", "Baggage", "tenant=7", "Baggage", "b=2")
			if seen.TraceID().String() != traceID || seen.TraceState().String() != "vendor=x" || tenant != "7" {
				t.Errorf("the handler has trace %s, state %q, tenant %q", seen.TraceID(), seen.TraceState(), tenant)
			}
			if !strings.Contains(got.Body.String(), `"traceId":"`+traceID+`"`) {
				t.Errorf("the error is %s", got.Body)
			}
		})
	}
	flush(t, on)
	if spans := to.received(); len(spans) != 1 || fmt.Sprintf("%x %x", spans[0].GetTraceId(), spans[0].GetParentSpanId()) != traceID+" "+spanID {
		t.Errorf("spans are %v, want one with the caller's as parent", spans)
	}
}

func TestWhichRequestsHaveASpan(t *testing.T) {
	long := strings.Repeat("x", 3000)
	tests := map[string]struct {
		target  string
		headers []string
		want    string
	}{
		"a route":                          {"/users/7?token=secret", nil, "GET /users/:id"},
		"no route":                         {"/nowhere", nil, "GET"},
		"the probe of life":                {"/livez", nil, ""},
		"that of readiness":                {"/readyz", nil, ""},
		"health":                           {"/health", nil, ""},
		"metrics":                          {"/metrics", nil, ""},
		"a long query":                     {"/users/7?" + long, nil, "GET /users/:id"},
		"a path that would fill the queue": {"/users/" + long, nil, ""},
		"a user agent that would":          {"/users/7", []string{"User-Agent", long}, ""},
		"a chain of proxies that would":    {"/users/7", []string{"X-Forwarded-For", long}, ""},
		"a state that would":               {"/users/7", []string{"Tracestate", "a=" + long}, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			to := newCollector(t, nil)
			tr, _ := start(t, to.URL)
			engine := service(tr.Middleware())
			for _, probe := range []string{"/livez", "/readyz", "/health", "/metrics"} {
				engine.GET(probe, func(c *gin.Context) { c.Status(http.StatusOK) })
			}
			call(engine, tc.target, tc.headers...)
			flush(t, tr)
			var names []string
			for _, span := range to.received() {
				names = append(names, span.GetName())
				if strings.Contains(span.String(), "secret") {
					t.Errorf("the span has the query: %v", span)
				}
			}
			if got := strings.Join(names, ", "); got != tc.want {
				t.Errorf("spans are %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWhichSpansAreErrors(t *testing.T) {
	tests := map[string]struct {
		handler gin.HandlerFunc
		want    tracepb.Status_StatusCode
	}{
		"all is well":           {func(c *gin.Context) { c.Status(http.StatusOK) }, tracepb.Status_STATUS_CODE_UNSET},
		"the client's fault":    {func(c *gin.Context) { problem.Write(c, problem.New(404, "", "not here")) }, tracepb.Status_STATUS_CODE_UNSET},
		"the service's fault":   {func(c *gin.Context) { problem.Write(c, errors.New("no disk")) }, tracepb.Status_STATUS_CODE_ERROR},
		"a panic, recovered in": {func(*gin.Context) { panic("oh") }, tracepb.Status_STATUS_CODE_ERROR},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			to := newCollector(t, nil)
			tr, _ := start(t, to.URL)
			engine := gin.New()
			engine.Use(tr.Middleware(), problem.Recover(slog.New(slog.DiscardHandler)))
			engine.GET("/", tc.handler)
			call(engine, "/")
			flush(t, tr)
			span := to.received()[0]
			if got := span.GetStatus().GetCode(); got != tc.want {
				t.Errorf("status is %v, want %v", got, tc.want)
			}
			if got := span.attribute("error.type") != ""; got != (tc.want == tracepb.Status_STATUS_CODE_ERROR) {
				t.Errorf("error.type is %q", span.attribute("error.type"))
			}
		})
	}
}

func TestGlobalsAreSetUnlessLocal(t *testing.T) {
	provider, propagator, handler := otel.GetTracerProvider(), otel.GetTextMapPropagator(), otel.GetErrorHandler()
	defer func() {
		otel.SetTracerProvider(provider)
		otel.SetTextMapPropagator(propagator)
		otel.SetErrorHandler(handler)
	}()
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator()) // another test may have set one
	to := newCollector(t, nil)
	local, _ := start(t, to.URL)
	if otel.GetTracerProvider() == local.Provider() || len(otel.GetTextMapPropagator().Fields()) > 0 {
		t.Error("Local sets globals")
	}
	log := &logged{}
	tr, err := tracing.New(tracing.Options{
		Lookup: lookupIn(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": to.URL}), Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, span := otel.Tracer("library").Start(t.Context(), "query")
	span.End()
	otel.Handle(errors.New("first"))
	otel.Handle(errors.New("second"))
	flush(t, tr)
	if spans := to.received(); len(spans) != 1 || spans[0].GetName() != "query" {
		t.Errorf("a library's spans are %v", spans)
	}
	if len(otel.GetTextMapPropagator().Fields()) != 3 {
		t.Errorf("the propagator is for %v", otel.GetTextMapPropagator().Fields())
	}
	if log.lines() != 1 || !strings.Contains(log.String(), "first") {
		t.Errorf("logged %s, want the first error alone", log)
	}
}

// FuzzHeadersFromOutside sends what anybody may send, with and without tracing. A request is answered, whatever it brings; and either
// its trace goes on, or it has none.
func FuzzHeadersFromOutside(f *testing.F) {
	f.Add(traceparent, "vendor=x", "tenant=7;p=1")
	f.Add("00-"+strings.Repeat("0", 32)+"-"+spanID+"-01", ",,,=", "=;=,%%%")
	f.Add("ff-"+traceID+"-"+spanID+"-01", strings.Repeat("a=b,", 600), strings.Repeat("k=v,", 4000))
	f.Add(strings.ToUpper(traceparent), "a=\x00", "a=%00%ff")
	f.Add(traceparent+"-extra", "a@b=c", "ключ=значение")
	f.Add("", "", "\r\nX-Evil: 1")
	to := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	f.Cleanup(to.Close)
	tr, _ := start(f, to.URL)
	var seen trace.SpanContext
	engines := map[string]*gin.Engine{"on": gin.New(), "off": gin.New()}
	engines["on"].Use(tr.Middleware())
	engines["off"].Use(tracing.Propagate())
	answer := make(chan http.Header, 1)
	transport := (*tracing.Tracing)(nil).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		answer <- r.Header
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))
	for _, engine := range engines {
		engine.GET("/", func(c *gin.Context) {
			seen = trace.SpanContextFromContext(c.Request.Context())
			out, err := http.NewRequestWithContext(c.Request.Context(), http.MethodGet, "http://next", http.NoBody)
			if err != nil {
				return
			}
			response, err := transport.RoundTrip(out)
			if err != nil {
				return
			}
			response.Body.Close()
			c.String(http.StatusOK, "well")
		})
	}
	f.Fuzz(func(t *testing.T, parent, state, bag string) {
		for name, engine := range engines {
			got := call(engine, "/", "Traceparent", parent, "Tracestate", state, "Baggage", bag)
			if got.Code != http.StatusOK || got.Body.String() != "well" {
				t.Fatalf("%s: the answer is %d %q", name, got.Code, got.Body)
			}
			out := <-answer
			for key, values := range out {
				if len(values) != 1 || len(values[0]) > 20_000 || strings.ContainsAny(values[0], "\r\n\x00") {
					t.Fatalf("%s: it goes out as %s: %q", name, key, values)
				}
			}
			if name == "off" && seen.IsValid() && !strings.Contains(parent, seen.TraceID().String()) {
				t.Fatalf("trace %s is none that came in with %q", seen.TraceID(), parent)
			}
			if sent := out.Get("Traceparent"); seen.IsValid() && !strings.Contains(sent, seen.TraceID().String()) {
				t.Fatalf("%s: trace %s goes out as %q", name, seen.TraceID(), sent)
			}
		}
	})
}
