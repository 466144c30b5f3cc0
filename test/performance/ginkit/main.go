package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// parts are what can be measured, in their order.
var parts = []string{"metrics", "throughput", "ready", "image"}

// options are the flags.
type options struct {
	rounds   int
	duration time.Duration
	only     []string
	check    bool
	// server, sampleapp and imageBinary are the programs, which the Makefile builds.
	server      string
	sampleapp   string
	imageBinary string
}

func parseFlags(flags *flag.FlagSet, args []string) (options, error) {
	var o options
	var bin string
	flags.IntVar(&o.rounds, "rounds", 15, "How often each contender has its turn, in the parts metrics and throughput.")
	flags.DurationVar(&o.duration, "duration", time.Second, "How long each server is under load in a round, in whole seconds.")
	only := flags.String("only", strings.Join(parts, ","), "The parts to measure, with commas between them.")
	flags.BoolVar(&o.check, "check", false, "Fail for each target that is missed. Default: tell of it.")
	flags.StringVar(&bin, "bin", "bin/bench-ginkit", "The folder with the programs that take part.")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.only = strings.Split(*only, ",")
	o.server, o.sampleapp, o.imageBinary = filepath.Join(bin, "server"), filepath.Join(bin, "sampleapp"), filepath.Join(bin, "sampleapp-amd64")
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: all settings are flags, see -help", flags.Arg(0))
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds is %d: it must be at least 1", o.rounds)
	case o.duration < time.Second || o.duration%time.Second != 0:
		return o, fmt.Errorf("-duration is %s: it must be whole seconds, which is what wrk takes", o.duration)
	}
	for _, part := range o.only {
		if !slices.Contains(parts, part) {
			return o, fmt.Errorf("-only has %q: the parts are %s", part, strings.Join(parts, ", "))
		}
	}
	return o, nil
}

func main() {
	o, err := parseFlags(flag.CommandLine, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-ginkit:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE) // as in `make bench-ginkit | head`, which must not end it before it has ended its servers
	r, err := measure(ctx, o, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-ginkit:", err)
		os.Exit(1)
	}
	met, err := printResult(os.Stdout, r)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-ginkit:", err)
		os.Exit(1)
	}
	if !met && o.check {
		os.Exit(1)
	}
}

// measure measures the parts that are wanted, one after the other. Nothing that it started runs on when it returns.
func measure(ctx context.Context, o options, progress io.Writer) (*result, error) {
	here, err := thisMachine()
	if err != nil {
		return nil, err
	}
	r := &result{Machine: here}
	measures := map[string]func() error{
		"metrics":    func() (err error) { r.Metrics, err = measureMetrics(ctx, o.rounds, progress); return err },
		"throughput": func() (err error) { r.Throughput, err = measureThroughput(ctx, o, progress); return err },
		"ready":      func() (err error) { r.Ready, err = measureReady(ctx, o, progress); return err },
		"image":      func() (err error) { r.Image, err = measureImage(o.imageBinary); return err },
	}
	for _, part := range parts {
		if !slices.Contains(o.only, part) {
			continue
		}
		if err := measures[part](); err != nil {
			return nil, fmt.Errorf("%s: %w", part, err)
		}
	}
	return r, nil
}

func thisMachine() (machine, error) {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return machine{}, fmt.Errorf("reading the load average: %w: the benchmark needs Linux", err)
	}
	first, _, _ := strings.Cut(string(load), " ")
	average, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return machine{}, fmt.Errorf("reading the load average: %w", err)
	}
	cpus, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return machine{}, fmt.Errorf("reading which CPU this is: %w", err)
	}
	return machine{CPUs: runtime.NumCPU(), CPU: cpuModel(string(cpus)), Go: runtime.Version(), LoadAverage: average}, nil
}

// cpuModel returns the name that /proc/cpuinfo has for the CPU. Not every architecture has one.
func cpuModel(info string) string {
	for line := range strings.Lines(info) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
