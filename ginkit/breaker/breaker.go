// Package breaker stops calling what does not answer. After some failures a circuit breaker opens: calls fail at once, with the time
// when another try makes sense, instead of each waiting for a timeout while requests pile up behind it. After a while one call is let
// through as a trial, and closes the circuit if it succeeds.
//
// Have a breaker for each service, database or queue that can fail on its own, and one only: the name is what its logs, its metrics and
// its errors are told apart by.
//
// What counts is the result of a call: a failure is an error, and for HTTP also a status that says so. A call whose caller cancelled it
// counts as nothing; one whose caller's deadline passed is a failure, because something that is too slow must open the circuit as well.
// A call whose context is over before it begins is not made.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// State says whether calls are made.
type State string

// The states, as metrics and logs name them.
const (
	// Closed lets all calls through.
	Closed State = "closed"
	// Open lets none through.
	Open State = "open"
	// HalfOpen lets one through at a time, until one succeeds or fails.
	HalfOpen State = "half_open"
)

// Breaker is a circuit breaker. It is safe for many goroutines.
type Breaker struct {
	name    string
	options options
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]

	succeeded, failed, rejected atomic.Uint64

	// results is only touched by the functions that circuit calls, which it does under its own lock.
	results results

	// mu guards what follows. It may be taken under the lock of circuit, so circuit must not be called under it.
	mu sync.Mutex
	// since is when the circuit opened for the first time since it was closed; changed is when it got into its state.
	since, changed time.Time
	state          State
	trial          *attempt
	// changes are those that have not been logged.
	changes []change
}

// New returns a breaker that is closed. The name says what is called: "payments". It panics if an option makes no sense.
func New(name string, opts ...Option) *Breaker {
	b := &Breaker{name: name, options: defaults(), state: Closed}
	for _, opt := range opts {
		opt(&b.options)
	}
	if err := b.options.validate(); err != nil {
		panic(fmt.Errorf("breaker %s: %w", name, err))
	}
	b.results = results{window: b.options.window, began: time.Now()}
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, MaxRequests: 1, Timeout: b.options.openFor,
		// gobreaker's own window counts a result for the moment when its call began. Where calls take longer than the window, which is
		// what timeouts do, it would forget each of them.
		IsSuccessful:  func(err error) bool { return !b.results.add(time.Now(), err) },
		IsExcluded:    func(err error) bool { return errors.Is(err, errCancelled) },
		ReadyToTrip:   func(gobreaker.Counts) bool { return b.results.tooMany(&b.options) },
		OnStateChange: func(_ string, from, to gobreaker.State) { b.onChange(stateOf(from), stateOf(to)) },
	})
	return b
}

// Name returns the name that New was given.
func (b *Breaker) Name() string { return b.name }

// State returns the state at this moment. An open circuit whose time is over is half open.
func (b *Breaker) State() State {
	defer b.logChanges()
	return stateOf(b.circuit.State())
}

// Check returns an error while the circuit is open, which says since when and until when. It fits a health check that is for information.
//
// A half-open circuit is well: if this decided whether a service gets traffic, nothing else would bring the call that could close it.
func (b *Breaker) Check(context.Context) error {
	if b.State() != Open {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Errorf("%s: circuit open since %s, retry in %s", b.name, b.since.UTC().Format(time.RFC3339), b.retryAfter().Round(time.Millisecond))
}

// Do makes a call, or returns an error that is ErrOpen without making it. The call gets the context as it is: give it a deadline. A
// panic in it is a failure, and goes on.
//
//nolint:revive // The breaker stands where a receiver would, if methods could have type parameters.
func Do[T any](b *Breaker, ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	var result T
	err := b.do(ctx, func() (err error) {
		result, err = call(ctx)
		return err
	}, func(err error) error {
		if b.options.isFailure(err) {
			return err
		}
		return nil
	})
	return result, err
}

// errCancelled is the result of a call that counts as nothing, and errNoResult that of one that panicked or ended its goroutine.
var (
	errCancelled = errors.New("cancelled by the caller")
	errNoResult  = errors.New("the call panicked")
)

// do makes a call and counts it. failure returns what is wrong with the call that returned an error or nil, as the breaker sees it.
func (b *Breaker) do(ctx context.Context, call func() error, failure func(error) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a, err := b.begin()
	if err != nil {
		return err
	}
	verdict := errNoResult
	// A trial that did not report would keep the circuit half open for ever.
	defer func() { a.end(verdict) }()
	err = call()
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		verdict = errCancelled
	default:
		verdict = failure(err)
	}
	return err
}

// attempt is a call that is being made.
type attempt struct {
	breaker *Breaker
	done    func(error)
	began   time.Time
	once    sync.Once
}

func (b *Breaker) begin() (*attempt, error) {
	defer b.logChanges()
	done, err := b.circuit.Allow()
	if errors.Is(err, gobreaker.ErrTooManyRequests) && b.giveUpTrial() {
		done, err = b.circuit.Allow()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.rejected.Add(1)
		return nil, &OpenError{Name: b.name, RetryAfter: b.retryAfter()}
	}
	a := &attempt{breaker: b, done: done}
	if b.state == HalfOpen {
		a.began = time.Now()
		b.trial = a
	}
	return a, nil
}

// giveUpTrial counts a trial that has taken too long as failed, and reports whether it did. Its caller may have given it no deadline.
func (b *Breaker) giveUpTrial() bool {
	b.mu.Lock()
	trial := b.trial
	b.mu.Unlock()
	if trial == nil || time.Since(trial.began) < b.options.longestTrial {
		return false
	}
	trial.end(fmt.Errorf("the trial has taken more than %s", b.options.longestTrial))
	return true
}

// end counts the result of a call, once.
func (a *attempt) end(verdict error) {
	a.once.Do(func() {
		b := a.breaker
		b.mu.Lock()
		if b.trial == a {
			b.trial = nil
		}
		b.mu.Unlock()
		switch {
		case verdict == nil:
			b.succeeded.Add(1)
		case !errors.Is(verdict, errCancelled):
			b.failed.Add(1)
		}
		a.done(verdict)
		b.logChanges()
	})
}

// change is a change of state, with why and, where the circuit closes, how long it had not been.
type change struct {
	from, to State
	reason   string
	cause    error
	lasted   time.Duration
}

// onChange is called under the lock of circuit.
func (b *Breaker) onChange(from, to State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	made := change{from: from, to: to, reason: b.results.reason, cause: b.results.last}
	switch {
	case from == Closed:
		b.since = now
	case to == Closed:
		made.lasted = now.Sub(b.since)
	}
	b.results = results{window: b.options.window, began: now}
	b.state, b.changed, b.trial = to, now, nil
	b.changes = append(b.changes, made)
}

// logChanges logs outside of all locks, because a handler of logs may be slow, or make calls through this very breaker. An outage is two
// lines however long it is; the trials in between are for those who debug.
func (b *Breaker) logChanges() {
	b.mu.Lock()
	changes := b.changes
	b.changes = nil
	b.mu.Unlock()
	for _, made := range changes {
		level, message := slog.LevelDebug, "circuit breaker tries again"
		attrs := []slog.Attr{slog.String("breaker", b.name), slog.String("from", string(made.from)), slog.String("to", string(made.to))}
		switch {
		case made.from == Closed:
			level, message = slog.LevelWarn, "circuit breaker opened"
			attrs = append(attrs, slog.String("reason", made.reason), slog.Any("cause", made.cause))
		case made.to == Closed:
			level, message = slog.LevelInfo, "circuit breaker closed"
			attrs = append(attrs, slog.Duration("after", made.lasted))
		case made.to == Open:
			message = "circuit breaker stays open"
			attrs = append(attrs, slog.Any("cause", made.cause))
		}
		// Nothing that happens to a request happens to the breaker, so it has no context.
		b.options.logger().LogAttrs(context.Background(), level, message, attrs...)
	}
}

// retryAfter is how long the circuit will still be open; while a trial is under way, nobody knows.
func (b *Breaker) retryAfter() time.Duration {
	if b.state != Open {
		return time.Second
	}
	return max(time.Until(b.changed.Add(b.options.openFor)), 1)
}

func stateOf(state gobreaker.State) State {
	switch state {
	case gobreaker.StateOpen:
		return Open
	case gobreaker.StateHalfOpen:
		return HalfOpen
	default:
		return Closed
	}
}
