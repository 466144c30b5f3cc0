package rollout_test

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// anything returns an observation that need not make sense: whoever can write a status, a selector or a Deployment can make one.
func anything(c chooser) rollout.Observed {
	revision := func() string { return fmt.Sprintf("v%d", 1+c.choose(3)) }
	number := func() int32 { return int32(c.choose(4)) }
	maybe := func() *int32 {
		if c.choose(3) == 0 {
			return nil
		}
		return new(number())
	}
	color := func() v1alpha1.Color { return []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green, ""}[c.choose(3)] }
	moment := func() *metav1.MicroTime {
		if c.choose(3) == 0 {
			return nil
		}
		return &metav1.MicroTime{Time: epoch.Add(time.Duration(c.choose(5)-3) * 20 * time.Second)}
	}
	o := rollout.Observed{
		Now: epoch, Wanted: revision(), Approved: []string{"", "v1", "v2"}[c.choose(3)], LastActive: color(),
		LastRevision: []string{"", "v1", "v2"}[c.choose(3)], Selected: color(), Colors: map[v1alpha1.Color]rollout.Color{},
		Previewed:        rollout.Preview{Color: color(), Revision: revision()},
		ActiveEndpoints:  map[v1alpha1.Color]int32{v1alpha1.Blue: number(), v1alpha1.Green: number()},
		PreviewEndpoints: map[v1alpha1.Color]int32{v1alpha1.Blue: number(), v1alpha1.Green: number()},
		Spec:             &v1alpha1.GinServiceSpec{Replicas: maybe(), ProgressDeadlineSeconds: new(int32(30))},
	}
	o.Spec.Strategy.BlueGreen = v1alpha1.BlueGreen{
		Promotion:       []v1alpha1.Promotion{"", v1alpha1.PromotionManual, v1alpha1.PromotionAutomatic}[c.choose(3)],
		PreviewReplicas: maybe(), AutoPromotionSeconds: maybe(), ScaleDownDelaySeconds: maybe(), AbortScaleDownDelaySeconds: maybe(),
	}
	if c.choose(2) == 0 {
		o.Spec.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: maybe()}
	}
	for _, each := range colors {
		if c.choose(4) > 0 {
			o.Colors[each] = rollout.Color{
				Revision: revision(), Replicas: number(), Current: number(), Updated: number(), Available: number(), Settled: c.choose(4) > 0,
			}
		}
	}
	if c.choose(5) > 0 {
		steps := []v1alpha1.RolloutStep{
			v1alpha1.StepDeploying, v1alpha1.StepWaitingForPromotion, v1alpha1.StepScalingUp, v1alpha1.StepSwitching,
			v1alpha1.StepDraining, v1alpha1.StepCompleted, v1alpha1.StepFailed, v1alpha1.StepCancelled,
		}
		o.Rollout = &v1alpha1.RolloutStatus{
			Revision: revision(), Step: steps[c.choose(len(steps))], Message: "so it was", Rollback: c.choose(3) == 0, HeldReplicas: maybe(),
			WantedReplicas: maybe(), StartedAt: moment(), ReadyAt: moment(), ApprovedAt: moment(), SwitchedAt: moment(), EndedAt: moment(),
		}
	}
	return o
}

// checkAnything checks what must be true of every plan, and that the observation is left as it was.
func checkAnything(t *testing.T, choices func() chooser) {
	t.Helper()
	o := anything(choices())
	plan := rollout.Compute(o)
	for _, problem := range problemsOf(o, plan) {
		t.Fatalf("%s\nobserved: %+v\nspec: %+v\nrecord: %+v\nplan: %+v\nnew record: %+v", problem, o, o.Spec, o.Rollout, plan, plan.Rollout)
	}
	if !same(o, anything(choices())) {
		t.Fatalf("the plan changes what was observed: %+v", o)
	}
	if !same(plan, rollout.Compute(o)) {
		t.Fatal("the same observation is planned for in two ways")
	}
}

// TestNoObservationBreaksAnInvariant plans for observations that need not make sense.
func TestNoObservationBreaksAnInvariant(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20_000) {
		checkAnything(t, func() chooser { return &seeded{random(seed, 3), 0} })
	}
}

// FuzzCompute lets the fuzzer make them up.
func FuzzCompute(f *testing.F) {
	for seed := range byte(8) {
		f.Add([]byte{seed, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, seed, seed, seed})
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		checkAnything(t, func() chooser { return &scripted{script} })
	})
}

// TestHoldChangesNothing guards a suspended service: the plan is what is there.
func TestHoldChangesNothing(t *testing.T) {
	t.Parallel()
	for name, s := range stories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s.tell(w)
			w.image("v9")
			for _, next := range w.writes(rollout.Hold(w.observe())) {
				t.Errorf("a plan that holds everything writes: %s", next.what)
			}
		})
	}
}

// maxAllocs is how often one pass may allocate.
const maxAllocs = 50

// TestComputeAllocatesLittle holds the number that does not depend on the machine; BenchmarkCompute has the time.
func TestComputeAllocatesLittle(t *testing.T) { //nolint:paralleltest // allocations of other tests would count
	for name, o := range busyMoments(t) {
		if allocs := testing.AllocsPerRun(100, func() { rollout.Compute(o) }); allocs > maxAllocs {
			t.Errorf("%s: %.0f allocations, at most %d are allowed", name, allocs, maxAllocs)
		}
	}
}

// BenchmarkCompute measures one pass. Target: 20 µs.
func BenchmarkCompute(b *testing.B) {
	for name, o := range busyMoments(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rollout.Compute(o)
			}
		})
	}
}

// busyMoments returns what is observed in the moments of a rollout that take the most thought.
func busyMoments(t testing.TB) map[string]rollout.Observed {
	t.Helper()
	steady := newWorld(t)
	served(steady, "v1")
	preview := newWorld(t)
	served(preview, "v1")
	preview.image("v2")
	preview.pass()
	switching := newWorld(t)
	served(switching, "v1")
	switching.image("v2")
	switching.pass()
	switching.pods(v1alpha1.Green)
	switching.endpoints(switching.preview)
	return map[string]rollout.Observed{"steady state": steady.observe(), "preview": preview.observe(), "switch": switching.observe()}
}
