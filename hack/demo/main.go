// Command demo shows, on a real Kubernetes, what a GinService does under load: it scales on its requests, goes to a new version that was
// measured before, and back again, and stops a version that measures badly. Every step is done with what a user has, kubectl and YAML files, and shown as it happens. The last lines are for scripts; the exit status is
// 1 if anything went wrong, one failed request included. README.md beside it has the rest.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/gin-operator/gin-operator/test/testbed"
)

const (
	// longest is when the demo gives up, whatever it waits for. The first build of the cluster is the longest part of it.
	longest = 60 * time.Minute
	// cleaning is how long it takes at most to remove the load generator after an interruption.
	cleaning = 20 * time.Second
)

func main() {
	os.Exit(run())
}

func run() int {
	ctrl.SetLogger(logr.Discard()) // what fails is returned, and shown
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	d := &demo{show: newShow(os.Stdout)}
	err := d.play(ctx)
	interrupted := ctx.Err() != nil
	if err != nil && !interrupted && d.cluster != nil {
		d.dump(ctx)
	}
	// Whatever happened, no load goes on without anybody to watch it. The cluster stays, to be looked at.
	d.endLoad(context.WithoutCancel(ctx))
	d.summarize()
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "demo: interrupted; what runs is left as it is, without load: `make demo` starts anew, `make demo-down` ends it")
	case err != nil:
		fmt.Fprintf(os.Stderr, "demo: failed: %v\n", err)
	default:
		return 0
	}
	return 1
}

// epilogue tells how to look around.
func (d *demo) epilogue() {
	d.show.title("it is yours now")
	fmt.Printf("  export KUBECONFIG=%s PATH=%s/bin/k8s:$PATH\n", d.cluster.Kubeconfig, d.cluster.Root)
	fmt.Printf("  kubectl get ginservices,pods -n %s\n  kubectl describe ginservice %s -n %s\n  make demo-down\n", namespace, name, namespace)
}

// demo is what is known on the way.
type demo struct {
	show    *show
	cluster *testbed.Cluster
	load    *testbed.Load
	result  *testbed.Result
	watcher *watcher

	lines []string // for scripts
}

func (d *demo) note(format string, values ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, values...))
}

// play goes through the acts. The first that fails ends it.
func (d *demo) play(ctx context.Context) error {
	for _, act := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"a cluster with the operator in it", d.prepare},
		{"version 1", d.deploy},
		{"load, and the autoscaler's answer", d.scale},
		{"version 2, under load, measured before it takes traffic", d.promote},
		{"back to version 1, under load", d.rollBack},
		{"the pods of version 2 go, under load", d.drain},
		{"version 3, which fails one request in ten: stopped before anybody has seen it", d.stop},
	} {
		d.show.title(act.title)
		if err := act.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", act.title, err)
		}
	}
	if err := d.check(ctx); err != nil {
		return err
	}
	d.epilogue()
	return nil
}

// check ends the load and looks at what became of every request.
func (d *demo) check(ctx context.Context) error {
	result, err := d.load.Stop(ctx)
	if err != nil {
		return err
	}
	d.result = &result
	for _, failure := range result.Errors {
		d.show.line("failed", "%s %s %s: %s", failure.Time.Format("15:04:05.000"), failure.Kind, failure.URL, failure.Text)
	}
	switch {
	case result.Failed > 0:
		return fmt.Errorf("%d of %d requests failed: %v", result.Failed, result.Requests, result.Failures)
	case !result.Done || result.InFlight > 0:
		return fmt.Errorf("%d requests have no outcome", result.InFlight)
	case result.Requests == 0:
		return fmt.Errorf("no request was sent")
	}
	d.show.line("load", "%d requests, %.0f/s, latency p50 %.1f ms, p99 %.1f ms", result.Requests, result.AchievedRate, result.LatencyMs.P50, result.LatencyMs.P99)
	return nil
}

// endLoad removes the load generator, with what it knows of the requests until now.
func (d *demo) endLoad(ctx context.Context) {
	if d.load == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cleaning)
	defer cancel()
	if d.result == nil {
		if result, err := d.load.Stop(ctx); err == nil {
			d.result = &result
		}
	}
	if err := d.load.Delete(ctx); err != nil {
		d.show.line("load", "%v", err)
	}
}

// summarize prints the lines for scripts.
func (d *demo) summarize() {
	if d.result != nil {
		d.note("%d requests, %d failed", d.result.Requests, d.result.Failed)
	}
	if len(d.lines) == 0 {
		return
	}
	fmt.Println()
	for _, line := range d.lines {
		fmt.Println("demo: " + line)
	}
}

// dump shows what somebody would look at first who wants to know why.
func (d *demo) dump(ctx context.Context) {
	for _, arguments := range [][]string{
		{"get", "ginservices,deployments,pods,horizontalpodautoscalers", "-n", namespace, "-o", "wide"},
		{"describe", "ginservice", name, "-n", namespace},
		{"logs", "-n", testbed.OperatorNamespace, "deployment/" + testbed.OperatorName, "--tail=30"},
	} {
		text, err := d.cluster.Kubectl(ctx, arguments...)
		if err != nil {
			text += err.Error()
		}
		fmt.Printf("\n$ kubectl %s\n%s\n", strings.Join(arguments, " "), strings.TrimSpace(text))
	}
}
