package main

import (
	"fmt"
	"runtime/debug"

	depado "github.com/Depado/ginprom"
	chenjiandongx "github.com/chenjiandongx/ginprom"
	"github.com/gin-gonic/gin"
	"github.com/penglongli/gin-metrics/ginmetrics"
	"github.com/prometheus/client_golang/prometheus"
	zsais "github.com/zsais/go-gin-prometheus"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/gin-operator/gin-operator/ginkit/metrics"
)

// contender is a middleware that measures requests.
type contender struct {
	// name is how the results call it.
	name string
	// module is the path of the module that it comes from.
	module string
	// family is the metric that has counted one more after each request.
	family string
	// open adds the middleware to routes and returns where its metrics can be read. It is called once in a process: most contenders
	// keep their metrics in variables of their package.
	open func(gin.IRoutes) (prometheus.Gatherer, error)
}

// ours is the name of the contender that the others are compared with.
const ours = "ginkit"

// contenders are the middlewares, each as its own documentation shows it, with its defaults.
func contenders() []contender {
	return []contender{
		{
			name: ours, module: "github.com/gin-operator/gin-operator", family: "http_server_request_duration_seconds",
			open: func(routes gin.IRoutes) (prometheus.Gatherer, error) {
				m := metrics.New()
				routes.Use(m.Middleware())
				return m.Registry(), nil
			},
		},
		{
			name: "zsais/go-gin-prometheus", module: "github.com/zsais/go-gin-prometheus", family: "gin_requests_total",
			open: func(routes gin.IRoutes) (prometheus.Gatherer, error) {
				routes.Use(zsais.NewWithConfig(zsais.Config{Subsystem: "gin"}).HandlerFunc())
				return prometheus.DefaultGatherer, nil
			},
		},
		{
			name: "penglongli/gin-metrics", module: "github.com/penglongli/gin-metrics", family: "gin_uri_request_total",
			open: func(routes gin.IRoutes) (prometheus.Gatherer, error) {
				ginmetrics.GetMonitor().UseWithoutExposingEndpoint(routes)
				return prometheus.DefaultGatherer, nil
			},
		},
		{
			name: "Depado/ginprom", module: "github.com/Depado/ginprom", family: "gin_gonic_requests_total",
			open: func(routes gin.IRoutes) (prometheus.Gatherer, error) {
				registry := prometheus.NewRegistry()
				routes.Use(depado.New(depado.Registry(registry)).Instrument())
				return registry, nil
			},
		},
		{
			name: "chenjiandongx/ginprom", module: "github.com/chenjiandongx/ginprom", family: "service_http_request_count_total",
			open: func(routes gin.IRoutes) (prometheus.Gatherer, error) {
				routes.Use(chenjiandongx.PromMiddleware(nil))
				return prometheus.DefaultGatherer, nil
			},
		},
		{
			name: "otelgin", module: "go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin",
			family: "http_server_request_duration_seconds", open: openOtelgin,
		},
	}
}

// openOtelgin has otelgin measure and not trace: the tracer is the one that does nothing.
func openOtelgin(routes gin.IRoutes) (prometheus.Gatherer, error) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, fmt.Errorf("making the exporter: %w", err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	routes.Use(otelgin.Middleware("bench", otelgin.WithMeterProvider(provider), otelgin.WithTracerProvider(noop.NewTracerProvider())))
	return registry, nil
}

// counted returns how many requests a contender has counted.
func counted(from prometheus.Gatherer, family string) (float64, error) {
	families, err := from.Gather()
	if err != nil {
		return 0, fmt.Errorf("reading the metrics: %w", err)
	}
	var total float64
	for _, f := range families {
		if f.GetName() != family {
			continue
		}
		for _, m := range f.GetMetric() {
			// One of the two is nil, and so 0.
			total += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return total, nil
}

// versions returns the version of each module that this program was built from. That of this repository itself has none.
func versions() map[string]string {
	found := map[string]string{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return found
	}
	for _, module := range info.Deps {
		found[module.Path] = module.Version
		if module.Replace != nil {
			found[module.Path] = "this one"
		}
	}
	return found
}
