package breaker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// roundTripper is a function that plays a service.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answering(status int) roundTripper {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: http.NoBody}, nil
	}
}

// closing notes that a body was closed.
type closing struct {
	io.Reader
	closed *bool
}

func (c closing) Close() error {
	*c.closed = true
	return nil
}

func TestWhatIsAFailureOfARequest(t *testing.T) {
	refused := func(*http.Request) (*http.Response, error) { return nil, errDown }
	for name, tc := range map[string]struct {
		next    roundTripper
		opts    []Option
		prepare func(context.Context) (context.Context, context.CancelFunc)
		want    State
	}{
		"200":                  {next: answering(http.StatusOK), want: Closed},
		"404":                  {next: answering(http.StatusNotFound), want: Closed},
		"429":                  {next: answering(http.StatusTooManyRequests), want: Open},
		"500":                  {next: answering(http.StatusInternalServerError), want: Open},
		"503":                  {next: answering(http.StatusServiceUnavailable), want: Open},
		"404, if that is one":  {next: answering(http.StatusNotFound), opts: []Option{WithFailureStatus(func(s int) bool { return s == http.StatusNotFound })}, want: Open},
		"500, if that is none": {next: answering(http.StatusInternalServerError), opts: []Option{WithFailureStatus(func(int) bool { return false })}, want: Closed},
		"no connection":        {next: refused, want: Open},
		"a deadline of the caller": {next: waiting(nil), prepare: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Millisecond)
		}, want: Open},
	} {
		// In a bubble the deadline cannot pass before the call begins, which then would not be made.
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("api", append(tc.opts, WithConsecutiveFailures(1), WithLogger(slog.New(slog.DiscardHandler)))...)
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if tc.prepare != nil {
					ctx, cancel = tc.prepare(ctx)
				}
				defer cancel()
				send(t, b.Transport(tc.next), ctx)
				wantState(t, b, tc.want)
			})
		})
	}
}

// waiting waits for the end of the request's context, after it has called begin.
func waiting(begin func()) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		if begin != nil {
			begin()
		}
		<-r.Context().Done()
		// As net/http does, which returns the cause.
		return nil, context.Cause(r.Context())
	}
}

//nolint:revive // t comes first.
func send(t *testing.T, transport http.RoundTripper, ctx context.Context) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.example.com/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := transport.RoundTrip(request); err == nil {
		response.Body.Close()
	}
}

func TestARequestThatTheCallerCancelsIsNoFailure(t *testing.T) {
	b := New("api", WithConsecutiveFailures(1))
	ctx, cancel := context.WithCancelCause(t.Context())
	send(t, b.Transport(waiting(func() { cancel(errors.New("no longer wanted")) })), ctx)
	wantState(t, b, Closed)
	if b.failed.Load()+b.succeeded.Load() != 0 {
		t.Error("it was counted")
	}
}

func TestABodyIsClosedThoughItIsNotSent(t *testing.T) {
	b := New("api", WithConsecutiveFailures(1), WithOpenFor(time.Hour), WithLogger(slog.New(slog.DiscardHandler)))
	transport := b.Transport(answering(http.StatusBadGateway))
	send(t, transport, t.Context())
	closed := false
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.example.com/", closing{strings.NewReader("text"), &closed})
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err == nil {
		response.Body.Close()
	}
	if !errors.Is(err, ErrOpen) || !closed {
		t.Errorf("got %v, and the body is closed: %v", err, closed)
	}
}

// TestATrialEndsWithItsHeaders has a server that never finishes its body, and a client that never closes it.
func TestATrialEndsWithItsHeaders(t *testing.T) {
	var down atomic.Bool
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	defer server.Close()
	defer close(release)
	b := New("api", WithConsecutiveFailures(1), WithOpenFor(time.Millisecond), WithLogger(slog.New(slog.DiscardHandler)))
	client := &http.Client{Transport: b.Transport(http.DefaultTransport.(*http.Transport).Clone())}
	get := func() (*http.Response, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		return client.Do(request)
	}
	down.Store(true)
	if response, err := get(); err == nil {
		response.Body.Close()
	}
	if b.failed.Load() != 1 {
		t.Fatal("the circuit did not open")
	}
	down.Store(false)
	until(t, "the trial's answer", func() bool {
		response, err := get()
		if err == nil {
			t.Cleanup(func() { response.Body.Close() })
		}
		return err == nil
	})
	wantState(t, b, Closed)
}

// until polls for as long as the slowest machine may need.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick, end := time.NewTicker(2*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited 30 s for %s", what)
		}
	}
}

// service is a server that can be stopped, and started again on the same port.
type service struct {
	address string
	server  *http.Server
}

func (s *service) start(t *testing.T) {
	t.Helper()
	if s.address == "" {
		s.address = "127.0.0.1:0"
	}
	var listener net.Listener
	until(t, "the port", func() bool {
		var err error
		listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", s.address)
		return err == nil
	})
	s.address = listener.Addr().String()
	s.server = &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: time.Minute}
	go s.server.Serve(listener) //nolint:errcheck // it ends when the server is closed
}

// TestAnOutage stops and starts a service under load. What reaches the transport while it is down is bounded by the trials, of which
// there can be one for each openFor; a slow machine makes the bound only higher.
func TestAnOutage(t *testing.T) {
	const workers, openFor = 4, 100 * time.Millisecond
	s := &service{}
	s.start(t)
	defer func() { s.server.Close() }()
	url := "http://" + s.address
	var reached, answered, rejected atomic.Int64
	base := http.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	b := New("api", WithOpenFor(openFor), WithLogger(slog.New(slog.DiscardHandler)))
	client := &http.Client{Transport: b.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		reached.Add(1)
		return base.RoundTrip(r)
	}))}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for range workers {
		wg.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
				if err != nil {
					t.Error(err)
					return
				}
				response, err := client.Do(request)
				switch {
				case err == nil:
					response.Body.Close()
					answered.Add(1)
				case errors.Is(err, ErrOpen):
					rejected.Add(1)
				}
				<-tick.C
			}
		})
	}
	until(t, "answers", func() bool { return answered.Load() > 50 })
	if got := rejected.Load(); got != 0 {
		t.Errorf("%d requests were rejected before the outage", got)
	}
	s.server.Close()
	until(t, "the circuit to open", func() bool { return b.State() == Open })

	began, before, rejectedBefore := time.Now(), reached.Load(), rejected.Load()
	until(t, "rejected requests", func() bool { return rejected.Load() > rejectedBefore+200 && time.Since(began) > 3*openFor })
	tried := reached.Load() - before
	// Those that were already on their way are one for each worker.
	if most := int64(time.Since(began)/openFor) + 1 + workers; tried > most {
		t.Errorf("%d requests were sent while the circuit was open, want at most %d", tried, most)
	}

	s.start(t)
	answeredBefore := answered.Load()
	until(t, "answers again", func() bool { return answered.Load() > answeredBefore+50 })
	wantState(t, b, Closed)
}
