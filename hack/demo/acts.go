package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/testbed"
)

const (
	namespace      = "gin-operator-demo"
	namespaceLabel = "apps.gin-operator.dev/demo"
	name           = "hello"
	// installWithAdapter is the kustomization of the operator and the metrics adapter.
	installWithAdapter = "hack/demo/install"

	rate        = 300 // requests per second
	loadTime    = 5 * time.Minute
	maxRequests = 100_000
	// answers is how many answers of a new version are worth seeing before the next act.
	answers = 600
)

// How long the acts may take. Each is many times what it takes, so that a slow machine is no failure.
const (
	readyTime   = 2 * time.Minute
	scaleTime   = 3 * time.Minute
	rolloutTime = 3 * time.Minute
)

// prepare brings up the cluster, installs the operator and makes an empty namespace for the demo.
func (d *demo) prepare(ctx context.Context) error {
	var err error
	if d.cluster, err = testbed.Open(ctx, d.show.indented()); err != nil {
		return err
	}
	if !d.cluster.Own {
		d.show.line("cluster", "the one of %s", d.cluster.Kubeconfig)
	}
	if err := d.clear(ctx); err != nil {
		return err
	}
	for _, version := range []string{"v1", "v2", "v3"} {
		if err := d.cluster.AddSample(ctx, version); err != nil {
			return err
		}
		d.show.line("image", "%s", testbed.SampleImage(version))
	}
	d.show.line("operator", "kubectl apply -k %s", testbed.DefaultInstall)
	if err := d.cluster.Install(ctx, testbed.DefaultInstall, testbed.OperatorNamespace); err != nil {
		return err
	}
	d.show.line("operator", "kubectl apply -k %s, which adds the metrics adapter", installWithAdapter)
	if err := d.cluster.InstallAdapter(ctx, installWithAdapter); err != nil {
		return err
	}
	d.show.line("operator", "runs in the namespace %s, with the metrics adapter", testbed.OperatorNamespace)
	return d.cluster.CreateNamespace(ctx, namespace, map[string]string{namespaceLabel: "true"})
}

// clear removes what the last demo left. A namespace of that name that no demo made is not touched.
func (d *demo) clear(ctx context.Context) error {
	var before corev1.Namespace
	err := d.cluster.Client.Get(ctx, types.NamespacedName{Name: namespace}, &before)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("looking for what an earlier demo left: %w", err)
	case before.Labels[namespaceLabel] != "true":
		return fmt.Errorf("the cluster has a namespace %s that is not the demo's: delete it if you don't need it", namespace)
	}
	d.show.line("cluster", "removing what the last demo left")
	return d.cluster.DeleteNamespace(ctx, namespace)
}

// deploy applies version 1 and waits until it serves.
func (d *demo) deploy(ctx context.Context) error {
	d.watcher = &watcher{cluster: d.cluster, show: d.show}
	began, err := d.apply(ctx, "hello-v1.yaml")
	if err != nil {
		return err
	}
	now, err := d.watcher.until(ctx, readyTime, "the GinService to be Ready", scene.ready)
	if err != nil {
		return err
	}
	d.show.line("hello", "Ready %.1f s after it was applied", now.at.Sub(began).Seconds())
	return nil
}

// scale sends load and waits until the autoscaler's answer serves.
func (d *demo) scale(ctx context.Context) error {
	before, err := d.watcher.look(ctx)
	if err != nil {
		return err
	}
	base := fmt.Sprintf("http://%s.%s.svc", name, namespace)
	d.load, err = d.cluster.StartLoad(ctx, testbed.LoadOptions{
		Namespace: namespace, Name: "load", Rate: rate, FreshFraction: 0.5, Duration: loadTime, MaxRequests: maxRequests,
		// A third of the requests takes 2 ms of CPU.
		URLs: []string{base + "/", base + "/api/v1/ping", base + "/api/v1/load/cpu?ms=2"},
	})
	if err != nil {
		return err
	}
	d.watcher.load = d.load
	d.show.line("load", "%d requests/s to %s, half of them on a connection of their own", rate, base)
	now, err := d.watcher.until(ctx, scaleTime, "the autoscaler to add pods", func(s scene) bool {
		return s.wanted > before.wanted && s.endpoints[s.active] == s.wanted
	})
	if err != nil {
		return err
	}
	d.note("scaled %d -> %d pods", before.wanted, now.wanted)
	return nil
}

// promote applies version 2 and waits until it takes the traffic.
func (d *demo) promote(ctx context.Context) error {
	took, err := d.moveTo(ctx, "hello-v2.yaml", v1alpha1.Green)
	if err == nil {
		d.note("promoted blue -> green in %.1f s", took.Seconds())
	}
	return err
}

// rollBack applies version 1 again, whose pods are still warm.
func (d *demo) rollBack(ctx context.Context) error {
	took, err := d.moveTo(ctx, "hello-v1.yaml", v1alpha1.Blue)
	if err == nil {
		d.note("rolled back green -> blue in %.1f s", took.Seconds())
	}
	return err
}

// moveTo applies a manifest, waits until a colour alone has the traffic and until it has answered some, and returns the time from the
// start of kubectl to the EndpointSlices of the active Service that show the colour alone.
func (d *demo) moveTo(ctx context.Context, manifest string, color v1alpha1.Color) (time.Duration, error) {
	before, err := d.watcher.look(ctx)
	if err != nil {
		return 0, err
	}
	answered, err := d.watcher.answers(ctx, color)
	if err != nil {
		return 0, err
	}
	began, err := d.apply(ctx, manifest)
	if err != nil {
		return 0, err
	}
	now, err := d.watcher.until(ctx, rolloutTime, fmt.Sprintf("traffic on %s alone", color), func(s scene) bool { return s.alone(color) })
	if err != nil {
		return 0, err
	}
	took := now.at.Sub(began)
	d.show.line("traffic", "%s alone, %.1f s after the start of kubectl apply, by the EndpointSlices of the Service", color, took.Seconds())
	if now.endpoints[color] < before.endpoints[before.active] {
		return 0, fmt.Errorf("%s took over with %d pods from %d", color, now.endpoints[color], before.endpoints[before.active])
	}
	_, err = d.watcher.until(ctx, readyTime, fmt.Sprintf("answers on new connections from %s", color), func(scene) bool {
		return d.watcher.newConnections(color) >= answered+answers
	})
	return took, err
}

// drain waits until the colour that lost the traffic is gone.
func (d *demo) drain(ctx context.Context) error {
	_, err := d.watcher.until(ctx, rolloutTime, "the pods of version 2 to end", func(s scene) bool {
		return s.step == v1alpha1.StepCompleted && s.pods[v1alpha1.Green] == 0
	})
	return err
}

// stop applies version 3, waits until it is stopped, with all traffic on the version before, and takes it away again.
func (d *demo) stop(ctx context.Context) error {
	if _, err := d.apply(ctx, "hello-v3.yaml"); err != nil {
		return err
	}
	now, err := d.watcher.until(ctx, rolloutTime, "version 3 to be stopped", func(s scene) bool {
		return s.current && (s.step == v1alpha1.StepAborted || s.step == v1alpha1.StepCompleted || s.endpoints[v1alpha1.Green] > 0)
	})
	if err != nil {
		return err
	}
	if now.step != v1alpha1.StepAborted || now.condition.Reason != v1alpha1.ReasonAnalysisFailed {
		return fmt.Errorf("version 3 was to be stopped by its analysis, and is at %s: %s", now.step, now.message)
	}
	d.show.line("hello", "%s", now.condition.Message)
	d.note("stopped a version that fails one request in ten, before it had traffic")
	if _, err := d.apply(ctx, "hello-v1.yaml"); err != nil {
		return err
	}
	_, err = d.watcher.until(ctx, readyTime, "version 1 to be what is wanted", func(s scene) bool { return s.ready() && s.alone(v1alpha1.Blue) })
	return err
}

// apply applies a file of this folder with kubectl and returns when it began.
func (d *demo) apply(ctx context.Context, file string) (time.Time, error) {
	path := filepath.Join("hack", "demo", file)
	manifest, err := os.ReadFile(filepath.Join(d.cluster.Root, path))
	if err != nil {
		return time.Time{}, err
	}
	d.show.line("kubectl", "kubectl apply -n %s -f %s", namespace, path)
	began := time.Now()
	err = d.cluster.Apply(ctx, string(manifest), "-n", namespace)
	return began, err
}
