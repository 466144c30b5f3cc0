// Package logs writes what a service says as JSON lines, and a line for each request that is worth one.
//
//	{"timestamp":"…","level":"ERROR","message":"request","method":"GET","route":"/users/:id","status":500,"latencyMs":3.1,
//	 "requestId":"…","error":"…","trace_id":"…","span_id":"…"}
//
// Whatever is logged with a request's context has the ids of its trace and span, under the names that OpenTelemetry has for JSON logs.
// A request's line has nothing that the client sent but its method and its id: no path, no query, no header, no address. The text of an
// error is in the line where the fault is the service's, and is what the service made it; of a client's mistake it has the code alone,
// because the text would quote the client.
package logs

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// New returns a logger that writes JSON lines with the keys timestamp, level and message first. A *slog.LevelVar changes the level while
// the service runs.
func New(to io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(traced{slog.NewJSONHandler(to, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return attr
			}
			switch attr.Key {
			case slog.TimeKey:
				attr.Key = "timestamp"
			case slog.MessageKey:
				attr.Key = "message"
			}
			return attr
		},
	})})
}

// traced adds the ids of the span that a context carries.
type traced struct{ slog.Handler }

// Handle adds the ids and hands the record on.
func (h traced) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		// The record's attributes may be shared with other handlers.
		record = record.Clone()
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs keeps adding the ids.
func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }

// WithGroup keeps adding the ids, inside of the group.
func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }
