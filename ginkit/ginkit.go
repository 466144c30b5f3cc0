package ginkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gin-operator/gin-operator/ginkit/health"
	"github.com/gin-operator/gin-operator/ginkit/logs"
	"github.com/gin-operator/gin-operator/ginkit/metrics"
	"github.com/gin-operator/gin-operator/ginkit/problem"
	"github.com/gin-operator/gin-operator/ginkit/requestid"
	"github.com/gin-operator/gin-operator/ginkit/serve"
	"github.com/gin-operator/gin-operator/ginkit/tracing"
)

// Kit is a Gin service with all that it needs around its routes. Make it with New, add routes to Engine, and Run it.
type Kit struct {
	// Engine is where the service's routes belong. Each request to them is measured, traced and logged, and its errors and panics are
	// answered in one form. It trusts no proxy: call SetTrustedProxies before you rely on ClientIP behind one. A path with one slash too many or too
	// few is not found: with RedirectTrailingSlash Gin redirects it, past all of that.
	Engine *gin.Engine

	settings Settings
	level    slog.LevelVar
	log      *slog.Logger
	health   *health.Health
	metrics  *metrics.Metrics
	tracing  *tracing.Tracing
	stops    []serve.Stop
	opts     options
}

// Option changes what New makes.
type Option func(*options)

type options struct {
	version string
	environ []string
	logs    io.Writer
	signals <-chan os.Signal
	adjust  func(*http.Server)
	first   []gin.HandlerFunc
}

// WithVersion says what the program was built as; APP_VERSION overrides it. Default "dev".
func WithVersion(version string) Option { return func(o *options) { o.version = version } }

// WithEnvironment takes the environment, as NAME=value, from elsewhere than os.Environ.
func WithEnvironment(environ []string) Option {
	return func(o *options) { o.environ = environ }
}

// WithLogs writes the log elsewhere than to standard error.
func WithLogs(to io.Writer) Option { return func(o *options) { o.logs = to } }

// WithSignals takes the signals to stop from elsewhere than the operating system, which sends SIGTERM and SIGINT.
func WithSignals(signals <-chan os.Signal) Option { return func(o *options) { o.signals = signals } }

// WithServer changes the HTTP servers before they start, such as their timeouts: 2 minutes for reading and for writing, 10 s for headers.
func WithServer(adjust func(*http.Server)) Option { return func(o *options) { o.adjust = adjust } }

// WithMiddleware adds what comes before everything else, probes included, such as headers that every answer has.
func WithMiddleware(first ...gin.HandlerFunc) Option {
	return func(o *options) { o.first = append(o.first, first...) }
}

// New reads the environment (Settings and, for tracing, OpenTelemetry's OTEL_ variables) and returns a service without routes of its own.
// The error names each variable that is wrong.
//
// It puts Gin into release mode unless GIN_MODE says otherwise, for Gin prints its routes as plain text in any other, and has Gin's
// validator name fields as clients know them. Both are the process's.
func New(opts ...Option) (*Kit, error) {
	kit := &Kit{opts: options{version: "dev", environ: os.Environ(), logs: os.Stderr}}
	for _, opt := range opts {
		opt(&kit.opts)
	}
	var err error
	if kit.settings, err = readSettings(kit.opts.environ, kit.opts.version); err != nil {
		return nil, err
	}
	lookup := lookupIn(kit.opts.environ)
	if mode, _ := lookup(gin.EnvGinMode); mode == "" {
		gin.SetMode(gin.ReleaseMode)
	}
	problem.UseClientNames()
	kit.level.Set(kit.settings.LogLevel)
	kit.log = logs.New(kit.opts.logs, &kit.level)
	kit.health = health.New(kit.log)
	kit.metrics = metrics.New()
	kit.metrics.Registry().MustRegister(buildInfo(kit.settings.Identity))
	if kit.tracing, err = tracing.New(tracing.Options{Lookup: lookup, Version: kit.settings.Identity.Version, Log: kit.log}); err != nil {
		return nil, fmt.Errorf("reading the environment: %w", err)
	}
	if kit.tracing.Enabled() {
		kit.OnStop("tracing", kit.tracing.Shutdown)
	}
	kit.Engine = kit.newEngine()
	return kit, nil
}

// lookupIn returns what os.LookupEnv is for another environment.
func lookupIn(environ []string) func(string) (string, bool) {
	values := make(map[string]string, len(environ))
	for _, variable := range environ {
		if name, value, found := strings.Cut(variable, "="); found {
			values[name] = value
		}
	}
	return func(name string) (string, bool) {
		value, found := values[name]
		return value, found
	}
}

// newEngine returns an engine with the kit's own routes. Probes and metrics are not counted as traffic.
func (kit *Kit) newEngine() *gin.Engine {
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	// Gin answers such a redirect before any middleware runs: nobody would see it, and a client's X-Forwarded-Prefix would be in it.
	engine.RedirectTrailingSlash = false
	// Without an address of a proxy this can't fail.
	_ = engine.SetTrustedProxies(nil)
	engine.Use(kit.opts.first...)
	engine.Use(requestid.Middleware())
	// HEAD, too, because some load balancers ask so.
	asked := []string{http.MethodGet, http.MethodHead}
	engine.Match(asked, "/livez", health.Livez)
	engine.Match(asked, "/readyz", kit.health.Readyz)
	if kit.onePort() {
		kit.addPrivate(engine)
	}
	traced := kit.tracing.Middleware()
	if traced == nil {
		traced = tracing.Propagate()
	}
	engine.Use(traced, kit.metrics.Middleware(), logs.Requests(kit.log, kit.settings.LogRequests, kit.settings.SlowRequest),
		problem.Recover(kit.log), problem.Errors())
	engine.NoRoute(problem.NoRoute)
	engine.NoMethod(problem.NoMethod)
	return engine
}

// addPrivate adds what is for the people who run the service: on the port of the metrics, where they have one of their own.
func (kit *Kit) addPrivate(engine *gin.Engine) {
	engine.GET("/health", kit.health.Health)
	engine.GET("/metrics", gin.WrapH(kit.metrics.Handler()))
}

func (kit *Kit) onePort() bool { return *kit.settings.MetricsPort == kit.settings.Port }

// buildInfo is 1, labelled with what runs.
func buildInfo(id Identity) prometheus.Collector {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "app_build_info",
		Help:        "1, labelled with what runs.",
		ConstLabels: prometheus.Labels{"version": id.Version, "revision": id.Revision, "color": id.Color, "goversion": runtime.Version()},
	})
	build.Set(1)
	return build
}

// Settings are what New read.
func (kit *Kit) Settings() Settings { return kit.settings }

// Log is the service's logger. Give it a request's context, and its lines have the ids of the trace.
func (kit *Kit) Log() *slog.Logger { return kit.log }

// SetLogLevel changes the least level that is logged, at any time.
func (kit *Kit) SetLogLevel(level slog.Level) { kit.level.Set(level) }

// Health is where components are registered.
func (kit *Kit) Health() *health.Health { return kit.health }

// Metrics is where the service's own metrics belong: kit.Metrics().Registry().MustRegister(…).
func (kit *Kit) Metrics() *metrics.Metrics { return kit.metrics }

// Tracing makes spans, and transports that pass them on.
func (kit *Kit) Tracing() *tracing.Tracing { return kit.tracing }

// OnStop adds something that ends once no request is left, such as closing a store. What was added last ends first; telemetry ends after
// all of them. The context ends when the process has to.
func (kit *Kit) OnStop(name string, stop func(context.Context) error) {
	kit.stops = append(kit.stops, serve.Stop{Name: name, Do: stop})
}

// Run serves until SIGTERM or SIGINT has stopped the service, which is a nil error, or until something went wrong: a port that can't be
// opened, requests that took longer than there was time, something in OnStop that failed.
func (kit *Kit) Run() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	serve.FollowMemoryLimit(ctx, kit.log)
	serve.RelaxCollector()
	signals := kit.opts.signals
	if signals == nil {
		received := make(chan os.Signal, 2)
		signal.Notify(received, syscall.SIGTERM, os.Interrupt)
		defer signal.Stop(received)
		signals = received
	}
	id := kit.settings.Identity
	server := serve.Server{
		Ports:  []serve.Port{{Number: kit.settings.Port, Setting: "PORT", Handler: kit.Engine}},
		Health: kit.health, Stops: kit.stops, Adjust: kit.opts.adjust,
		Log:      kit.log.With("version", id.Version, "color", id.Color, "revision", id.Revision),
		Shutdown: time.Duration(kit.settings.Shutdown), Drain: kit.settings.DrainTime(),
	}
	if !kit.onePort() {
		private := gin.New()
		private.RedirectTrailingSlash = false
		_ = private.SetTrustedProxies(nil)
		private.Use(requestid.Middleware(), problem.Recover(kit.log))
		private.NoRoute(problem.NoRoute)
		kit.addPrivate(private)
		server.Ports = append(server.Ports, serve.Port{Number: *kit.settings.MetricsPort, Setting: "METRICS_PORT", Handler: private})
	}
	return server.Run(signals)
}

// Exit ends the process: with status 0 where the error is nil, and otherwise with status 1 and a line in the log for each thing that is wrong.
func Exit(err error) {
	if err == nil {
		os.Exit(0)
	}
	log := logs.New(os.Stderr, slog.LevelInfo)
	for _, each := range split(err) {
		log.Error("the service ends: " + each.Error())
	}
	os.Exit(1)
}

// split returns the errors that errors.Join put together, also where some of them were put together before.
func split(err error) []error {
	// Not errors.As: what an error wraps is a part of its text, and no line of its own.
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || err.Error() != errors.Join(joined.Unwrap()...).Error() {
		return []error{err}
	}
	var all []error
	for _, each := range joined.Unwrap() {
		all = append(all, split(each)...)
	}
	return all
}
