package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// component is a check and what it found last.
type component struct {
	name     string
	check    Check
	optional bool
	timeout  time.Duration
	cache    time.Duration
	log      *slog.Logger

	mu      sync.Mutex
	last    Result
	until   time.Time // last stands for the next result until then
	running *run      // the check that has not returned, or nil
}

// run is one call of a check. Everybody who asks while it runs waits for the same one.
type run struct {
	began time.Time
	done  chan struct{} // closed when the check has returned or run out of time
	got   Result        // set before done is closed
}

// known returns the last result, and whether it may stand for the next.
func (c *component) known(now time.Time) (Result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, now.Before(c.until)
}

// ask returns a result that is fresh enough, from a check if it has to. It returns no later than the check's timeout, and earlier when
// the context ends, for the one who asks has gone then; the check goes on for the next.
func (c *component) ask(ctx context.Context) Result {
	c.mu.Lock()
	if time.Now().Before(c.until) {
		defer c.mu.Unlock()
		return c.last
	}
	current := c.running
	if current == nil {
		current = &run{began: time.Now(), done: make(chan struct{})}
		c.running = current
		// The check belongs to all who wait for it, so it must not end with the first of them.
		go c.perform(context.WithoutCancel(ctx), current)
	}
	c.mu.Unlock()

	select {
	case <-current.done:
		return current.got
	case <-ctx.Done():
		return c.result(current.began, context.Cause(ctx))
	}
}

// perform calls the check and tells everybody who waits.
func (c *component) perform(ctx context.Context, current *run) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %s", c.timeout))
	returned := make(chan error, 1)
	go func() {
		defer cancel()
		err := c.call(ctx)
		if errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) != nil {
			err = context.Cause(ctx)
		}
		returned <- err
	}()

	select {
	case err := <-returned:
		c.tell(current, err, true)
	case <-ctx.Done():
		select {
		case err := <-returned:
			c.tell(current, err, true)
			return
		default:
		}
		c.tell(current, context.Cause(ctx), false)
		// It hangs. Asking again would only add to what waits, so the failure stands until it returns.
		err := <-returned
		c.mu.Lock()
		defer c.mu.Unlock()
		// What is known stands for as long as any result: a check that gives up in time must not be asked without a pause.
		c.running = nil
		if err == nil {
			c.log.Info("the check of a component that hung has returned", "component", c.name, "after", time.Since(current.began).String())
		}
	}
}

// call calls the check, and turns a panic into an error.
func (c *component) call(ctx context.Context) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &panicked{cause: cause, stack: string(debug.Stack())}
		}
	}()
	return c.check(ctx)
}

// panicked is a panic of a check, with where it came from, for the log.
type panicked struct {
	cause any
	stack string
}

func (p *panicked) Error() string { return fmt.Sprintf("the check panics: %v", p.cause) }

// tell keeps a result and gives it to those who wait. One that hangs keeps its place, so that nobody starts another.
func (c *component) tell(current *run, err error, returned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.last.Status
	current.got = c.result(current.began, err)
	c.last, c.until = current.got, time.Now().Add(c.cache)
	if returned {
		c.running = nil
	}
	// Last, so that the log has said it when an answer does: who sees the service ready again can find out why.
	defer close(current.done)

	level := slog.LevelError
	if c.optional {
		level = slog.LevelWarn
	}
	switch now := current.got.Status; {
	case now == Failing && before != Failing:
		attrs := []slog.Attr{slog.String("component", c.name), slog.Bool("optional", c.optional), slog.String("error", current.got.Error)}
		if p := (*panicked)(nil); errors.As(err, &p) {
			attrs = append(attrs, slog.String("stack", p.stack))
		}
		c.log.LogAttrs(context.Background(), level, "a component fails", attrs...)
	case now == OK && before == Failing:
		c.log.Info("a component works again", "component", c.name)
	}
}

func (c *component) result(began time.Time, err error) Result {
	now := time.Now()
	result := Result{Status: OK, Optional: c.optional, LatencyMs: float64(now.Sub(began).Microseconds()) / 1000, CheckedAt: now.UTC()}
	if err != nil {
		result.Status, result.Error = Failing, err.Error()
	}
	return result
}
