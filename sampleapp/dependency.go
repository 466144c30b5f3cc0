package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/breaker"
	"github.com/gin-operator/gin-operator/ginkit/health"
	"github.com/gin-operator/gin-operator/ginkit/problem"
)

const (
	// dependencyTimeout is how long the service behind may take. It is well below what clients wait.
	dependencyTimeout = 2 * time.Second
	// dependencyAnswer is how much of its answer is read, in bytes, so that the connection can be used again.
	dependencyAnswer = 64 << 10
)

// dependency is the service behind this one.
type dependency struct {
	url    *url.URL // nil where there is none
	client *http.Client
}

// dependencyAnswered is what a client hears of it.
type dependencyAnswered struct {
	Status    int     `json:"status"`
	LatencyMs float64 `json:"latencyMs"`
}

// newDependency returns a client of the service behind, whose calls carry the trace on and go through a circuit breaker.
func (s *service) newDependency() (*dependency, error) {
	target := s.settings.DependencyURL
	if target == nil {
		return &dependency{}, nil
	}
	if target.Scheme != "http" && target.Scheme != "https" {
		return nil, fmt.Errorf("DEPENDENCY_URL: it must be an http or https URL, not one of the scheme %q", target.Scheme)
	}
	circuit := breaker.New("dependency", breaker.WithLogger(s.kit.Log()))
	s.kit.Metrics().Registry().MustRegister(breaker.Collector(circuit))
	if err := s.kit.Health().Add("dependency", circuit.Check, health.Optional()); err != nil {
		return nil, err
	}
	// Tracing goes outside, so that a trace also has the calls that were not made.
	transport := s.kit.Tracing().Transport(circuit.Transport(http.DefaultTransport))
	return &dependency{url: target, client: &http.Client{Transport: transport}}, nil
}

// get calls the service behind and tells how that went.
func (d *dependency) get(c *gin.Context) {
	if d.url == nil {
		problem.Write(c, problem.New(http.StatusNotFound, "no_dependency", "there is no DEPENDENCY_URL"))
		return
	}
	start := time.Now()
	status, err := d.call(c.Request.Context())
	switch {
	case err == nil && status < http.StatusBadRequest:
		c.JSON(http.StatusOK, dependencyAnswered{Status: status, LatencyMs: float64(time.Since(start).Microseconds()) / 1000})
	case err == nil:
		problem.Write(c, problem.New(http.StatusBadGateway, "dependency_failed", fmt.Sprintf("the service behind answered with status %d", status)))
	case errors.Is(err, breaker.ErrOpen):
		problem.Write(c, breaker.Problem(err))
	case c.Request.Context().Err() != nil, errors.Is(err, context.DeadlineExceeded):
		problem.Write(c, err)
	default:
		problem.Write(c, problem.New(http.StatusBadGateway, "dependency_failed", "the service behind can't be reached").WithCause(err))
	}
}

func (d *dependency) call(ctx context.Context) (status int, err error) {
	// Not with gin.Context: a call may look at its context when the handler has returned, and Gin uses that for another request then.
	ctx, cancel := context.WithTimeout(ctx, dependencyTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.String(), http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := d.client.Do(request)
	if err != nil {
		// What it wraps says all but the URL, whose query may hold a key that is nothing for the log.
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.CopyN(io.Discard, response.Body, dependencyAnswer)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return response.StatusCode, err
}
