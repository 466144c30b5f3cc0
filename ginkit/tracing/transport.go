package tracing

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Transport returns a transport that makes a span of each call and sends the ids of the trace and the baggage with it. A nil next is
// http.DefaultTransport. Where tracing is off it sends what came in, and makes no spans.
//
// The trace is the one of the request's context. That has to be c.Request.Context() or one made from it, and never the *gin.Context,
// which Gin uses for another request as soon as the handler returns.
//
// The span ends with the body of the answer. It has no credentials of the URL, and of its query only the names.
func (t *Tracing) Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	if !t.Enabled() {
		return &transport{next: next}
	}
	return &transport{next: next, tracer: t.provider.Tracer(scopeName)}
}

type transport struct {
	next http.RoundTripper
	// tracer is nil where tracing is off.
	tracer trace.Tracer
}

// RoundTrip makes a call.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	if t.tracer == nil {
		if !trace.SpanContextFromContext(ctx).IsValid() && baggage.FromContext(ctx).Len() == 0 {
			return t.next.RoundTrip(request)
		}
		return t.next.RoundTrip(withIDs(request))
	}
	ctx, span := t.tracer.Start(ctx, spanName(request.Method), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(requestAttributes(request)...))
	response, err := t.next.RoundTrip(withIDs(request.WithContext(ctx)))
	if err != nil {
		fail(span, err)
		span.End()
		return response, err
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(response.StatusCode))
	if response.StatusCode >= http.StatusBadRequest {
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(response.StatusCode)))
		span.SetStatus(codes.Error, "")
	}
	if response.StatusCode == http.StatusSwitchingProtocols || response.Body == nil || response.Body == http.NoBody {
		// The body of a switch is the connection: whoever asked for it writes to it too.
		span.End()
		return response, nil
	}
	response.Body = &body{ReadCloser: response.Body, span: span}
	return response, nil
}

// CloseIdleConnections is for http.Client, which asks its transport for it.
func (t *transport) CloseIdleConnections() {
	if closer, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// withIDs returns a copy of the request with the headers of its trace: a transport must not change what it is given.
func withIDs(request *http.Request) *http.Request {
	with := *request
	with.Header = request.Header.Clone()
	if with.Header == nil {
		with.Header = http.Header{}
	}
	propagator.Inject(request.Context(), carrier(with.Header))
	return &with
}

func fail(span trace.Span, err error) {
	// The text of a url.Error would have the URL in full.
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	span.SetAttributes(semconv.ErrorTypeKey.String(fmt.Sprintf("%T", err)))
	span.SetStatus(codes.Error, err.Error())
}

// spanName is the method, where it is one of HTTP's: there is no route to name a call by.
func spanName(method string) string {
	switch method {
	case "":
		return http.MethodGet
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodConnect, http.MethodOptions,
		http.MethodTrace:
		return method
	}
	return "HTTP"
}

func requestAttributes(request *http.Request) []attribute.KeyValue {
	attributes := make([]attribute.KeyValue, 0, 5)
	method := spanName(request.Method)
	if method == "HTTP" {
		attributes = append(attributes, semconv.HTTPRequestMethodOther, semconv.HTTPRequestMethodOriginal(request.Method))
	} else {
		attributes = append(attributes, semconv.HTTPRequestMethodKey.String(method))
	}
	host, port := request.URL.Hostname(), request.URL.Port()
	if port == "" {
		port = "80"
		if request.URL.Scheme == "https" {
			port = "443"
		}
	}
	attributes = append(attributes, semconv.ServerAddress(host), semconv.URLFull(redacted(request.URL)))
	if number, err := strconv.Atoi(port); err == nil {
		attributes = append(attributes, semconv.ServerPort(number))
	}
	return attributes
}

// redacted returns a URL without what may be a secret: the credentials, and the values of the query.
func redacted(u *url.URL) string {
	var text strings.Builder
	text.WriteString(u.Scheme + "://" + u.Host + u.EscapedPath())
	if u.RawQuery == "" {
		return text.String()
	}
	separator := byte('?')
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		text.WriteByte(separator)
		separator = '&'
		if name, _, found := strings.Cut(part, "="); found {
			text.WriteString(name + "=")
		}
		text.WriteString("REDACTED")
	}
	return text.String()
}

// body ends the span of a call with the last of its answer.
type body struct {
	io.ReadCloser

	span trace.Span
	once sync.Once
}

// Read reads the answer.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.once.Do(func() {
			if !errors.Is(err, io.EOF) {
				fail(b.span, err)
			}
			b.span.End()
		})
	}
	return n, err
}

// Close ends the answer, read or not.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(func() { b.span.End() })
	return err
}
