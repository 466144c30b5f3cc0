package breaker

import (
	"fmt"
	"net/http"
)

// Transport returns a RoundTripper with a breaker of its own, as New(name, opts...).Transport(next) does. Use that where the state is to
// be seen.
func Transport(name string, next http.RoundTripper, opts ...Option) http.RoundTripper {
	return New(name, opts...).Transport(next)
}

// Transport returns a RoundTripper that makes requests through the breaker. A nil next is http.DefaultTransport. It is for one service:
// all hosts that are called through it open the same circuit.
//
// A request has succeeded or failed when the headers of its answer are there: a body that is slow, breaks off or is never closed changes
// nothing. An answer whose status is a failure is returned as it is.
func (b *Breaker) Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{breaker: b, next: next}
}

type transport struct {
	breaker *Breaker
	next    http.RoundTripper
}

// RoundTrip sends a request, or returns ErrOpen.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	var response *http.Response
	made := false
	err := t.breaker.do(request.Context(), func() (err error) {
		made = true
		response, err = t.next.RoundTrip(request) //nolint:bodyclose // the caller closes it
		return err
	}, func(err error) error {
		if err == nil && t.breaker.options.isFailureStatus(response.StatusCode) {
			return fmt.Errorf("status %d", response.StatusCode)
		}
		return err
	})
	if !made && request.Body != nil {
		// A RoundTripper closes the body, also where it does not send it.
		_ = request.Body.Close()
	}
	return response, err
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (t *transport) CloseIdleConnections() {
	if closer, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}
