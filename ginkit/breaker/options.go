package breaker

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Option changes when a breaker opens and closes, or what it counts.
type Option func(*options)

type options struct {
	consecutive     int
	ratio           float64
	minimum         int
	window          time.Duration
	openFor         time.Duration
	longestTrial    time.Duration
	isFailure       func(error) bool
	isFailureStatus func(int) bool
	log             *slog.Logger
}

func defaults() options {
	return options{
		consecutive: 5, ratio: 0.5, minimum: 20, window: 10 * time.Second, openFor: 5 * time.Second, longestTrial: 30 * time.Second,
		isFailure:       func(err error) bool { return err != nil },
		isFailureStatus: func(status int) bool { return status >= 500 || status == http.StatusTooManyRequests },
	}
}

// WithConsecutiveFailures opens the circuit after n failures in a row, default 5. 0 switches this rule off.
func WithConsecutiveFailures(n int) Option {
	return func(o *options) { o.consecutive = n }
}

// WithFailureRatio opens the circuit when the share of failures, from 0 to 1, among the calls that ended within the window is at least
// ratio, and there were at least minimum of them. Default 0.5, 20 and 10 s. A ratio of 0 switches this rule off.
func WithFailureRatio(ratio float64, minimum int, window time.Duration) Option {
	return func(o *options) { o.ratio, o.minimum, o.window = ratio, minimum, window }
}

// WithOpenFor sets how long the circuit stays open before a trial, default 5 s.
func WithOpenFor(d time.Duration) Option {
	return func(o *options) { o.openFor = d }
}

// WithLongestTrial sets after how long a trial that has no result counts as failed, default 30 s, so that a call without a deadline
// does not keep the circuit half open for ever. The call itself goes on.
func WithLongestTrial(d time.Duration) Option {
	return func(o *options) { o.longestTrial = d }
}

// WithFailure sets which results of Do are failures; the function gets each, also nil. Default: every error. Errors that are answers,
// such as sql.ErrNoRows, should not be. The caller's cancellation never is.
func WithFailure(isFailure func(error) bool) Option {
	return func(o *options) { o.isFailure = isFailure }
}

// WithFailureStatus sets which HTTP statuses are failures, default 429 and all from 500.
func WithFailureStatus(isFailure func(status int) bool) Option {
	return func(o *options) { o.isFailureStatus = isFailure }
}

// WithLogger sets where changes of state are logged, default slog.Default(): Warn when the circuit opens, Info when it closes again, and
// Debug for the trials in between.
func WithLogger(log *slog.Logger) Option {
	return func(o *options) { o.log = log }
}

func (o *options) logger() *slog.Logger {
	if o.log == nil {
		return slog.Default()
	}
	return o.log
}

func (o *options) validate() error {
	switch {
	case o.consecutive < 0:
		return fmt.Errorf("%d failures in a row: must be at least 0", o.consecutive)
	// The comparison is false for what is not a number.
	case !(o.ratio >= 0 && o.ratio <= 1):
		return fmt.Errorf("a share of failures of %v: must be from 0 to 1", o.ratio)
	case o.ratio > 0 && (o.minimum < 1 || o.window <= 0):
		return fmt.Errorf("a share of at least %d calls in %s: must be at least 1, in a time above 0", o.minimum, o.window)
	case o.ratio == 0 && o.consecutive == 0:
		return errors.New("both rules are off: it would never open")
	case o.openFor <= 0 || o.longestTrial <= 0:
		return fmt.Errorf("open for %s, a trial for %s: must be above 0", o.openFor, o.longestTrial)
	case o.isFailure == nil || o.isFailureStatus == nil:
		return errors.New("no function says what a failure is")
	}
	return nil
}
