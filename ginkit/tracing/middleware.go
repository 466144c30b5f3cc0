package tracing

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/otel/metric/noop"
)

// longestHeader is how long, in bytes, the target of a request and the headers that a span keeps may be.
const longestHeader = 2048

// Middleware returns what makes a span of each request, named by its route: "GET /users/:id". It returns nil where tracing is off: use
// Propagate then.
//
// It has to come before whatever reads the trace's id, such as logs, errors and the recovery from panics, which find it with
// trace.SpanContextFromContext(c.Request.Context()).
//
// Requests for Options.Untraced have no span. Neither has a request with a path, a user agent or the like of more than 2 KiB, which
// would fill the queue: it only passes on the ids that it brings.
func (t *Tracing) Middleware() gin.HandlerFunc {
	if !t.Enabled() {
		return nil
	}
	// The kit has its own metrics of requests.
	traced := otelgin.Middleware("", otelgin.WithTracerProvider(t.provider), otelgin.WithPropagators(propagator),
		otelgin.WithMeterProvider(noop.NewMeterProvider()))
	return func(c *gin.Context) {
		switch {
		case t.untraced[c.Request.URL.Path]:
		case outsized(c.Request):
			propagate(c)
		default:
			detach(c.Request)
			traced(c)
		}
	}
}

// outsized reports whether a span of the request would hold on to a lot of memory. A shortened attribute is no way out: it shares the
// memory of the whole.
func outsized(r *http.Request) bool {
	return len(r.URL.Path) > longestHeader || len(r.Host) > longestHeader || long(r.Header["User-Agent"]) ||
		long(r.Header["X-Forwarded-For"]) || long(r.Header["X-Real-Ip"]) || long(r.Header["Tracestate"])
}

func long(values []string) bool {
	return len(values) > 0 && len(values[0]) > longestHeader
}

// detach copies what a span keeps of a request's first line, all of which is one string, where that has a long query.
func detach(r *http.Request) {
	if len(r.RequestURI) > longestHeader {
		r.Method, r.URL.Path, r.Proto = strings.Clone(r.Method), strings.Clone(r.URL.Path), strings.Clone(r.Proto)
	}
}

// Propagate returns what keeps the ids of the trace that a request is part of, and its baggage, for errors, logs and outgoing calls. It
// makes no spans, and is for a service that doesn't trace. A request without such headers costs two look-ups.
func Propagate() gin.HandlerFunc { return propagate }

func propagate(c *gin.Context) {
	header := c.Request.Header
	if len(header["Traceparent"]) > 0 || len(header["Baggage"]) > 0 {
		c.Request = c.Request.WithContext(propagator.Extract(c.Request.Context(), carrier(header)))
	}
}

// carrier is the headers of a request under the names that propagators use. The one of OpenTelemetry makes a new string of each name,
// each time.
type carrier http.Header

func canonical(key string) string {
	switch key {
	case "traceparent":
		return "Traceparent"
	case "tracestate":
		return "Tracestate"
	case "baggage":
		return "Baggage"
	}
	return http.CanonicalHeaderKey(key)
}

// Get returns the first value of a header.
func (c carrier) Get(key string) string {
	if values := c[canonical(key)]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Values returns all values of a header.
func (c carrier) Values(key string) []string { return c[canonical(key)] }

// Set gives a header one value.
func (c carrier) Set(key, value string) { c[canonical(key)] = []string{value} }

// Keys returns the names of all headers.
func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}
