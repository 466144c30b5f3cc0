package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"
)

// options are the flags.
type options struct {
	pods      int
	interval  time.Duration
	duration  time.Duration
	check     bool
	endpoints bool
}

func parseFlags(flags *flag.FlagSet, args []string) (options, error) {
	var o options
	flags.IntVar(&o.pods, "pods", 1000, "Number of pods.")
	flags.DurationVar(&o.interval, "interval", 5*time.Second, "Time from one scrape of a pod to the next.")
	flags.DurationVar(&o.duration, "duration", time.Minute, "How long to measure, after the first three intervals.")
	flags.BoolVar(&o.check, "check", false, "Fail where a target is missed. Default: tell of it.")
	flags.BoolVar(&o.endpoints, "endpoints", false, "Be the process of the pods, which the benchmark starts itself.")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: all settings are flags, see -help", flags.Arg(0))
	case o.pods < 1 || o.pods > 20000:
		return o, fmt.Errorf("-pods is %d: it must be from 1 to 20000", o.pods)
	case o.interval <= 0 || o.duration <= 0:
		return o, errors.New("-interval and -duration must be greater than 0")
	}
	return o, nil
}

func main() {
	o, err := parseFlags(flag.CommandLine, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-adapter:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	met, err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-adapter:", err)
		os.Exit(1)
	}
	if !met && o.check {
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (met bool, err error) {
	if o.endpoints {
		return true, serveEndpoints(ctx, o.pods, os.Stdin, os.Stdout)
	}
	err = withEndpoints(ctx, o.pods, func(addresses []netip.AddrPort) error {
		r, err := measure(ctx, o, addresses)
		if err != nil {
			return err
		}
		if r.DocumentBytes, err = documentSize(ctx, addresses[0]); err != nil {
			return err
		}
		met, err = report(os.Stdout, r)
		return err
	})
	return met, err
}

// documentSize returns how large the answer of a pod is.
func documentSize(ctx context.Context, address netip.AddrPort) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address.String()+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("asking a pod for its metrics: %w", err)
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	return int(n), err
}

// target is a figure that a run is held to: at most its limit.
type target struct {
	what         string
	value, limit float64
}

func targets(r *result) []target {
	return []target{
		{"CPU, cores", r.Cores, 0.5 * float64(r.Pods) / 1000 * 5 / r.IntervalSeconds},
		{"peak memory, MiB", r.PeakRSSMiB, 150},
		{"age of the newest sample, at most, s", r.AgeMaxSeconds, r.IntervalSeconds + 1},
		{"reads without a value", float64(r.Missing), 0},
		{"scrapes that failed", float64(r.Failures), 0},
		{"error of the request rate, %", 100 * math.Abs(r.RequestsPerSecond/(requestsPerTick/tick.Seconds())-1), 5},
		{"error of the success ratio, %", 100 * math.Abs(r.SuccessRatio-(1-float64(failuresPerTick)/requestsPerTick)), 1},
	}
}

// report prints what was measured, and reports whether all targets are met.
func report(out io.Writer, r *result) (bool, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("writing the report: %w", err)
	}
	fmt.Fprintf(out, "%d pods, each with %d bytes of metrics, scraped every %gs for %.0f s: %d scrapes\n\n", r.Pods, r.DocumentBytes, r.IntervalSeconds, r.Seconds, r.Scrapes)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "target\tat most\tmeasured\tmet")
	met := true
	for _, t := range targets(r) {
		verdict := "yes"
		if !(t.value <= t.limit) {
			verdict, met = "no", false
		}
		fmt.Fprintf(table, "%s\t%g\t%.3f\t%s\n", t.what, t.limit, t.value, verdict)
	}
	if err := table.Flush(); err != nil {
		return false, err
	}
	_, err = fmt.Fprintf(out, "\nbench-adapter: %s\n", text)
	return met, err
}
