// Command load sends HTTP requests at a constant rate and tells which of them failed, how long they took, and which colour and
// revision of a GinService answered them and when. It runs by hand or as a pod.
//
// It is an open-loop generator: requests are sent on a schedule, however slow the answers are, and a request's time counts from
// the moment it was due. A server that stalls for a second so shows in a second's worth of requests, not in one for each connection.
//
// No failure is hidden by a second try. net/http's Transport sends a request anew, unasked, when a connection that it keeps turns out
// to be dead; the client here is a connection of its own and has no such code. What it does do, as every client, is to look before it
// sends whether the server has closed an idle connection, and to open another one then; closedIdle counts those.
//
// The last line of the output is "load: " and the result in JSON. The exit status is 0 if no request failed, 1 if one did or none was
// sent, and 2 for wrong flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	os.Exit(run(os.Args[1:], signals, os.Stdout, os.Stderr))
}

// run generates load as the arguments say until it is done or a signal ends it, prints the result and returns the exit status. A
// second signal ends it without the answers that are still to come.
func run(args []string, signals <-chan os.Signal, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "load: %v\n", err)
		return 2
	}
	// Listening comes first, so that a port that is taken ends it before any load.
	var listener net.Listener
	if opts.listen != "" {
		if listener, err = net.Listen("tcp", opts.listen); err != nil {
			fmt.Fprintf(stderr, "load: opening the port of -listen: %v\n", err)
			return 2
		}
	}

	sending, stopSending := context.WithCancel(context.Background())
	defer stopSending()
	results := newResults(opts, time.Now())
	done := make(chan struct{})
	go func() {
		generate(sending, opts, results)
		close(done)
	}()
	if listener != nil {
		control := serveControl(listener, opts, results, stopSending, done, stderr)
		defer control.Close()
	}
	if opts.interval > 0 {
		go reportProgress(stderr, opts.interval, results, done)
	}
	await(opts, signals, stopSending, done)
	so := results.snapshot()
	if err := report(stdout, opts, so); err != nil {
		fmt.Fprintf(stderr, "load: printing the result: %v\n", err)
		return 1
	}
	if so.Failed > 0 || so.Requests == 0 {
		return 1
	}
	return 0
}

// await returns when the result is there to be printed.
func await(opts options, signals <-chan os.Signal, stopSending func(), done <-chan struct{}) {
	finished := done
	if opts.listen != "" {
		// The result is to be had over HTTP until a signal says that it is no longer wanted.
		finished = nil
	}
	select {
	case <-finished:
	case <-signals:
		stopSending()
		select {
		case <-done:
		case <-signals:
		}
	}
}
