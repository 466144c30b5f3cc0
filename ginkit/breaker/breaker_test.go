package breaker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

var errDown = errors.New("the database is down")

// results of calls, one letter each: success, failure, cancelled, panic, and a goroutine that ends.
func run(t *testing.T, b *Breaker, results string) {
	t.Helper()
	for i, result := range results {
		ctx, cancel := context.WithCancel(t.Context())
		call := func(context.Context) (string, error) { return "answer", nil }
		var want error
		switch result {
		case 'f':
			call, want = func(context.Context) (string, error) { return "", errDown }, errDown
		case 'c':
			call, want = func(context.Context) (string, error) { cancel(); return "", errDown }, errDown
		case 'p':
			call = func(context.Context) (string, error) { panic("bad luck") }
		case 'g':
			call = func(context.Context) (string, error) { runtime.Goexit(); return "", nil }
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer func() {
				if cause := recover(); (cause != nil) != (result == 'p') {
					t.Errorf("call %d, %c: panic: %v", i, result, cause)
				}
			}()
			if _, err := Do(b, ctx, call); !errors.Is(err, want) || (err != nil) != (want != nil) {
				t.Errorf("call %d, %c: got %v, want %v", i, result, err, want)
			}
		}()
		<-ended
		cancel()
	}
}

func wantState(t *testing.T, b *Breaker, want State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Errorf("the circuit is %s, want %s", got, want)
	}
}

func wantRejected(t *testing.T, b *Breaker, retryAfter time.Duration) {
	t.Helper()
	_, err := Do(b, t.Context(), func(context.Context) (int, error) {
		t.Error("the call was made")
		return 0, nil
	})
	open, ok := errors.AsType[*OpenError](err)
	if !errors.Is(err, ErrOpen) || !ok || open.RetryAfter != retryAfter {
		t.Errorf("got %v, want an open circuit for %s", err, retryAfter)
	}
}

// after waits in the time of the bubble. A circuit is open for a moment longer than it says.
func after(d time.Duration) { <-time.After(d + 1) }

func TestWhenACircuitOpens(t *testing.T) {
	tenTimes := func(results string) string { return strings.Repeat(results, 10) }
	for name, tc := range map[string]struct {
		opts    []Option
		results string
		want    State
	}{
		"nothing happened":                        {want: Closed},
		"four failures in a row":                  {results: "ffff", want: Closed},
		"five failures in a row":                  {results: "fffff", want: Open},
		"five failures, a success between them":   {results: "ffffsf", want: Closed},
		"a call that was cancelled is not one":    {results: "ffffcf", want: Open},
		"calls that were cancelled":               {results: tenTimes("c"), want: Closed},
		"panics":                                  {results: "ppppp", want: Open},
		"calls that ended their goroutine":        {results: "ggggg", want: Open},
		"half of nineteen":                        {results: strings.Repeat("fs", 9) + "f", want: Closed},
		"half of twenty":                          {results: strings.Repeat("sf", 10), want: Open},
		"less than half":                          {results: tenTimes("ssf"), want: Closed},
		"one, if one is enough":                   {opts: []Option{WithConsecutiveFailures(1)}, results: "f", want: Open},
		"none in a row count":                     {opts: []Option{WithConsecutiveFailures(0)}, results: "fffffffff", want: Closed},
		"none in a row count, but the share does": {opts: []Option{WithConsecutiveFailures(0)}, results: strings.Repeat("f", 20), want: Open},
		"the share does not count":                {opts: []Option{WithFailureRatio(0, 0, 0)}, results: tenTimes("ffffs"), want: Closed},
		"an error that is an answer": {
			opts: []Option{WithFailure(func(err error) bool { return err != nil && !errors.Is(err, errDown) })}, results: tenTimes("f"), want: Closed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := New("db", append(tc.opts, WithLogger(slog.New(slog.DiscardHandler)))...)
			run(t, b, tc.results)
			wantState(t, b, tc.want)
		})
	}
}

func TestOldFailuresAreForgotten(t *testing.T) {
	for name, tc := range map[string]struct {
		pause time.Duration
		want  State
	}{
		"within the window": {pause: 8 * time.Second, want: Open},
		"after the window":  {pause: 11 * time.Second, want: Closed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("db", WithConsecutiveFailures(0))
				run(t, b, strings.Repeat("f", 19))
				after(tc.pause)
				run(t, b, "f")
				wantState(t, b, tc.want)
			})
		})
	}
}

// TestSlowCallsOpenTheCircuit has calls that take longer than the window, one after the other, as timeouts do.
func TestSlowCallsOpenTheCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db")
		for range 5 {
			wantState(t, b, Closed)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err := Do(b, ctx, func(ctx context.Context) (int, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v", err)
			}
		}
		wantState(t, b, Open)
	})
}

func TestACallWhoseTimeIsOverIsNotMade(t *testing.T) {
	b := New("db", WithConsecutiveFailures(1))
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	_, err := Do(b, late, func(context.Context) (int, error) {
		t.Error("the call was made")
		return 0, errDown
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the error of the context", err)
	}
	wantState(t, b, Closed)
}

func TestHowACircuitCloses(t *testing.T) {
	for name, tc := range map[string]struct {
		trial string
		want  State
	}{
		"a success closes it":                       {trial: "s", want: Closed},
		"a failure opens it":                        {trial: "f", want: Open},
		"a panic opens it":                          {trial: "p", want: Open},
		"a goroutine that ends opens it":            {trial: "g", want: Open},
		"a cancelled trial leaves room for another": {trial: "cccs", want: Closed},
		"another that may fail":                     {trial: "ccf", want: Open},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("db")
				run(t, b, "fffff")
				wantRejected(t, b, 5*time.Second)
				<-time.After(3 * time.Second)
				wantRejected(t, b, 2*time.Second)
				after(2 * time.Second)
				wantState(t, b, HalfOpen)
				run(t, b, tc.trial)
				wantState(t, b, tc.want)
				if tc.want == Open {
					wantRejected(t, b, 5*time.Second)
					return
				}
				// It counts from the beginning.
				run(t, b, "ffff")
				wantState(t, b, Closed)
			})
		})
	}
}

// trial begins a call that ends when the function that it returns is called.
func trial(t *testing.T, b *Breaker) (end func()) {
	t.Helper()
	leave, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		if _, err := Do(b, t.Context(), func(context.Context) (int, error) {
			<-leave
			return 0, nil
		}); err != nil {
			t.Errorf("the trial: %v", err)
		}
	}()
	synctest.Wait()
	return func() {
		close(leave)
		<-left
	}
}

func TestOneTrialAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db")
		run(t, b, "fffff")
		after(5 * time.Second)
		end := trial(t, b)
		wantRejected(t, b, time.Second)
		end()
		wantState(t, b, Closed)
	})
}

func TestATrialWithoutAnEndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db")
		run(t, b, "fffff")
		after(5 * time.Second)
		end := trial(t, b)
		<-time.After(30*time.Second - 1)
		wantRejected(t, b, time.Second)
		<-time.After(1)
		wantRejected(t, b, 5*time.Second)
		after(5 * time.Second)
		next := trial(t, b)
		// What the first has to say comes too late to close the circuit, and to end the trial of another.
		end()
		wantState(t, b, HalfOpen)
		wantRejected(t, b, time.Second)
		next()
		wantState(t, b, Closed)
	})
}

// TestManyCallersOneTrial also needs the race detector to say something.
func TestManyCallersOneTrial(t *testing.T) {
	b := New("db", WithOpenFor(time.Millisecond), WithLogger(slog.New(slog.DiscardHandler)))
	var down atomic.Bool
	down.Store(true)
	var inside, rejected, made atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range 500 {
				if i == 250 {
					down.Store(false)
				}
				_, err := Do(b, t.Context(), func(context.Context) (int, error) {
					inside.Add(1)
					defer inside.Add(-1)
					made.Add(1)
					if down.Load() {
						return 0, errDown
					}
					return 0, nil
				})
				if errors.Is(err, ErrOpen) {
					rejected.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if rejected.Load()+made.Load() != 16*500 || inside.Load() != 0 {
		t.Errorf("%d were rejected and %d made of %d; %d did not end", rejected.Load(), made.Load(), 16*500, inside.Load())
	}
	if got := b.succeeded.Load() + b.failed.Load(); got != uint64(made.Load()) || b.rejected.Load() != uint64(rejected.Load()) {
		t.Errorf("%d calls and %d rejected ones were counted, want %d and %d", got, b.rejected.Load(), made.Load(), rejected.Load())
	}
	deadline := time.Now().Add(30 * time.Second)
	for b.State() != Closed && time.Now().Before(deadline) {
		_, _ = Do(b, t.Context(), func(context.Context) (int, error) { return 0, nil })
	}
	wantState(t, b, Closed)
}

func TestWhatTheCheckSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db")
		run(t, b, "fffff")
		<-time.After(time.Second)
		want := "db: circuit open since 2000-01-01T00:00:00Z, retry in 4s"
		if err := b.Check(t.Context()); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		after(4 * time.Second)
		// Not an error: somebody has to make the trial.
		if err := b.Check(t.Context()); err != nil {
			t.Errorf("half open: %v", err)
		}
		run(t, b, "s")
		if err := b.Check(t.Context()); err != nil {
			t.Errorf("closed: %v", err)
		}
	})
}

func TestAnOutageIsTwoLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		b := New("db", WithLogger(log))
		run(t, b, "fffff")
		for range 3 {
			after(5 * time.Second)
			run(t, b, "f")
		}
		after(5 * time.Second)
		run(t, b, "s")
		want := `level=WARN msg="circuit breaker opened" breaker=db from=closed to=open reason="5 calls in a row failed" cause="the database is down"
level=INFO msg="circuit breaker closed" breaker=db from=half_open to=closed after=20.000000004s
`
		if diff := cmp.Diff(want, text.String()); diff != "" {
			t.Errorf("the log (-want +got):\n%s", diff)
		}
	})
}

// loop is a handler of logs that itself makes a call through the breaker.
type loop struct {
	slog.Handler
	breaker **Breaker
}

func (l loop) Handle(ctx context.Context, _ slog.Record) error {
	_, err := Do(*l.breaker, ctx, func(context.Context) (int, error) { return 0, nil })
	return err
}

func TestALogMayGoThroughTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *Breaker
		b = New("logs", WithLogger(slog.New(loop{slog.NewTextHandler(t.Output(), nil), &b})))
		run(t, b, "fffff")
		wantState(t, b, Open)
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, mail := New("db"), New("mail")
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(Collector(db), Collector(mail))
		run(t, db, "sscfffff")
		wantRejected(t, db, 5*time.Second)
		want := `# HELP circuit_breaker_requests_total Calls through the circuit breaker by result.
# TYPE circuit_breaker_requests_total counter
circuit_breaker_requests_total{name="db",result="failure"} 5
circuit_breaker_requests_total{name="db",result="rejected"} 1
circuit_breaker_requests_total{name="db",result="success"} 2
circuit_breaker_requests_total{name="mail",result="failure"} 0
circuit_breaker_requests_total{name="mail",result="rejected"} 0
circuit_breaker_requests_total{name="mail",result="success"} 0
# HELP circuit_breaker_state 1 for the state that the circuit breaker is in, 0 for the others.
# TYPE circuit_breaker_state gauge
circuit_breaker_state{name="db",state="closed"} 0
circuit_breaker_state{name="db",state="half_open"} 0
circuit_breaker_state{name="db",state="open"} 1
circuit_breaker_state{name="mail",state="closed"} 1
circuit_breaker_state{name="mail",state="half_open"} 0
circuit_breaker_state{name="mail",state="open"} 0
`
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		for _, family := range families {
			if _, err := expfmt.MetricFamilyToText(&got, family); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Errorf("the metrics (-want +got):\n%s", diff)
		}
		if err := prometheus.NewRegistry().Register(Collector(db, New("db"))); err == nil {
			t.Error("two breakers of one name were registered")
		}
	})
}

func TestWhatAClientIsTold(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want problem.Error
	}{
		"an open circuit": {
			err:  errors.Join(errors.New("listing users"), &OpenError{Name: "db", RetryAfter: 3 * time.Second}),
			want: problem.Error{Status: http.StatusServiceUnavailable, Code: "dependency_unavailable", RetryAfter: 3 * time.Second},
		},
		"a timeout":     {err: context.DeadlineExceeded, want: problem.Error{Status: http.StatusGatewayTimeout, Code: "timeout"}},
		"another error": {err: errDown, want: problem.Error{Status: http.StatusInternalServerError, Code: "internal_error"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := *Problem(tc.err)
			if strings.Contains(got.Message, "db") || !errors.Is(&got, tc.err) {
				t.Errorf("the message is %q, the cause %v", got.Message, got.Cause)
			}
			got.Message, got.Cause = "", nil
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for name, opts := range map[string][]Option{
		"less than no failures":       {WithConsecutiveFailures(-1)},
		"more than all":               {WithFailureRatio(1.1, 1, time.Second)},
		"a share that is no number":   {WithFailureRatio(math.NaN(), 1, time.Second)},
		"a share of nothing":          {WithFailureRatio(0.5, 0, time.Second)},
		"a share in no time":          {WithFailureRatio(0.5, 1, 0)},
		"no rule":                     {WithConsecutiveFailures(0), WithFailureRatio(0, 0, 0)},
		"open for no time":            {WithOpenFor(0)},
		"a trial in no time":          {WithLongestTrial(0)},
		"nothing says what fails":     {WithFailure(nil)},
		"no status that is a failure": {WithFailureStatus(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("New took it")
				}
			}()
			New("db", opts...)
		})
	}
}

func BenchmarkDo(b *testing.B) {
	call := func(context.Context) (int, error) { return 1, nil }
	closed := New("closed")
	open := New("open", WithConsecutiveFailures(1), WithOpenFor(time.Hour), WithLogger(slog.New(slog.DiscardHandler)))
	_, _ = Do(open, b.Context(), func(context.Context) (int, error) { return 0, errDown })
	for _, breaker := range []*Breaker{closed, open} {
		b.Run(breaker.Name(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = Do(breaker, b.Context(), call)
			}
		})
	}
}
