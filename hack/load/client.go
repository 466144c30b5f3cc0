package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// failureKind says how a request failed.
type failureKind string

const (
	// failedConnect is a connection that could not be opened.
	failedConnect failureKind = "connect"
	// failedTimeout is an answer that was not complete in time.
	failedTimeout failureKind = "timeout"
	// failedReset is a connection that ended before the answer was complete.
	failedReset failureKind = "reset"
	// failedProtocol is an answer that is not HTTP.
	failedProtocol failureKind = "protocol"
	// failedStatus4xx and failedStatus5xx are complete answers that say that the request failed.
	failedStatus4xx failureKind = "status4xx"
	failedStatus5xx failureKind = "status5xx"
)

// outcome is what became of one request.
type outcome struct {
	finished   time.Time
	lag        time.Duration // from when the request was due to when it was taken up
	opened     bool          // a connection was opened for it
	closedIdle bool          // the connection that was kept for it had been closed by the server while it was idle
	url        string
	status     int // 0 if there was no complete answer
	color      string
	revision   string
	failure    failureKind // "" for success
	err        error       // the text of a failure
}

// connection is an HTTP/1.1 connection to a server.
type connection struct {
	net.Conn
	answers *bufio.Reader
	ended   error // what the first read that failed said
}

// Read remembers why there is nothing more to read: half an answer would otherwise pass for a malformed one.
func (c *connection) Read(to []byte) (int, error) {
	n, err := c.Conn.Read(to)
	if c.ended == nil {
		c.ended = err
	}
	return n, err
}

// cause returns why an answer could not be read.
func (c *connection) cause(err error) error {
	if c.ended != nil {
		return c.ended
	}
	return err
}

// sendFresh sends a request on a connection of its own.
func sendFresh(to *addresses, next request, opts options) outcome {
	result := outcome{lag: time.Since(next.due), opened: true, url: next.target.url}
	deadline := next.due.Add(opts.timeout)
	conn, err := to.dial(next.target.address, deadline)
	if err != nil {
		result.fail(connectFailure(err), err)
		return result
	}
	defer conn.Close()
	result.exchange(conn, next.target.once, deadline, opts)
	return result
}

// sendKept sends a request on the connection that is kept for its address, and opens that first if need be.
func sendKept(to *addresses, kept map[string]*connection, next request, opts options) outcome {
	result := outcome{lag: time.Since(next.due), url: next.target.url}
	deadline := next.due.Add(opts.timeout)
	if result.lag >= opts.timeout {
		result.fail(failedTimeout, fmt.Errorf("not sent: waited %s for one of %d connections", opts.timeout, opts.connections))
		return result
	}
	address := next.target.address
	conn := kept[address]
	if conn != nil && !conn.usable() {
		conn.Close()
		conn, result.closedIdle = nil, true
	}
	if conn == nil {
		delete(kept, address)
		var err error
		result.opened = true
		if conn, err = to.dial(address, deadline); err != nil {
			result.fail(connectFailure(err), err)
			return result
		}
	}
	if result.exchange(conn, next.target.keep, deadline, opts) {
		kept[address] = conn
		return result
	}
	conn.Close()
	delete(kept, address)
	return result
}

// exchange sends a request once, reads the answer to its end, and reports whether the connection can be used again.
func (o *outcome) exchange(conn *connection, request []byte, deadline time.Time, opts options) bool {
	got, err := conn.roundTrip(request, deadline)
	if err != nil {
		o.fail(exchangeFailure(err), err)
		return false
	}
	o.finished, o.status = time.Now(), got.status
	o.color, o.revision = got.header.Get("X-App-Color"), got.header.Get("X-App-Revision")
	if o.status >= 400 && !opts.allowed[o.status] {
		o.failure, o.err = failedStatus4xx, fmt.Errorf("status %d %s", o.status, http.StatusText(o.status))
		if o.status >= 500 {
			o.failure = failedStatus5xx
		}
	}
	return !got.last
}

// fail notes that a request got no complete answer.
func (o *outcome) fail(kind failureKind, err error) {
	o.finished, o.failure, o.err = time.Now(), kind, err
}

// answer is a complete answer, without its body.
type answer struct {
	status int
	header http.Header
	last   bool // the connection ends with it
}

// roundTrip sends a request and reads the answer to its end.
func (c *connection) roundTrip(request []byte, deadline time.Time) (answer, error) {
	if err := c.SetDeadline(deadline); err != nil {
		return answer{}, fmt.Errorf("setting the deadline: %w", err)
	}
	if _, err := c.Write(request); err != nil {
		return answer{}, fmt.Errorf("sending the request: %w", err)
	}
	for {
		response, err := http.ReadResponse(c.answers, nil)
		if err != nil {
			return answer{}, fmt.Errorf("reading the answer: %w", c.cause(err))
		}
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil {
			return answer{}, fmt.Errorf("reading the body of the answer: %w", c.cause(err))
		}
		// An answer below 200 is an interim one: the real one follows.
		if response.StatusCode >= 200 {
			return answer{status: response.StatusCode, header: response.Header, last: response.Close}, nil
		}
	}
}

func connectFailure(err error) failureKind {
	if timedOut(err) {
		return failedTimeout
	}
	return failedConnect
}

func exchangeFailure(err error) failureKind {
	var network *net.OpError
	switch {
	case timedOut(err):
		return failedTimeout
	case errors.Is(err, io.EOF), errors.As(err, &network):
		return failedReset
	}
	return failedProtocol
}

func timedOut(err error) bool {
	var network net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &network) && network.Timeout())
}
