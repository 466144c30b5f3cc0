package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// serveControl lets others follow a run and end it: GET /result is the state so far, POST /stop ends the sending and answers with the
// final result, once the last outcome is there.
func serveControl(listener net.Listener, opts options, results *results, stopSending func(), done <-chan struct{}, stderr io.Writer) io.Closer {
	mux := http.NewServeMux()
	healthy := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
	mux.HandleFunc("GET /livez", healthy)
	mux.HandleFunc("GET /readyz", healthy)
	mux.HandleFunc("GET /result", func(w http.ResponseWriter, _ *http.Request) { writeResult(w, results.snapshot()) })
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, r *http.Request) {
		stopSending()
		select {
		case <-done:
			writeResult(w, results.snapshot())
		case <-r.Context().Done():
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, WriteTimeout: 2*opts.timeout + time.Minute}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(stderr, "load: serving -listen: %v\n", err)
		}
	}()
	return server
}

func writeResult(w http.ResponseWriter, so result) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "%s\n", encoded(so)) //nolint:gosec // JSON by its type, which no browser renders
}
