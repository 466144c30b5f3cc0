package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// The defaults of -n and -paced-n.
const (
	ownN, ownPacedN         = 200, 40
	clusterN, clusterPacedN = 10, 5
)

// options are the flags.
type options struct {
	cluster   bool
	n         int
	workers   int
	pacedN    int
	pacedRate float64
	idle      time.Duration
	manager   string
	dir       string
	check     bool
	skipFloor bool
	skipPaced bool
}

func parseFlags(flags *flag.FlagSet, args []string) (options, error) {
	var o options
	flags.BoolVar(&o.cluster, "cluster", false, "Measure in the cluster that KUBECONFIG names, with images pushed to REGISTRY, instead of a control plane of its own.")
	flags.IntVar(&o.n, "n", ownN, fmt.Sprintf("Number of GinServices. With -cluster, where each has up to two pods that really run, the default is %d.", clusterN))
	flags.IntVar(&o.workers, "workers", 16, "Number of clients that create and change them, and of those of the floor.")
	flags.IntVar(&o.pacedN, "paced-n", ownPacedN, fmt.Sprintf("Number of GinServices that are created and changed one by one. With -cluster the default is %d.", clusterPacedN))
	flags.Float64Var(&o.pacedRate, "paced-rate", 2, "How many of those in a second.")
	flags.DurationVar(&o.idle, "idle", 30*time.Second, "How long to look on while nothing happens.")
	flags.StringVar(&o.manager, "manager", "bin/manager", "The operator's binary.")
	flags.StringVar(&o.dir, "logs", "", "Folder to keep all logs in. Default: a temporary one.")
	flags.BoolVar(&o.check, "check", false, "Fail for each target that is missed. Default: only for writes at rest.")
	flags.BoolVar(&o.skipFloor, "skip-floor", false, "Leave the floor out.")
	flags.BoolVar(&o.skipPaced, "skip-paced", false, "Leave out what is done one by one.")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.cluster {
		o.fitCluster(flags)
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: all settings are flags, see -help", flags.Arg(0))
	case o.n < 1 || o.n > 10000:
		return o, fmt.Errorf("-n is %d: it must be from 1 to 10000", o.n)
	case o.workers < 1 || o.pacedN < 1 || o.pacedRate <= 0:
		return o, errors.New("-workers, -paced-n and -paced-rate must be greater than 0")
	}
	return o, nil
}

// fitCluster lowers the defaults to what a small cluster has room for.
func (o *options) fitCluster(flags *flag.FlagSet) {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["n"] {
		o.n = clusterN
	}
	if !given["paced-n"] {
		o.pacedN = clusterPacedN
	}
}

func main() {
	o, err := parseFlags(flag.CommandLine, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctrl.SetLogger(logr.Discard()) // errors are returned
	klog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE) // as in `make bench | head`, which must not end the benchmark before it has cleaned up
	result, err := measure(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	met, err := report(os.Stdout, result, o.check)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if !met {
		os.Exit(1)
	}
}

// measure makes a run, and leaves nothing of it running.
func measure(ctx context.Context, o options) (_ *result, err error) {
	load, err := loadAverage()
	if err != nil {
		return nil, err
	}
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "gin-operator-bench-"); err != nil {
			return nil, fmt.Errorf("making a folder for the logs: %w", err)
		}
		defer os.RemoveAll(dir)
	} else if err = os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making a folder for the logs: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	site, err := openSite(ctx, o, dir, cancel)
	b := &bench{plane: site.common(), site: site, options: o, result: result{LoadAverage: load, cluster: o.cluster}}
	defer func() {
		stopped := b.stop()
		cancel(nil) // ends the watches, which the API server would wait for
		err = errors.Join(err, stopped, site.stop())
	}()
	if err == nil {
		err = b.run(ctx)
	}
	if err != nil {
		return nil, because(ctx, err)
	}
	return &b.result, nil
}

// because adds to an error why the run had to end, for a request or a program that was cancelled does not know.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// openSite makes the site ready that the flags ask for. What it returns has to be stopped, also with an error.
func openSite(ctx context.Context, o options, dir string, failed func(error)) (site, error) {
	if o.cluster {
		s, err := openClusterSite(ctx, dir, failed)
		if err != nil {
			err = fmt.Errorf("preparing the cluster: %w", err)
		}
		return s, err
	}
	s, err := startOwnSite(ctx, dir, failed)
	if err != nil {
		err = fmt.Errorf("starting the control plane: %w", err)
	}
	return s, err
}
