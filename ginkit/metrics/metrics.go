// Package metrics measures a Gin service by the OpenTelemetry conventions for HTTP servers, in the form of Prometheus:
//
//	http_server_request_duration_seconds     histogram by method, route and status, classic and native, with exemplars
//	http_server_request_body_size_bytes      histogram by method, route and status
//	http_server_response_body_size_bytes     histogram by method, route and status
//	http_server_active_requests              gauge by method
//
// The names are those of https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ as OpenTelemetry's rules for Prometheus write
// them. A route is the template of the route that served the request, such as /users/:id; every path that no route serves is one value,
// and so is every method that HTTP does not define. No client can make a series by what it sends: what bounds their number is the
// program's routes, its methods and the statuses that it answers.
//
// A request costs no allocation: the series of a route, method and status are looked up once and kept.
package metrics

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// OtherMethod stands for every method that HTTP does not define, as the conventions have it.
	OtherMethod = "_OTHER"
	// UnmatchedRoute stands for every path that no route serves.
	UnmatchedRoute = "unmatched"
)

// statusClientGone is nginx's for a client that went away before its answer was whole.
const statusClientGone = 499

const (
	// scrapesAtOnce bounds what scrapes cost where the metrics are on a port that everybody reaches.
	scrapesAtOnce = 8
	// scrapeTime is how long an answer to a scrape may take to be read, or else few that read nothing would keep all others away for minutes.
	// Prometheus waits as long by default.
	scrapeTime = 10 * time.Second
)

// durationBuckets are the boundaries that the conventions advise, in seconds.
var durationBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// epoch is what times are counted from: the monotonic clock alone costs half of what time.Now does.
var epoch = time.Now()

// Metrics are the metrics of one service. Make them with New.
type Metrics struct {
	registry   *prometheus.Registry
	boundaries []float64
	active     [len(methods)]atomic.Int64
	table      table
}

// Option changes what New makes.
type Option func(*options)

type options struct {
	registry *prometheus.Registry
	buckets  []float64
}

// WithRegistry puts the metrics into a registry that the service has already. Without it New makes one, with the metrics of Go and of the
// process in it.
func WithRegistry(registry *prometheus.Registry) Option {
	return func(o *options) { o.registry = registry }
}

// WithBuckets sets the boundaries of the classic histogram of durations, in seconds. The default are those that the conventions advise,
// from 5 ms to 10 s; each must be above the one before. The native histogram needs none, and without any it is the only one.
func WithBuckets(seconds ...float64) Option {
	return func(o *options) { o.buckets = seconds }
}

// New returns metrics that no request has been counted in. It panics where the registry has metrics of these names already, or buckets don't
// grow: both are mistakes of the program.
func New(opts ...Option) *Metrics {
	o := options{buckets: durationBuckets}
	for _, opt := range opts {
		opt(&o)
	}
	if o.registry == nil {
		o.registry = prometheus.NewRegistry()
		o.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	labels := []string{"http_request_method", "http_route", "http_response_status_code"}
	m := &Metrics{registry: o.registry, boundaries: slices.Clone(o.buckets)}
	m.registry.MustRegister(
		newDurationsCollector("http_server_request_duration_seconds", "Time from the arrival of a request to the end of its answer, in seconds.",
			labels, &m.table, m.boundaries),
		newSizesCollector("http_server_request_body_size_bytes", "Size of the body of requests that announce it, in bytes.", labels, &m.table,
			func(s *series) *sizes { return &s.request }),
		newSizesCollector("http_server_response_body_size_bytes", "Size of the body of answers as the service wrote it, in bytes.", labels, &m.table,
			func(s *series) *sizes { return &s.response }))
	for i, method := range methods {
		// A gauge of the library is a float, which costs more to change than to read, and it is changed twice a request.
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "http_server_active_requests",
			Help:        "Requests that are being answered.",
			ConstLabels: prometheus.Labels{"http_request_method": method},
		}, func() float64 { return float64(m.active[i].Load()) }))
	}
	return m
}

// Registry holds the metrics. The service's own belong there too.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler serves the metrics in the formats of Prometheus and OpenMetrics; the native histograms are in Prometheus' protobuf format alone. It
// answers eight scrapes at once, and others with 503; an answer has to be read within 10 s.
func (m *Metrics) Handler() http.Handler {
	return m.handler(scrapeTime)
}

func (m *Metrics) handler(within time.Duration) http.Handler {
	// Each scrape collects for itself: promhttp can share a collection, but shares it for as long as any of those who asked reads on, and one
	// that doesn't read would keep the numbers as they were for everybody.
	scrapes := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: scrapesAtOnce})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The server takes it back with the end of the request. A writer that is no connection has none.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within))
		scrapes.ServeHTTP(w, r)
	})
}

// Middleware measures the requests of the routes that are added after it. Keep probes and the metrics themselves out of it: they would
// make an idle service look busy and a failing one look well. It comes after tracing, whose trace ids become exemplars, and before what
// answers requests itself, such as limits and the recovery from panics, whose answers count.
//
// A request whose handler ends by a panic that nothing has answered is counted with status 500, or 499 where its client has gone: its
// connection is cut, whatever status had been sent.
func (m *Metrics) Middleware() gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Since(epoch)
		method := methodIndex(c.Request.Method)
		m.active[method].Add(1)
		cut := true
		// Deferred, because a handler may leave by a panic that ends the connection.
		defer func() {
			m.active[method].Add(-1)
			m.observe(c, method, cut, start)
		}()
		c.Next()
		cut = false
	}
}

func (m *Metrics) observe(c *gin.Context, method int, cut bool, start time.Duration) {
	now := time.Since(epoch)
	status := c.Writer.Status()
	switch {
	case !cut:
	case c.Request.Context().Err() != nil:
		status = statusClientGone
	default:
		status = http.StatusInternalServerError
	}
	series := m.series(c.FullPath(), method, status)
	series.observeDuration(c.Request.Context(), now-start, now, m.boundaries)
	if size := c.Request.ContentLength; size >= 0 {
		series.request.observe(size)
	}
	series.response.observe(int64(max(c.Writer.Size(), 0)))
}
