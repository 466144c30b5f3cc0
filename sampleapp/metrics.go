package main

import (
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// otherMethod stands for every method that HTTP does not define, as the OpenTelemetry conventions have it.
	otherMethod = "_OTHER"
	// unmatchedRoute stands for every path that no route serves.
	unmatchedRoute = "unmatched"
	// firstStatus and lastStatus bound the status codes that get a series of their own.
	firstStatus, lastStatus = 100, 599
)

// methods are the methods that have series of their own. What comes last stands for all others.
var methods = [...]string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodConnect,
	http.MethodOptions, http.MethodTrace, otherMethod,
}

// methodIndex returns the place of a method in methods.
func methodIndex(method string) int {
	for i, known := range methods[:len(methods)-1] {
		if method == known {
			return i
		}
	}
	return len(methods) - 1
}

// methodName folds every method that HTTP does not define into one.
func methodName(method string) string { return methods[methodIndex(method)] }

// routeName folds every path that no route serves into one.
func routeName(template string) string {
	if template == "" {
		return unmatchedRoute
	}
	return template
}

// metrics are the service's own metrics, named by the OpenTelemetry conventions for HTTP servers. What labels a series is a route's
// template, a known method and a status code, so that no client can make new ones at will.
type metrics struct {
	registry *prometheus.Registry
	duration *prometheus.HistogramVec
	active   [len(methods)]prometheus.Gauge
	// routes holds the series of each route by its template, "" for those that match none. It is only read once requests come in.
	routes map[string]*routeSeries
}

// routeSeries are the histograms of one route by method and status, looked up once each: the lookup by label values costs several
// times what the observation does.
type routeSeries struct {
	template string
	methods  [len(methods)]atomic.Pointer[statusSeries]
}

// statusSeries are the histograms of one route and method by status code, the last for codes that don't exist.
type statusSeries [lastStatus - firstStatus + 2]atomic.Pointer[prometheus.Observer]

func newMetrics(cfg config) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_server_request_duration_seconds",
			Help: "Time from the arrival of a request to the end of its answer, in seconds.",
			// The boundaries that the OpenTelemetry conventions ask for.
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10},
		}, []string{"http_request_method", "http_route", "http_response_status_code"}),
		routes: map[string]*routeSeries{"": {template: ""}},
	}
	active := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "http_server_active_requests",
		Help: "Requests that are being answered.",
	}, []string{"http_request_method"})
	for i, method := range methods {
		m.active[i] = active.WithLabelValues(method)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "app_build_info",
		Help:        "1, labelled with what runs.",
		ConstLabels: prometheus.Labels{"version": cfg.version, "revision": cfg.revision, "color": cfg.color, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.duration, active, build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// addRoutes makes the series of the routes that the middleware is to tell apart. It must come before the first request.
func (m *metrics) addRoutes(routes gin.RoutesInfo) {
	for _, route := range routes {
		m.routes[route.Path] = &routeSeries{template: route.Path}
	}
}

func (m *metrics) middleware(c *gin.Context) {
	start := time.Now()
	method := methodIndex(c.Request.Method)
	m.active[method].Inc()
	// Deferred, because a handler may leave by a panic that ends the connection.
	defer func() {
		m.active[method].Dec()
		m.series(c.FullPath(), method, c.Writer.Status()).Observe(time.Since(start).Seconds())
	}()
	c.Next()
}

// series returns the histogram of a route, method and status.
func (m *metrics) series(template string, method, status int) prometheus.Observer {
	route := m.routes[template]
	if route == nil {
		route = m.routes[""]
	}
	statuses := route.methods[method].Load()
	if statuses == nil {
		// Two that come here at once must not end up with one each: what the loser resolved would be looked up again, no more.
		route.methods[method].CompareAndSwap(nil, new(statusSeries))
		statuses = route.methods[method].Load()
	}
	index, code := lastStatus-firstStatus+1, "other"
	if status >= firstStatus && status <= lastStatus {
		index = status - firstStatus
	}
	if observer := statuses[index].Load(); observer != nil {
		return *observer
	}
	if index <= lastStatus-firstStatus {
		code = strconv.Itoa(status)
	}
	observer := m.duration.WithLabelValues(methods[method], routeName(route.template), code)
	statuses[index].Store(&observer)
	return observer
}

// handler serves the metrics in the formats of Prometheus and OpenMetrics.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
