package podmetrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"time"
)

// accepted is the format that is asked for. The plain text is the smaller one: OpenMetrics adds exemplars.
const accepted = "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"

// newTransport returns a transport that keeps one connection to each pod.
func newTransport(o Options) *http.Transport {
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: o.Timeout, KeepAlive: -1}).DialContext
	}
	return &http.Transport{
		Proxy:       nil, // pods are never behind one
		DialContext: dial,
		// Long enough for the next scrape but one.
		IdleConnTimeout:        2*o.Interval + o.Timeout,
		MaxIdleConnsPerHost:    1,
		DisableCompression:     true, // the network between pods is cheaper than their CPU
		MaxResponseHeaderBytes: 64 << 10,
		WriteBufferSize:        1 << 10,
	}
}

// newRequest returns what is sent to a pod. It is sent again and again, and must not be changed.
func newRequest(address netip.AddrPort, path string) *http.Request {
	return &http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Scheme: "http", Host: address.String(), Path: path},
		Header: http.Header{"Accept": {accepted}, "User-Agent": {"gin-operator-podmetrics"}},
	}
}

// errTooLarge is what a body ends with that is larger than it may be.
var errTooLarge = errors.New("the answer is too large")

// bounded fails once it has read as much of a body as was left.
type bounded struct {
	body io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.body.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if b.left <= 0 {
		err = errTooLarge // also where the end of the body came along with the last byte
	}
	return n, err
}

// fetch asks a pod for its metrics, and hands the lines that are watched to their tracks.
func (s *Scraper) fetch(ctx context.Context, request *http.Request, watch map[string]*watched, d *document) *Error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	response, err := s.transport.RoundTrip(request.WithContext(ctx)) // unlike a client, it follows no redirect
	if err != nil {
		return s.brokenOff(request, err)
	}
	defer response.Body.Close()
	openMetrics, problem := checkHeader(request, response)
	if problem != nil {
		return problem
	}
	if response.ContentLength > s.options.MaxBytes {
		return s.tooLarge()
	}
	// One byte more than there may be tells an answer of just that size from a larger one.
	err = d.read(&bounded{body: response.Body, left: s.options.MaxBytes + 1}, openMetrics, watch)
	if err != nil {
		return s.brokenOff(request, err)
	}
	return nil
}

// checkHeader returns whether the answer is in OpenMetrics, or why it is no answer at all.
func checkHeader(request *http.Request, response *http.Response) (openMetrics bool, problem *Error) {
	where := fmt.Sprintf("%s on %s", request.URL.Path, request.URL.Host)
	status := response.StatusCode
	switch {
	case status == http.StatusOK:
	case status >= 300 && status < 400:
		return false, failure(ReasonRedirect, "it answers %s with a redirect (%d), which is not followed: serve the metrics right there", where, status)
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return false, failure(ReasonStatus, "it answers %s with %d: does it serve metrics, and is ports.metrics (METRICS_PORT) the port that it does so on?", where, status)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return false, failure(ReasonStatus, "it answers %s with %d: metrics have to be there without a login", where, status)
	default:
		return false, failure(ReasonStatus, "it answers %s with %d", where, status)
	}
	header := response.Header.Get("Content-Type")
	if header == "" {
		return false, nil
	}
	mediaType, _, err := mime.ParseMediaType(header)
	switch {
	case err == nil && mediaType == "text/plain":
		return false, nil
	case err == nil && mediaType == "application/openmetrics-text":
		return true, nil
	}
	return false, failure(ReasonContentType, "it answers %s with %.60q, which is not metrics as text: is ports.metrics (METRICS_PORT) the right port?", where, header)
}

func (s *Scraper) tooLarge() *Error {
	return failure(ReasonTooLarge, "its answer is larger than %d bytes, and was not read: expose fewer series", s.options.MaxBytes)
}

// brokenOff says why there was no answer, or not all of it.
func (s *Scraper) brokenOff(request *http.Request, err error) *Error {
	where := fmt.Sprintf("%s on %s", request.URL.Path, request.URL.Host)
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	network, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, errTooLarge):
		return s.tooLarge()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), ok && network.Timeout():
		return failure(ReasonTimeout, "it doesn't answer %s within %s", where, s.options.Timeout.Round(time.Millisecond))
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure(ReasonUnreachable, "nothing listens on %s: is ports.metrics (METRICS_PORT) the port that it serves metrics on?", request.URL.Host)
	}
	why := err.Error()
	// Around it are the ports of both ends, of which ours is another one each time.
	if broken, ok := errors.AsType[*net.OpError](err); ok {
		why = broken.Err.Error()
	}
	return failure(ReasonUnreachable, "it can't be asked for %s: %.200s", where, why)
}
