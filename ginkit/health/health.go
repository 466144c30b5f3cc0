// Package health answers probes, and people who ask how a service is.
//
//	/livez    whether the process answers at all: nothing else, for a restart mends nothing else
//	/readyz   whether new traffic is welcome: not while the service stops, and not while a required component fails
//	/health   every component as JSON, with its status, how long its check took, and its error
//
// A component is a name and a function that returns an error. Checks run at the same time, each within its own time; their results are
// kept for a moment, so that probes and curious clients do not become the load that a component dies of. A check that hangs is
// asked once and not again until it returns; one that panics has failed.
package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Check asks a component whether it works. It should give up when the context ends.
type Check func(context.Context) error

// Status is how a component, or the whole service, is.
type Status string

const (
	// OK is a component, or a service, that works.
	OK Status = "ok"
	// Degraded is a service of which an optional component fails. It is ready.
	Degraded Status = "degraded"
	// Failing is a component that fails, or a service of which a required one does. It is not ready.
	Failing Status = "failing"
	// Draining is a service that stops. It is not ready.
	Draining Status = "draining"
)

const (
	// defaultTimeout is below the second that Kubernetes and the operator give a readiness probe, so that the probe hears what fails.
	defaultTimeout = 800 * time.Millisecond
	defaultCache   = time.Second
)

// Health knows the components of one service. The zero value is not usable; make one with New.
type Health struct {
	log      *slog.Logger
	draining atomic.Bool

	mu         sync.RWMutex
	components []*component
}

// New returns the health of a service without components, which is ok. The log hears of each component that starts or stops failing; nil
// is slog.Default.
func New(log *slog.Logger) *Health {
	if log == nil {
		log = slog.Default()
	}
	return &Health{log: log}
}

// Option changes how a component is checked.
type Option func(*component)

// Optional keeps the service ready while the component fails: it is degraded then. Use it for what the service can do without, such
// as a cache.
func Optional() Option { return func(c *component) { c.optional = true } }

// Timeout is how long a check may take before it counts as failed; default 800 ms. Keep it below the timeout of the probe.
func Timeout(d time.Duration) Option { return func(c *component) { c.timeout = d } }

// CacheFor is how long a result stands for the next; default 1 s, and 0 asks each time.
func CacheFor(d time.Duration) Option { return func(c *component) { c.cache = d } }

// Add registers a component. An empty name, a nil check, a name that is taken and a timeout that is not positive are errors.
func (h *Health) Add(name string, check Check, opts ...Option) error {
	added := &component{name: name, check: check, timeout: defaultTimeout, cache: defaultCache, log: h.log}
	for _, opt := range opts {
		opt(added)
	}
	switch {
	case name == "":
		return errors.New("health: a component needs a name")
	case check == nil:
		return fmt.Errorf("health: component %q has no check", name)
	case added.timeout <= 0:
		return fmt.Errorf("health: component %q: a check needs a timeout above 0, not %s", name, added.timeout)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, other := range h.components {
		if other.name == name {
			return fmt.Errorf("health: there are two components %q: give one another name", name)
		}
	}
	h.components = append(h.components, added)
	return nil
}

// Drain makes the service not ready for good. It is what a server does first when it is told to stop.
func (h *Health) Drain() { h.draining.Store(true) }

// Draining reports whether the service stops.
func (h *Health) Draining() bool { return h.draining.Load() }

// Result is what the last check of a component found.
type Result struct {
	// Status is OK or Failing.
	Status Status `json:"status"`
	// Optional components don't make the service not ready.
	Optional bool `json:"optional,omitempty"`
	// LatencyMs is how long the check took, in milliseconds.
	LatencyMs float64 `json:"latencyMs"`
	// CheckedAt is when it ended.
	CheckedAt time.Time `json:"checkedAt"`
	// Error is why it failed.
	Error string `json:"error,omitempty"`
}

// Report is the health of the whole service.
type Report struct {
	Status     Status            `json:"status"`
	Timestamp  time.Time         `json:"timestamp"`
	Components map[string]Result `json:"components,omitempty"`
}

// Report checks all components at the same time, and returns when the last has answered or run out of time.
func (h *Health) Report(ctx context.Context) Report {
	return h.report(ctx, func(*component) bool { return true })
}

// report does that for some of the components.
func (h *Health) report(ctx context.Context, asked func(*component) bool) Report {
	h.mu.RLock()
	var components []*component
	for _, c := range h.components {
		if asked(c) {
			components = append(components, c)
		}
	}
	h.mu.RUnlock()

	results := make([]Result, len(components))
	var checks sync.WaitGroup
	for i, c := range components {
		// What is known is told without a goroutine.
		if known, fresh := c.known(time.Now()); fresh {
			results[i] = known
			continue
		}
		checks.Go(func() { results[i] = c.ask(ctx) })
	}
	checks.Wait()

	report := Report{Status: OK, Timestamp: time.Now().UTC(), Components: make(map[string]Result, len(components))}
	for i, c := range components {
		report.Components[c.name] = results[i]
		switch {
		case results[i].Status == OK:
		case !c.optional:
			report.Status = Failing
		case report.Status == OK:
			report.Status = Degraded
		}
	}
	if h.Draining() {
		report.Status = Draining
	}
	return report
}
