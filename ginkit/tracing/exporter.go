package tracing

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// exporter logs and counts what can't be delivered. It doesn't return those errors: OpenTelemetry's handler of errors, unless somebody
// has set another one, prints each of them.
type exporter struct {
	next sdktrace.SpanExporter
	log  *limitedLog
	lost atomic.Int64
}

// ExportSpans sends one batch.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	spans = slices.Clone(spans)
	for i, span := range spans {
		if refused(span) {
			spans[i] = refusal{span}
		}
	}
	if err := e.next.ExportSpans(ctx, spans); err != nil {
		lost := e.lost.Add(int64(len(spans)))
		e.log.problem("spans are lost", err, slog.Int("spans", len(spans)), slog.Int64("total", lost))
	}
	return nil
}

// Shutdown closes the connections.
func (e *exporter) Shutdown(ctx context.Context) error { return e.next.Shutdown(ctx) }

// refusal is the span of a request that was answered with a status from 400 to 499. By the conventions of OpenTelemetry such a span of a
// server is no error; otelgin makes it one where the handler has left an error in c.Errors, as everything here does that answers so.
type refusal struct{ sdktrace.ReadOnlySpan }

// Status is that of a span that is no error.
func (refusal) Status() sdktrace.Status { return sdktrace.Status{} }

// Attributes are those of a span that is no error.
func (r refusal) Attributes() []attribute.KeyValue {
	return slices.DeleteFunc(slices.Clone(r.ReadOnlySpan.Attributes()), func(a attribute.KeyValue) bool { return a.Key == semconv.ErrorTypeKey })
}

func refused(span sdktrace.ReadOnlySpan) bool {
	if span.SpanKind() != trace.SpanKindServer || span.Status().Code != codes.Error {
		return false
	}
	for _, a := range span.Attributes() {
		if a.Key == semconv.HTTPResponseStatusCodeKey {
			status := a.Value.AsInt64()
			return status >= http.StatusBadRequest && status < http.StatusInternalServerError
		}
	}
	return false
}

// limitedLog writes at most one line a minute. The next one says how many were left out.
type limitedLog struct {
	log *slog.Logger

	mu         sync.Mutex
	next       time.Time
	suppressed int
}

func (l *limitedLog) problem(message string, err error, attrs ...slog.Attr) {
	l.mu.Lock()
	now := time.Now()
	if now.Before(l.next) {
		l.suppressed++
		l.mu.Unlock()
		return
	}
	suppressed := l.suppressed
	l.next, l.suppressed = now.Add(time.Minute), 0
	l.mu.Unlock()
	attrs = append(attrs, slog.String("error", err.Error()))
	if suppressed > 0 {
		attrs = append(attrs, slog.Int("suppressed", suppressed))
	}
	// No context: the line is about spans of many requests.
	l.log.LogAttrs(context.Background(), slog.LevelWarn, message, attrs...)
}
