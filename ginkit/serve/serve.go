// Package serve runs an HTTP server as a pod has to be run: it opens its ports or says why it can't, and when it is told to stop it
// finishes what it has begun, and loses no request on the way.
//
// On the signal to stop, in this order:
//
//  1. The service stops being ready, and each answer asks its client to use another connection.
//  2. For the time of Drain it takes requests as before: that is how long clients and proxies need to hear of it.
//  3. The ports close, and the requests in flight are finished.
//  4. What the service has of its own is stopped: stores, queues, telemetry.
//
// All of it has to end within Shutdown, for what follows is SIGKILL. A second signal ends it at once.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"
)

// Drainer is told when the service begins to stop.
type Drainer interface {
	// Drain makes the service not ready.
	Drain()
	// CloseWhenDraining makes answers ask for another connection once it stops.
	CloseWhenDraining(http.Handler) http.Handler
}

// Port is a handler and where it is served.
type Port struct {
	// Number is the TCP port; 0 is any that is free, which the log names.
	Number int
	// Setting is the name of the environment variable that set it, for errors and the log.
	Setting string
	Handler http.Handler
}

// Stop is something that has to end before the process does.
type Stop struct {
	// Name is what the log calls it.
	Name string
	// Do ends it. It should give up when the context ends.
	Do func(context.Context) error
}

// Server is a service on its ports.
type Server struct {
	// Ports are all that is served. The first is the service; others, such as metrics, are still answered while it drains.
	Ports []Port
	// Health is told of the drain; nil is nobody.
	Health Drainer
	// Log hears of the ports and of the stop; nil is slog.Default.
	Log *slog.Logger
	// Shutdown is the time from the signal to SIGKILL; 0 is 30 s, Kubernetes' default.
	Shutdown time.Duration
	// Drain is how much of Shutdown requests are still taken as before; default 0. Leave some for the requests in flight.
	Drain time.Duration
	// Stops are called one after another, the last first, once no request is left. Each has an equal share of the time that is left.
	// One that fails, panics or hangs doesn't keep the others from being called.
	Stops []Stop
	// Adjust, where it is not nil, changes each server before it is started, such as its timeouts. A body has the time of ReadHeaderTimeout,
	// too, and may take longer only while it comes at 1 KiB a second or faster.
	Adjust func(*http.Server)

	servers []*http.Server
	// host is where the ports are opened, "" for everywhere, and after tells when the drain is over: tests set both.
	host  string
	after func(time.Duration) <-chan time.Time
}

const (
	defaultShutdown = 30 * time.Second
	// lastChance is for a stop that begins, or gives up, when no time is left.
	lastChance = 100 * time.Millisecond
)

// nobody has no readiness to take away.
type nobody struct{}

// Drain does nothing.
func (nobody) Drain() {}

// CloseWhenDraining changes nothing.
func (nobody) CloseWhenDraining(next http.Handler) http.Handler { return next }

func (s *Server) setDefaults() {
	if s.Health == nil {
		s.Health = nobody{}
	}
	if s.Log == nil {
		s.Log = slog.Default()
	}
	if s.Shutdown <= 0 {
		s.Shutdown = defaultShutdown
	}
	if s.after == nil {
		s.after = time.After
	}
}

// Run serves until a signal has stopped it, which is a nil error, or until something went wrong. A port that can't be opened is an error
// before anything is served. In each case everything in Stops has been called. A Server runs once.
func (s *Server) Run(signals <-chan os.Signal) error {
	s.setDefaults()
	if len(s.Ports) == 0 {
		return errors.Join(errors.New("there is no port to serve"), s.giveUp())
	}
	failed := make(chan error, len(s.Ports))
	listeners, err := s.open()
	if err != nil {
		return errors.Join(err, s.giveUp())
	}
	for i, listener := range listeners {
		s.serve(listener, s.Ports[i], failed)
	}
	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("serving: %w", err), s.giveUp())
	case <-signals:
		return s.stop(signals)
	}
}

// giveUp ends what there is without a drain.
func (s *Server) giveUp() error {
	s.close()
	ctx, cancel := context.WithTimeout(context.Background(), s.limit())
	defer cancel()
	return s.callStops(ctx)
}

// open opens every port before the first is served: half a service is worse than none.
func (s *Server) open() ([]net.Listener, error) {
	listeners := make([]net.Listener, 0, len(s.Ports))
	for _, port := range s.Ports {
		var config net.ListenConfig
		listener, err := config.Listen(context.Background(), "tcp", net.JoinHostPort(s.host, strconv.Itoa(port.Number)))
		if err != nil {
			for _, opened := range listeners {
				_ = opened.Close()
			}
			return nil, fmt.Errorf("opening port %d, from %s: %w", port.Number, port.Setting, err)
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

// serve serves a port in the background.
func (s *Server) serve(listener net.Listener, port Port, failed chan<- error) {
	server := &http.Server{
		Handler:           s.Health.CloseWhenDraining(port.Handler),
		ReadHeaderTimeout: 10 * time.Second,
		// The end of ReadTimeout also cancels a request that was read long ago, so both bound the longest answer.
		ReadTimeout:  2 * time.Minute,
		WriteTimeout: 2 * time.Minute,
		// Longer than clients keep a connection that they don't use (Go 90 s, most proxies 60 s): the side that closes first should
		// be theirs, for a request may be on its way when it is ours.
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	if s.Adjust != nil {
		s.Adjust(server)
	}
	server.Handler = boundBodies(server)
	s.servers = append(s.servers, server)
	s.Log.Info("serving", "variable", port.Setting, "address", listener.Addr().String())
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
}

// limit is the time for everything after the signal. What is left of Shutdown is for the process to end by itself.
func (s *Server) limit() time.Duration { return s.Shutdown - min(time.Second, s.Shutdown/10) }

// forStops is the part of the time that requests in flight leave to Stops when they use up theirs. There is some even where the drain
// would take it all.
func (s *Server) forStops() time.Duration {
	if len(s.Stops) == 0 {
		return 0
	}
	return min(2*time.Second, max((s.limit()-s.Drain)/4, s.limit()/10))
}

// stop ends the service.
//
// A connection that was not used in all of the drain is closed from this side in the end. Its client may send a request in the same
// instant, but only one that pauses for longer than that and meets the one round trip that counts.
func (s *Server) stop(signals <-chan os.Signal) error {
	defer s.close()
	limit := s.limit()
	all, cancelAll := context.WithTimeout(context.Background(), limit)
	defer cancelAll()
	requests, cancelRequests := context.WithTimeout(all, limit-s.forStops())
	defer cancelRequests()
	again := make(chan struct{})
	go func() {
		select {
		case <-signals:
			close(again)
			cancelAll()
		case <-all.Done():
		}
	}()

	s.Log.Info("draining", "drain", s.Drain.String(), "limit", limit.String())
	s.Health.Drain()
	select {
	case <-s.after(s.Drain):
	case <-requests.Done():
	}
	err := s.servers[0].Shutdown(requests)
	if err != nil {
		// What can't be finished is cut off now: what stops next is what it works with.
		_ = s.servers[0].Close()
	}
	stopped := s.callStops(all)
	select {
	case <-again:
		s.Log.Warn("stopped at once by a second signal; what was in flight is cut off")
		return stopped
	default:
	}
	if err != nil {
		return errors.Join(fmt.Errorf("requests took longer than the %s that there were after the signal, and are cut off: %w", limit-s.forStops(), err), stopped)
	}
	if stopped == nil {
		s.Log.Info("stopped, nothing was cut off")
	}
	return stopped
}

func (s *Server) close() {
	for _, server := range s.servers {
		_ = server.Close()
	}
}

// callStops calls what has to end, the last that was added first, and goes on when one fails.
func (s *Server) callStops(ctx context.Context) error {
	var errs []error
	for left, stop := range slices.Backward(s.Stops) {
		if err := stop.call(ctx, left+1); err != nil {
			errs = append(errs, fmt.Errorf("stopping %s: %w", stop.Name, err))
		}
	}
	return errors.Join(errs...)
}

// call gives the stop its share of the time that is left for so many. It returns when the stop has ended, or when its time has and it took
// no notice.
func (stop Stop) call(ctx context.Context, left int) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	returned := make(chan error, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				returned <- fmt.Errorf("panic: %v", cause)
			}
		}()
		returned <- stop.Do(ctx)
	}()
	select {
	case err := <-returned:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-returned:
		return err
	case <-time.After(lastChance):
		return errors.New("it hangs, and is left behind")
	}
}
