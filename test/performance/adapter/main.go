package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/gin-operator/gin-operator/test/controlplane"
)

// options are the flags.
type options struct {
	pods      int
	interval  time.Duration
	duration  time.Duration
	adapter   string
	manifest  string
	dir       string
	check     bool
	endpoints bool
}

func parseFlags(flags *flag.FlagSet, args []string) (options, error) {
	var o options
	flags.IntVar(&o.pods, "pods", 1000, fmt.Sprintf("Number of pods, %d to a GinService.", podsPerService))
	flags.DurationVar(&o.interval, "interval", 5*time.Second, "Time from one scrape of a pod to the next.")
	flags.DurationVar(&o.duration, "duration", time.Minute, "How long to measure, after the adapter has been ready for three intervals.")
	flags.StringVar(&o.adapter, "adapter", "bin/metrics-adapter-loopback", "The adapter's binary, linked so that pods may be on loopback.")
	flags.StringVar(&o.manifest, "manifest", "config/components/metrics-adapter/deployment.yaml", "Deployment with the adapter's settings.")
	flags.StringVar(&o.dir, "logs", "", "Folder to keep all logs in. Default: a temporary one.")
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
	case o.interval < time.Second || o.interval > 15*time.Second:
		return o, fmt.Errorf("-interval is %s: it must be from 1s to 15s, which is the adapter's window", o.interval)
	case o.duration <= 0:
		return o, errors.New("-duration must be greater than 0")
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
	met := true
	if o.endpoints {
		err = serveEndpoints(ctx, o.pods, os.Stdin, os.Stdout)
	} else {
		met, err = run(ctx, o, os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-adapter:", err)
		os.Exit(1)
	}
	if !met && o.check {
		os.Exit(1)
	}
}

// run makes a run, leaves nothing of it running, and reports whether all targets are met.
func run(ctx context.Context, o options, out io.Writer) (met bool, err error) {
	ctrl.SetLogger(logr.Discard()) // errors are returned
	klog.SetLogger(logr.Discard())
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "gin-operator-bench-adapter-"); err != nil {
			return false, fmt.Errorf("making a folder for the logs: %w", err)
		}
		defer os.RemoveAll(o.dir)
	} else if err = os.MkdirAll(o.dir, 0o755); err != nil {
		return false, fmt.Errorf("making a folder for the logs: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var r *result
	err = withEndpoints(ctx, o.pods, func(addresses []netip.AddrPort) (err error) {
		r, err = measureAmong(ctx, o, addresses, cancel)
		return err
	})
	if err != nil {
		// Who was cancelled doesn't know why.
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return false, err
	}
	return report(out, r)
}

// measureAmong starts a control plane that knows the pods, and the adapter, and measures that.
func measureAmong(ctx context.Context, o options, addresses []netip.AddrPort, failed func(error)) (_ *result, err error) {
	plane, err := controlplane.Start(ctx, controlplane.WithLogs(o.dir))
	if err != nil {
		return nil, fmt.Errorf("starting the control plane: %w", err)
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	services, err := populate(ctx, plane.Config(), addresses)
	if err != nil {
		return nil, err
	}
	a, err := startAdapter(ctx, o, plane, failed)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	if err := a.connect(ctx, plane); err != nil {
		return nil, err
	}
	if err := wait(ctx, 3*o.interval); err != nil {
		return nil, err
	}
	r, err := measure(ctx, o, a, services)
	if err != nil {
		return nil, err
	}
	r.DocumentBytes, err = documentSize(ctx, addresses[0])
	return r, err
}
