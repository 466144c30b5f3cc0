package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// starts is how often the sample application is started.
const starts = 20

// measureReady measures the time from the start of the sample application's process until /readyz answers 200. It is asked every
// millisecond, with a new connection each time as a kubelet does.
func measureReady(ctx context.Context, o options, progress io.Writer) (*readyResult, error) {
	fmt.Fprintf(progress, "ready: %d starts\n", starts)
	var times []time.Duration
	for range starts {
		took, err := startOnce(ctx, o)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	millis := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return &readyResult{Starts: starts, P50Millis: rounded(percentile(times, 0.5, millis), 1), P99Millis: rounded(percentile(times, 0.99, millis), 1)}, nil
}

func startOnce(ctx context.Context, o options) (time.Duration, error) {
	address, port, err := freeAddress(ctx)
	if err != nil {
		return 0, err
	}
	s, err := startServer(address, append([]string{"PORT=" + port, "METRICS_PORT=" + port}, podEnvironment...), o.sampleapp)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	_, took, err := s.ready(ctx, "/readyz")
	return took, err
}
