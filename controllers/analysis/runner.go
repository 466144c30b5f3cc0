package analysis

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

const (
	// patience is how long a pass waits for a measurement. One that takes longer is looked at in a later pass.
	patience = 50 * time.Millisecond
	// measuringTakes is what all metrics together may take to be measured.
	measuringTakes = 10 * time.Second
	// lookAgain is how soon a pass looks again for what it did not wait for.
	lookAgain = 250 * time.Millisecond
	// pendingRetry is how soon it is tried again where there was nothing to measure yet.
	pendingRetry = time.Second
)

// Options set up a Runner.
type Options struct {
	// Client reads EndpointSlices, from a cache.
	Client client.Reader
	// Live reads pods from the API server. It is asked only where a pod is ready that is not known yet.
	Live client.Reader
	// Clock tells the time.
	Clock clock.PassiveClock
	// Source measures.
	Source Source
	// Dial connects to the pods for the requests of a warm-up, by their addresses, of which none is on this machine. Default: nil, over the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Runner analyses the rollouts that are under way. Make it with NewRunner.
type Runner struct {
	options   Options
	transport http.RoundTripper
	// life returns a context that ends with the runner, and end ends it.
	life func() (context.Context, context.CancelFunc)
	end  context.CancelFunc

	mu   sync.Mutex
	runs map[types.NamespacedName]*running
}

var _ controllers.Analysis = (*Runner)(nil)

// NewRunner returns a runner that has nothing to do yet.
func NewRunner(options Options) *Runner {
	life, end := context.WithCancel(context.Background())
	return &Runner{
		options: options, transport: newTransport(options.Dial), runs: map[types.NamespacedName]*running{},
		life: func() (context.Context, context.CancelFunc) { return context.WithCancel(life) }, end: end,
	}
}

// running is what is kept of an analysis while it lasts. It is for the passes of its GinService alone, of which there is one at a time.
type running struct {
	id     string    // of the rollout, and the stage of it
	began  time.Time // when this operator began with it, or again where spec.suspend came between
	found  found
	warmUp *warmUp
	// measuring gets what is being measured, of these metrics, and tried is when that had no result that status has.
	measuring chan map[string]Reading
	metrics   []v1alpha1.AnalysisMetric
	tried     time.Time
	// wakes says that the service was scaled to zero, and that not all of what is measured has had a ready pod since.
	wakes bool
}

// Judge implements controllers.Analysis.
func (r *Runner) Judge(ctx context.Context, gs *v1alpha1.GinService, serving string) (rollout.Verdict, error) {
	s, key := stageOf(gs, serving, r.options.Clock.Now()), client.ObjectKeyFromObject(gs)
	switch {
	case s.run == nil:
		r.Forget(key)
		return s.verdict, nil
	case ended(s.status.Outcome):
		r.Forget(key)
		return s.verdictOn(s.status, 0), nil
	}
	run := r.of(key, gs.Status.Rollout, s.promoted)
	subjects, more, err := r.subjects(ctx, gs, s, run)
	if err != nil {
		return rollout.Verdict{}, err
	}
	var watched []Pod
	for _, subject := range subjects {
		watched = append(watched, subject.Pods...)
	}
	if err := r.options.Source.Watch(key, watched, s.run); err != nil {
		return rollout.Verdict{}, fmt.Errorf("measuring pods: %w", err)
	}
	r.warm(gs, s, run, subjects[0].Pods)
	verdict := r.proceed(gs, s, run, subjects, run.absent(gs, s, subjects, more))
	if more && verdict.After > listInterval {
		verdict.After = listInterval
	}
	return verdict, nil
}

// subjects returns the version that is measured and, where a metric compares it with that, the version that serves. More says that not all of their
// pods are known yet.
func (r *Runner) subjects(ctx context.Context, gs *v1alpha1.GinService, s stage, run *running) (subjects []Subject, more bool, err error) {
	add := func(service string, color v1alpha1.Color) error {
		pods, others, err := run.found.of(ctx, r, gs, service, color)
		subjects, more = append(subjects, Subject{Namespace: gs.Namespace, Service: gs.Name, Color: color, Pods: pods}), more || others
		return err
	}
	if err := add(s.service, s.subject); err != nil {
		return nil, false, err
	}
	if !s.promoted && compares(s.run) {
		err = add(names.ActiveService(gs.Name), s.subject.Other())
	}
	return subjects, more, err
}

func compares(run *v1alpha1.AnalysisRun) bool {
	for i := range run.Metrics {
		if run.Metrics[i].RatioToActive != nil {
			return true
		}
	}
	return false
}

// absent returns why nobody can be asked about the versions that are measured, of which these pods are ready, and maybe more; or nil where somebody can
// be, or where it is for onNoData to say what becomes of that. So it is with a preview: after the promotion, users have nobody to turn to, while what
// served before could serve them.
func (run *running) absent(gs *v1alpha1.GinService, s stage, subjects []Subject, more bool) *absence {
	empty := func(subject Subject) bool { return len(subject.Pods) == 0 }
	switch other := s.subject.Other(); {
	case scaledToZero(gs):
		run.wakes = true
		return &absence{why: "the service is scaled to zero", policy: v1alpha1.NoDataInconclusive}
	case more || !slices.ContainsFunc(subjects, empty):
		run.wakes = false
		return nil
	case run.wakes:
		return &absence{why: "no pod is ready yet since the service was scaled to zero", policy: v1alpha1.NoDataInconclusive}
	case s.promoted && available(gs, s.subject) == 0 && available(gs, other) > 0:
		return &absence{why: fmt.Sprintf("no pod of %s is ready, and %s has pods that are", s.subject, other), policy: v1alpha1.NoDataFail}
	case len(subjects) > 1 && empty(subjects[1]):
		// No fault of the new version, which may be what mends it.
		return &absence{why: fmt.Sprintf("no pod of %s is ready, which it is to be compared with", other), policy: v1alpha1.NoDataInconclusive}
	default:
		return nil
	}
}

// available returns how many pods of a colour are available by status. EndpointSlices alone would not do: those of a Service that somebody has deleted
// are gone while its pods serve, and no Service selects what is warm.
func available(gs *v1alpha1.GinService, color v1alpha1.Color) int32 {
	for i := range gs.Status.Colors {
		if gs.Status.Colors[i].Color == color {
			return gs.Status.Colors[i].Ready
		}
	}
	return 0
}

// proceed takes an analysis as far as it gets in a pass.
func (r *Runner) proceed(gs *v1alpha1.GinService, s stage, run *running, subjects []Subject, nobody *absence) rollout.Verdict {
	now, before := r.options.Clock.Now(), s.status
	after, wait := before, untilDue(s.run, before, run.tried, now)
	if wait == 0 {
		var readings map[string]Reading
		done := true
		if nobody != nil {
			run.measuring = nil
			after = advanceWithout(s.run, before, nobody, now)
		} else {
			readings, done = r.measure(s, run, subjects, windowOf(s.run, before, now))
			after = advance(s.run, before, readings, now)
		}
		switch {
		case !done:
			wait = lookAgain
		case after.MeasuredAt.Equal(before.MeasuredAt) && pending(readings):
			wait = pendingRetry
		case after.MeasuredAt.Equal(before.MeasuredAt):
			run.tried, wait = now, seconds(s.run.IntervalSeconds, defaultInterval)
		default:
			wait = seconds(s.run.IntervalSeconds, defaultInterval)
		}
	}
	if run.warmUp != nil {
		after = after.DeepCopy()
		noteWarmUp(s.run, s.warmUp, before, after, run.warmUp.soFar())
	}
	if s.promoted {
		after = giveUp(s.run, after, seconds(gs.Spec.ProgressDeadlineSeconds, defaultProgressDeadline), run.began, now)
	}
	if ended(after.Outcome) {
		run.endWarmUp()
		wait = 0
	}
	return s.verdictOn(after, wait)
}

// verdictOn puts a status into a verdict.
func (s *stage) verdictOn(status *v1alpha1.AnalysisStatus, after time.Duration) rollout.Verdict {
	verdict := rollout.Verdict{Outcome: rollout.Analyzing, Message: status.Message, After: after, Promoted: s.promoted}
	switch status.Outcome {
	case v1alpha1.AnalysisSuccessful, v1alpha1.AnalysisInconclusive:
		verdict.Outcome = rollout.Passed
	case v1alpha1.AnalysisFailed:
		verdict.Outcome = rollout.Rejected
	case v1alpha1.AnalysisRunning:
	}
	switch {
	case equality.Semantic.DeepEqual(status, s.recorded):
	case s.promoted:
		verdict.PostPromotionAnalysis = status
	default:
		verdict.Analysis = status
	}
	return verdict
}

// pending reports whether some metric can be measured in a moment.
func pending(readings map[string]Reading) bool {
	for _, reading := range readings {
		if reading.comes() {
			return true
		}
	}
	return false
}

// measure returns a reading of each metric, or false where that takes longer than a pass waits, or was made of what is not to be measured any more.
func (r *Runner) measure(s stage, run *running, subjects []Subject, window time.Duration) (map[string]Reading, bool) {
	if run.measuring == nil {
		measuring, metrics := make(chan map[string]Reading, 1), s.run.DeepCopy().Metrics
		run.measuring, run.metrics = measuring, metrics
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), measuringTakes)
			defer cancel()
			measuring <- r.read(ctx, metrics, subjects, window)
		}()
	}
	limit, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case readings := <-run.measuring:
		run.measuring = nil
		if !equality.Semantic.DeepEqual(run.metrics, s.run.Metrics) {
			return nil, false
		}
		return readings, true
	case <-limit.Done():
		return nil, false
	}
}

// read measures all metrics.
func (r *Runner) read(ctx context.Context, metrics []v1alpha1.AnalysisMetric, subjects []Subject, window time.Duration) map[string]Reading {
	readings := map[string]Reading{}
	for i := range metrics {
		reading := Reading{Value: r.options.Source.Measure(ctx, subjects[0], &metrics[i], window)}
		if metrics[i].RatioToActive != nil && len(subjects) > 1 {
			reading.Active = r.options.Source.Measure(ctx, subjects[1], &metrics[i], window)
		}
		readings[metrics[i].Name] = reading
	}
	return readings
}

// warm has a warm-up sent to pods, if there is to be one.
func (r *Runner) warm(gs *v1alpha1.GinService, s stage, run *running, pods []Pod) {
	if run.warmUp != nil && (s.warmUp == nil || !run.warmUp.like(s.warmUp)) {
		run.endWarmUp()
	}
	if s.warmUp == nil {
		return
	}
	if run.warmUp == nil {
		life, stop := r.life()
		run.warmUp = startWarmUp(life, stop, r.transport, s.warmUp, names.PreviewService(gs.Name)+"."+gs.Namespace, s.status.WarmUp)
	}
	run.warmUp.aim(pods)
}

func (run *running) endWarmUp() {
	if run.warmUp != nil {
		run.warmUp.stop()
		run.warmUp = nil
	}
}

// of returns what is kept of an analysis. What there was of another one ends.
func (r *Runner) of(key types.NamespacedName, record *v1alpha1.RolloutStatus, promoted bool) *running {
	id := fmt.Sprintf("%s %t", record.Revision, promoted)
	if record.StartedAt != nil {
		id += fmt.Sprintf(" %d", record.StartedAt.UnixMicro())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.runs[key]
	if run != nil && run.id != id {
		run.endWarmUp()
		run = nil
	}
	if run == nil {
		run = &running{id: id, began: r.options.Clock.Now()}
		r.runs[key] = run
	}
	return run
}

// Forget implements controllers.Analysis.
func (r *Runner) Forget(key types.NamespacedName) {
	r.mu.Lock()
	run := r.runs[key]
	delete(r.runs, key)
	r.mu.Unlock()
	if run == nil {
		return
	}
	run.endWarmUp()
	r.options.Source.Forget(key)
}

// Start implements manager.Runnable: it waits until the manager stops, and then ends the requests of warm-ups, for good. Status has what another operator
// needs to go on with them.
func (r *Runner) Start(ctx context.Context) error {
	<-ctx.Done()
	r.end()
	return nil
}
