// Package tracing makes a Gin service take part in OpenTelemetry traces: W3C trace context and baggage come in and go out, each request
// and each outgoing call is a span, and the spans go to a collector by OTLP over HTTP. The standard environment variables of
// OpenTelemetry configure it; without an endpoint it is off, and then it costs a request nothing
// that brings no trace along, and one that does no more than to pass it on.
//
// A collector that is slow, broken or gone costs spans and never a request: spans wait in a queue of bounded length, a goroutine sends
// them, and what can't be sent is dropped and logged, at most once a minute.
//
// The package sends spans with a client of its own. OpenTelemetry's otlptracehttp links gRPC, which it doesn't use: a program that has
// only Gin is 14.6 MB, with otelgin and this package 17.9 MB, and with otelgin and otlptracehttp 26.4 MB (linux/amd64, Go 1.26.8,
// otel 1.46, -trimpath -ldflags "-s -w").
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scopeName is the instrumentation scope of the spans of outgoing calls.
const scopeName = "github.com/gin-operator/gin-operator/ginkit/tracing"

// propagator is the one form in which trace ids come in and go out.
var propagator propagation.TextMapPropagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

// Options are what the program knows. The environment says the rest; see New.
type Options struct {
	// Service is service.name. Default GIN_SERVICE_NAME, then "unknown_service".
	Service string
	// Version is service.version. Left out where it is empty.
	Version string
	// Instance is service.instance.id. Default POD_NAME, then the host's name.
	Instance string
	// Untraced are paths of which requests get no span, instead of /livez, /readyz, /health and /metrics.
	Untraced []string
	// Local leaves OpenTelemetry's process-wide globals alone. By default New sets them (provider, propagator and error handler), for
	// libraries such as those for databases look for them there.
	Local bool
	// Log gets what goes wrong with the delivery of spans, at most one line a minute. Default slog.Default().
	Log *slog.Logger
	// Lookup reads the environment. Default os.LookupEnv. The SDK's limits of events and links come from the real one.
	Lookup func(name string) (value string, ok bool)
}

// Tracing is the tracing of one process. A nil one is off.
type Tracing struct {
	untraced  map[string]bool
	client    *client
	exporter  *exporter
	processor sdktrace.SpanProcessor
	provider  *sdktrace.TracerProvider
}

// New reads the environment and, where it names an endpoint, starts a goroutine that sends spans there. It doesn't wait for the
// collector. Call Shutdown at the end.
//
// The variables are those of https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and of the page on the
// exporter next to it; docs/ginkit/tracing.md lists which. The error names each variable that is wrong, and what it should be. Where
// tracing is off, the variables that would have configured it are not looked at.
func New(options Options) (*Tracing, error) {
	if options.Lookup == nil {
		options.Lookup = os.LookupEnv
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	if options.Untraced == nil {
		options.Untraced = []string{"/livez", "/readyz", "/health", "/metrics"}
	}
	cfg, err := readConfig(options)
	if err != nil {
		return nil, fmt.Errorf("configuring tracing: %w", err)
	}
	t := &Tracing{untraced: make(map[string]bool, len(options.Untraced))}
	for _, path := range options.Untraced {
		t.untraced[path] = true
	}
	if !options.Local {
		// Also where tracing is off: what other libraries send out should carry the ids that came in.
		otel.SetTextMapPropagator(propagator)
	}
	if !cfg.on {
		return t, nil
	}
	log := &limitedLog{log: options.Log}
	t.client = newClient(cfg, log)
	// The exporter of otlptrace translates spans; a client has nothing to start.
	t.exporter = &exporter{next: otlptrace.NewUnstarted(t.client), log: log}
	t.processor = sdktrace.NewBatchSpanProcessor(t.exporter, sdktrace.WithMaxQueueSize(cfg.queue), sdktrace.WithMaxExportBatchSize(cfg.batch),
		sdktrace.WithBatchTimeout(cfg.delay), sdktrace.WithExportTimeout(cfg.exportTimeout))
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit = cfg.valueLength
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(t.processor), sdktrace.WithSampler(cfg.sampler),
		sdktrace.WithRawSpanLimits(limits), sdktrace.WithResource(resource.NewSchemaless(cfg.attributes...)))
	if !options.Local {
		otel.SetTracerProvider(t.provider)
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.problem("OpenTelemetry reports an error", err) }))
	}
	return t, nil
}

// Enabled reports whether spans are made.
func (t *Tracing) Enabled() bool { return t != nil && t.provider != nil }

// Provider returns what makes tracers, for spans of one's own and for libraries that take one. Where tracing is off, its spans are none.
func (t *Tracing) Provider() trace.TracerProvider {
	if !t.Enabled() {
		return noop.NewTracerProvider()
	}
	return t.provider
}

// Shutdown sends what is still in the queue and ends tracing. It returns when that is done, or when ctx is: what has not been sent by
// then is lost, and the error says so. Call it after the HTTP server's Shutdown, for the last requests have spans too. A second call
// does nothing.
func (t *Tracing) Shutdown(ctx context.Context) error {
	if !t.Enabled() {
		return nil
	}
	// The processor sends its last batch without regard to ctx. This ends it, and with it the goroutine.
	defer t.client.abort()
	lost := t.exporter.lost.Load()
	err := t.provider.Shutdown(ctx)
	// The provider leaves its processor running where ctx has ended before.
	err = errors.Join(err, t.processor.Shutdown(ctx))
	if lost = t.exporter.lost.Load() - lost; lost > 0 {
		err = errors.Join(err, fmt.Errorf("%d spans were not delivered", lost))
	}
	if err != nil {
		return fmt.Errorf("ending tracing: %w", err)
	}
	return nil
}
