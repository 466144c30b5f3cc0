package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

const (
	// auditDelay is longer than the audit log is behind.
	auditDelay = time.Second
	// settledAfter is how long the operator writes nothing before it counts as at rest. While an upgrade ends, and after a creation: a
	// minute after the first report of an autoscaler without metrics, which is what all are here, comes a warning.
	settledAfter          = 10 * time.Second
	settledAfterCreation  = 80 * time.Second
	restartObservation    = 15 * time.Second
	namespaceFloor        = "gin-operator-bench-floor"
	namespacePacedFloor   = "gin-operator-bench-floor-paced"
	namespaceServices     = "gin-operator-bench-services"
	namespacePacedService = "gin-operator-bench-services-paced"
)

// bench is a run.
type bench struct {
	*plane

	site       site
	options    options
	kubeconfig string
	operator   *operator
	result     result
}

// run measures phase by phase.
func (b *bench) run(ctx context.Context) error {
	b.result.N = b.options.n
	if err := b.measureFloors(ctx); err != nil {
		return err
	}
	var err error
	if b.kubeconfig, err = b.site.installOperator(ctx); err != nil {
		return err
	}
	if err := b.launch(ctx); err != nil {
		return err
	}
	for _, phase := range []struct {
		name string
		run  func(context.Context) error
		skip bool
	}{
		{"paced", b.measurePaced, b.options.skipPaced},
		{"create", b.measureCreate, false},
		{"upgrade", b.measureUpgrade, false},
		{"idle", b.measureIdle, false},
		{"restart", b.measureRestart, false},
	} {
		if phase.skip {
			continue
		}
		b.say("%s", phase.name)
		if err := phase.run(ctx); err != nil {
			return fmt.Errorf("measuring %s: %w", phase.name, err)
		}
	}
	return nil
}

func (b *bench) burst() load { return load{n: b.options.n, workers: b.options.workers} }

func (b *bench) paced() load {
	return load{n: b.options.pacedN, workers: b.options.workers, rate: b.options.pacedRate}
}

// measureFloors creates and upgrades the objects without an operator, one by one and all at once, and removes them.
func (b *bench) measureFloors(ctx context.Context) error {
	if b.options.skipFloor {
		return nil
	}
	r := &b.result
	if !b.options.skipPaced {
		b.say("floor, paced")
		created, upgraded, err := b.floor(ctx, namespacePacedFloor, b.paced())
		if err != nil {
			return fmt.Errorf("measuring the paced floor: %w", err)
		}
		r.Paced.CreateFloorP50Seconds, r.Paced.UpgradeFloorP50Seconds = percentile(created.each, 0.5), percentile(upgraded.each, 0.5)
	}
	b.say("floor")
	created, upgraded, err := b.floor(ctx, namespaceFloor, b.burst())
	if err != nil {
		return fmt.Errorf("measuring the floor: %w", err)
	}
	r.Create.FloorSeconds, r.Create.FloorReadyP50, r.Create.FloorReadyP99 = created.figures()
	r.Upgrade.FloorSeconds, r.Upgrade.FloorSwitchP50, r.Upgrade.FloorSwitchP99 = upgraded.figures()
	return nil
}

// timing is how long something took for all services together, and for each.
type timing struct {
	all  time.Duration
	each []time.Duration
}

func timingOf(start time.Time, began, ended map[string]time.Time) timing {
	return timing{all: last(ended).Sub(start), each: spans(began, ended)}
}

func (t timing) figures() (all, p50, p99 float64) {
	return t.all.Seconds(), percentile(t.each, 0.5), percentile(t.each, 0.99)
}

func (b *bench) floor(ctx context.Context, namespace string, l load) (created, upgraded timing, err error) {
	if err := b.createNamespace(ctx, namespace); err != nil {
		return created, upgraded, err
	}
	start := time.Now()
	began, ended, err := b.floorCreate(ctx, namespace, l)
	if err != nil {
		return created, upgraded, err
	}
	created = timingOf(start, began, ended)
	start = time.Now()
	if began, ended, err = b.floorUpgrade(ctx, namespace, l); err != nil {
		return created, upgraded, err
	}
	return created, timingOf(start, began, ended), b.deleteNamespace(ctx, namespace)
}

// launch starts the operator and waits until it waits for work.
func (b *bench) launch(ctx context.Context) error {
	var err error
	if b.operator, err = startOperator(ctx, b.plane, b.options.manager, b.kubeconfig); err != nil {
		return err
	}
	return b.operator.waitIdle(ctx, 0)
}

// measurePaced creates and upgrades services one by one.
func (b *bench) measurePaced(ctx context.Context) error {
	if err := b.createNamespace(ctx, namespacePacedService); err != nil {
		return err
	}
	l, r := b.paced(), &b.result.Paced
	r.N, r.PerSecond = l.n, l.rate
	began, err := l.drive(ctx, b.createSample(namespacePacedService))
	if err != nil {
		return err
	}
	ended, err := b.tracker.wait(ctx, namespacePacedService, ready, l.n)
	if err != nil {
		return err
	}
	_, r.CreateP50Seconds, r.CreateP99Seconds = timingOf(time.Time{}, began, ended).figures()
	if began, err = l.drive(ctx, b.upgradeSample(namespacePacedService)); err != nil {
		return err
	}
	if ended, err = b.tracker.wait(ctx, namespacePacedService, switched, l.n); err != nil {
		return err
	}
	_, r.UpgradeP50Seconds, r.UpgradeP99Seconds = timingOf(time.Time{}, began, ended).figures()
	_, r.PodsP50Seconds, r.PodsP99Seconds = timingOf(time.Time{}, began, b.tracker.of(namespacePacedService, created)).figures()
	if _, err := b.tracker.wait(ctx, namespacePacedService, completed, l.n); err != nil {
		return err
	}
	return b.deleteNamespace(ctx, namespacePacedService)
}

// measureCreate creates all services at once.
func (b *bench) measureCreate(ctx context.Context) error {
	if err := b.createNamespace(ctx, namespaceServices); err != nil {
		return err
	}
	before, err := b.operator.usage(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	began, err := b.burst().drive(ctx, b.createSample(namespaceServices))
	if err != nil {
		return err
	}
	ended, err := b.tracker.wait(ctx, namespaceServices, ready, b.options.n)
	if err != nil {
		return err
	}
	after, err := b.operator.usage(ctx)
	if err != nil {
		return err
	}
	r := &b.result.Create
	r.Seconds, r.ReadyP50Seconds, r.ReadyP99Seconds = timingOf(start, began, ended).figures()
	r.PerSecond, r.Ratio = ratio(float64(b.options.n), r.Seconds), ratio(r.Seconds, r.FloorSeconds)
	if r.ChildrenPerService, err = b.countChildren(ctx); err != nil {
		return err
	}
	if r.Settle, err = b.settle(ctx, settledAfterCreation, start, ended); err != nil {
		return err
	}
	r.cost = b.costOf(b.source.count(until(start, ended)), before, after)
	return nil
}

// countChildren counts what the GinServices control, for each.
func (b *bench) countChildren(ctx context.Context) (float64, error) {
	list := metav1.ListOptions{LabelSelector: v1alpha1.LabelManagedBy + "=" + v1alpha1.ManagedBy}
	n := 0
	configs, err := b.admin.CoreV1().ConfigMaps(namespaceServices).List(ctx, list)
	if err != nil {
		return 0, fmt.Errorf("counting children: %w", err)
	}
	services, err := b.admin.CoreV1().Services(namespaceServices).List(ctx, list)
	if err != nil {
		return 0, fmt.Errorf("counting children: %w", err)
	}
	deployments, err := b.admin.AppsV1().Deployments(namespaceServices).List(ctx, list)
	if err != nil {
		return 0, fmt.Errorf("counting children: %w", err)
	}
	revisions, err := b.admin.AppsV1().ControllerRevisions(namespaceServices).List(ctx, list)
	if err != nil {
		return 0, fmt.Errorf("counting children: %w", err)
	}
	autoscalers, err := b.admin.AutoscalingV2().HorizontalPodAutoscalers(namespaceServices).List(ctx, list)
	if err != nil {
		return 0, fmt.Errorf("counting children: %w", err)
	}
	budgets, err := b.admin.PolicyV1().PodDisruptionBudgets(namespaceServices).List(ctx, list)
	if err != nil {
		return 0, fmt.Errorf("counting children: %w", err)
	}
	n += len(configs.Items) + len(services.Items) + len(deployments.Items) + len(revisions.Items) + len(autoscalers.Items) + len(budgets.Items)
	return ratio(float64(n), float64(b.options.n)), nil
}

// measureUpgrade changes the image of all services at once.
func (b *bench) measureUpgrade(ctx context.Context) error {
	before, err := b.operator.usage(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	began, err := b.burst().drive(ctx, b.upgradeSample(namespaceServices))
	if err != nil {
		return err
	}
	ended, err := b.tracker.wait(ctx, namespaceServices, switched, b.options.n)
	if err != nil {
		return err
	}
	done, err := b.tracker.wait(ctx, namespaceServices, completed, b.options.n)
	if err != nil {
		return err
	}
	r := &b.result.Upgrade
	r.Seconds, r.SwitchP50Seconds, r.SwitchP99Seconds = timingOf(start, began, ended).figures()
	r.PerSecond, r.Ratio = ratio(float64(b.options.n), r.Seconds), ratio(r.Seconds, r.FloorSeconds)
	r.CompletedSeconds = last(done).Sub(start).Seconds()
	shown, prepared := b.tracker.of(namespaceServices, previewed), b.tracker.of(namespaceServices, prepared)
	_, r.EndpointsToSwitchP50Seconds, r.EndpointsToSwitchP99Seconds = timingOf(start, shown, ended).figures()
	_, _, r.PreparedToSwitchP99Seconds = timingOf(start, latest(shown, prepared), ended).figures()
	_, _, r.ConfirmP99Seconds = timingOf(start, ended, b.tracker.of(namespaceServices, confirmed)).figures()
	if r.SettleSeconds, err = b.rest(ctx, settledAfter, last(done)); err != nil {
		return err
	}
	after, err := b.operator.usage(ctx)
	if err != nil {
		return err
	}
	r.cost = b.costOf(b.source.count(between(start, time.Now())), before, after)
	return nil
}

// settle waits until the operator is at rest, and returns what it did since each service was done with the phase.
func (b *bench) settle(ctx context.Context, quiet time.Duration, start time.Time, ends map[string]time.Time) (settle, error) {
	before, err := b.operator.usage(ctx)
	if err != nil {
		return settle{}, err
	}
	seconds, err := b.rest(ctx, quiet, last(ends))
	if err != nil {
		return settle{}, err
	}
	after, err := b.operator.usage(ctx)
	if err != nil {
		return settle{}, err
	}
	during, phase := between(start, time.Now()), until(start, ends)
	c := b.source.count(func(r request) bool { return during(r) && !phase(r) })
	return settle{Seconds: seconds, cost: b.costOf(c, before, after)}, nil
}

// rest waits until the operator has written nothing for some time, and returns how many seconds after a phase its last write was.
func (b *bench) rest(ctx context.Context, quiet time.Duration, phase time.Time) (float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, fmt.Errorf("it had %s", waitTimeout))
	defer cancel()
	since := phase
	err := poll(ctx, func() (bool, error) {
		err := b.source.read()
		since = b.source.quietSince(phase)
		return time.Since(since) > quiet+auditDelay, err
	})
	if err != nil {
		return 0, fmt.Errorf("waiting for the operator to come to rest: %w", err)
	}
	return since.Sub(phase).Seconds(), nil
}

func (b *bench) costOf(c counts, before, after usage) cost {
	n := float64(b.options.n)
	requests := map[string]float64{}
	for kind, number := range c.kinds {
		requests[kind] = float64(number) / n
	}
	return cost{
		WritesPerService: float64(c.writes) / n, EventsPerService: float64(c.events) / n, ReadsPerService: float64(c.reads) / n,
		CPUMillisPerService: 1000 * (after.CPUSeconds - before.CPUSeconds) / n, PassesPerService: (after.passes - before.passes) / n, Requests: requests,
	}
}

// measureIdle looks on while nothing happens.
func (b *bench) measureIdle(ctx context.Context) error {
	before, err := b.operator.usage(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := pause(ctx, b.options.idle); err != nil {
		return err
	}
	end := time.Now()
	after, err := b.operator.usage(ctx)
	if err != nil {
		return err
	}
	if err := b.readSource(ctx); err != nil {
		return err
	}
	c := b.source.count(between(start, end))
	b.result.Idle = idle{
		Seconds: end.Sub(start).Seconds(), Writes: c.writes, Events: c.events, Reads: c.reads, CPUSeconds: after.CPUSeconds - before.CPUSeconds,
	}
	b.result.RSSMiB, b.result.CPUSeconds = after.PeakMiB, after.CPUSeconds
	return nil
}

// readSource reads the operator's requests when everything that was answered until now is there.
func (b *bench) readSource(ctx context.Context) error {
	if err := pause(ctx, auditDelay); err != nil {
		return err
	}
	return b.source.read()
}

// measureRestart ends the operator and starts it again.
func (b *bench) measureRestart(ctx context.Context) error {
	if err := b.operator.Stop(); err != nil {
		return err
	}
	b.operator = nil
	start := time.Now()
	if err := b.launch(ctx); err != nil {
		return err
	}
	if err := b.operator.waitIdle(ctx, b.options.n); err != nil {
		return err
	}
	synced := time.Now()
	if err := pause(ctx, restartObservation); err != nil {
		return err
	}
	end := time.Now()
	used, err := b.operator.usage(ctx)
	if err != nil {
		return err
	}
	if err := b.readSource(ctx); err != nil {
		return err
	}
	c := b.source.count(between(start, end))
	b.result.Restart = restart{
		Seconds: synced.Sub(start).Seconds(), Writes: c.writes, Events: c.events, Reads: c.reads, InformerRequests: c.informers,
		CPUSeconds: used.CPUSeconds, RSSMiB: used.PeakMiB,
	}
	b.result.CPUSeconds += used.CPUSeconds
	return nil
}

func (b *bench) stop() error {
	if b.operator == nil {
		return nil
	}
	return b.operator.Stop()
}
