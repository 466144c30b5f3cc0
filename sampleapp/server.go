package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// server is the service on its ports.
type server struct {
	cfg     config
	log     *slog.Logger
	health  *health
	public  *http.Server
	private *http.Server // the metrics, where they have a port of their own; otherwise nil
}

func newServer(cfg config, log *slog.Logger) *server {
	m := newMetrics(cfg)
	h := &health{failReady: cfg.faults.failReady}
	s := &server{cfg: cfg, log: log, health: h}
	s.public = newHTTPServer(h.closeWhenDraining(newRouter(cfg, log, m, h)), log)
	if cfg.metricsPort != cfg.port {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", m.handler())
		s.private = newHTTPServer(mux, log)
	}
	return s
}

func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		// Both longer than the longest answer, /api/v1/load/sleep?ms=30000 and what LATENCY may add to it: the end of ReadTimeout
		// also cancels a request that was read long ago.
		ReadTimeout:  2 * time.Minute,
		WriteTimeout: 2 * time.Minute,
		// Longer than clients keep a connection that they don't use (Go 90 s, most proxies 60 s): the side that closes first should
		// be theirs, for a request may be on its way when it is ours.
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// serve opens the ports and answers until a signal arrives, then drains. The error is nil after a drain that finished in time.
func (s *server) serve(signals <-chan os.Signal) error {
	failed := make(chan error, 2)
	if err := s.listen(s.public, "PORT", s.cfg.port, failed); err != nil {
		return err
	}
	defer s.public.Close()
	if s.private != nil {
		if err := s.listen(s.private, "METRICS_PORT", s.cfg.metricsPort, failed); err != nil {
			return err
		}
		defer s.private.Close()
	}
	var crash <-chan time.Time
	if s.cfg.faults.crashAfter > 0 {
		crash = time.After(s.cfg.faults.crashAfter)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-crash:
		return errors.New("crashing, as CRASH_AFTER asks")
	case <-signals:
		return s.stop(signals)
	}
}

// listen opens a port and serves it in the background.
func (s *server) listen(server *http.Server, variable string, port int, failed chan<- error) error {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return fmt.Errorf("opening port %d, from %s: %w", port, variable, err)
	}
	s.log.Info("serving", "variable", variable, "address", listener.Addr().String(), "version", s.cfg.version,
		"color", s.cfg.color, "revision", s.cfg.revision)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	return nil
}

// stop is told by SIGTERM that SIGKILL follows in cfg.shutdown. It stops being ready at once, goes on answering for cfg.drain, so that
// each client learns with its next answer to use another connection, and then closes the ports and lets the requests in flight finish.
// A second signal ends it at once.
//
// A connection that was not used in all that time is closed from this side in the end. Its client may send a request in the same
// instant, but only one that pauses for longer than cfg.drain and meets the one round trip that counts.
func (s *server) stop(signals <-chan os.Signal) error {
	// What is left of the time is for the process to end by itself.
	limit := s.cfg.shutdown - min(time.Second, s.cfg.shutdown/10)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	again, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	go func() {
		select {
		case <-signals:
			stopWatching()
		case <-ctx.Done():
		}
	}()

	s.log.Info("draining", "drain", s.cfg.drain.String(), "limit", limit.String())
	s.health.draining.Store(true)
	select {
	case <-time.After(s.cfg.drain):
	case <-again.Done():
	}
	err := s.public.Shutdown(again)
	switch {
	case err == nil:
		s.log.Info("stopped, nothing was cut off")
		return nil
	case ctx.Err() == nil:
		s.log.Warn("stopped at once by a second signal; what was in flight is cut off")
		return nil
	default:
		return fmt.Errorf("requests took longer than the %s that there were after the signal, and are cut off: %w", limit, err)
	}
}
