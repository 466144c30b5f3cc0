package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	// firstWait is the time, give or take a half, before a second attempt; it doubles up to longestWait.
	firstWait   = 500 * time.Millisecond
	longestWait = 5 * time.Second
	// longestAnswer is how much of an answer is read, in bytes.
	longestAnswer = 64 << 10
	// longestMessage is how much of what a collector says is logged, in characters.
	longestMessage = 256

	protobufType = "application/x-protobuf"
)

// client posts spans to a collector by OTLP/HTTP, https://opentelemetry.io/docs/specs/otlp/#otlphttp.
type client struct {
	url      string
	header   http.Header
	timeout  time.Duration
	compress bool
	http     *http.Client
	log      *limitedLog

	// ended is closed by abort, and ends what is being sent.
	ended <-chan struct{}
	abort context.CancelFunc
}

var _ otlptrace.Client = (*client)(nil)

func newClient(cfg config, log *limitedLog) *client {
	ended, abort := context.WithCancel(context.Background())
	header := cfg.header.Clone()
	header.Set("Content-Type", protobufType)
	if cfg.compress {
		header.Set("Content-Encoding", "gzip")
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", "ginkit-tracing")
	}
	return &client{
		url: cfg.endpoint, header: header, timeout: cfg.timeout, compress: cfg.compress, log: log, ended: ended.Done(), abort: abort,
		// A transport of its own: the service may put another one, which makes spans, in the place of the default.
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: cfg.timeout}).DialContext,
				TLSClientConfig:        cfg.tls,
				ForceAttemptHTTP2:      true,
				MaxIdleConns:           2,
				IdleConnTimeout:        90 * time.Second,
				MaxResponseHeaderBytes: longestAnswer,
			},
			// The headers may hold a key, which is for the collector alone.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Start does nothing: the first batch opens the connection.
func (*client) Start(context.Context) error { return nil }

// Stop closes the connections that wait for the next batch.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces sends one batch. Where the collector can't be reached, or says that it may take the batch later, it tries again until
// the timeout.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := c.encode(spans)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	go func() {
		select {
		case <-c.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := c.post(ctx, body)
		var again *laterError
		if err == nil || !errors.As(err, &again) {
			return err
		}
		pause := again.after
		if pause <= 0 {
			pause = wait/2 + rand.N(wait) //nolint:gosec // spreads attempts, no secret
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// encode returns the body of a request. TracesData has the one field of ExportTraceServiceRequest, with the same number, and its
// package doesn't link gRPC.
func (c *client) encode(spans []*tracepb.ResourceSpans) ([]byte, error) {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return nil, fmt.Errorf("encoding spans: %w", err)
	}
	if !c.compress {
		return body, nil
	}
	var compressed bytes.Buffer
	writer := gzip.NewWriter(&compressed)
	// Writing to memory doesn't fail.
	_, err = writer.Write(body)
	if err := errors.Join(err, writer.Close()); err != nil {
		return nil, fmt.Errorf("compressing spans: %w", err)
	}
	return compressed.Bytes(), nil
}

// laterError is an error after which another attempt may succeed, after some time where the collector names one.
type laterError struct {
	err   error
	after time.Duration
}

func (e *laterError) Error() string { return e.err.Error() }
func (e *laterError) Unwrap() error { return e.err }

// post sends a batch once.
func (c *client) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making a request: %w", err)
	}
	request.Header = c.header.Clone()
	response, err := c.http.Do(request)
	if err != nil {
		return &laterError{err: err}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	isProtobuf := mediaType == protobufType
	switch status := response.StatusCode; {
	case status >= 200 && status <= 299:
		// Taken, whatever becomes of the answer.
		c.readSuccess(answer, isProtobuf, err)
		return nil
	case status == http.StatusTooManyRequests, status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return &laterError{err: statusError(response.Status, answer, isProtobuf), after: retryAfter(response.Header.Get("Retry-After"), time.Now())}
	default:
		return statusError(response.Status, answer, isProtobuf)
	}
}

// readSuccess logs what a collector that took a batch has to say: that it took only a part, or something that no collector says.
func (c *client) readSuccess(answer []byte, isProtobuf bool, err error) {
	if err != nil || len(answer) == 0 {
		return
	}
	fields, ok := readFields(answer)
	if !isProtobuf || !ok {
		c.log.problem("what takes the spans may be no collector", errors.New("it answers with success, but not with OTLP: see "+endpointVariable))
		return
	}
	partial, ok := readFields(fields.bytes[1])
	if rejected, message := int64(partial.numbers[1]), shorten(partial.bytes[2]); !ok || rejected != 0 || message != "" { //nolint:gosec // an int64 in the protocol
		c.log.problem("the collector has something to say on the spans it took", fmt.Errorf("%d were refused: %q", rejected, message))
	}
}

// statusError says how a collector refused a batch. Its body is a google.rpc.Status, whose field 2 is a message.
func statusError(status string, answer []byte, isProtobuf bool) error {
	if fields, ok := readFields(answer); isProtobuf && ok && len(fields.bytes[2]) > 0 {
		return fmt.Errorf("the collector answers %s: %q", shorten([]byte(status)), shorten(fields.bytes[2]))
	}
	return fmt.Errorf("the collector answers %s", shorten([]byte(status)))
}

// message is a message of protobuf, as far as the answers of a collector need it.
type message struct {
	numbers map[protowire.Number]uint64
	bytes   map[protowire.Number][]byte
}

func readFields(data []byte) (message, bool) {
	fields := message{numbers: map[protowire.Number]uint64{}, bytes: map[protowire.Number][]byte{}}
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fields, false
		}
		data = data[n:]
		switch kind {
		case protowire.VarintType:
			fields.numbers[number], n = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			fields.bytes[number], n = protowire.ConsumeBytes(data)
		default:
			n = protowire.ConsumeFieldValue(number, kind, data)
		}
		if n < 0 {
			return fields, false
		}
		data = data[n:]
	}
	return fields, true
}

func shorten(text []byte) string {
	if runes := []rune(string(text)); len(runes) > longestMessage {
		return string(runes[:longestMessage]) + "…"
	}
	return string(text)
}

// retryAfter reads the header, RFC 9110, section 10.2.3: seconds or a date. 0 is none.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		// A day is longer than any timeout, and no multiple of it overflows.
		return time.Duration(min(max(seconds, 0), 86400)) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}
