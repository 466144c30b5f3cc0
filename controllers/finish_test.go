package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

var errConflict = apierrors.NewConflict(schema.GroupResource{Resource: "ginservices"}, "hello", errors.New("changed"))

// faults are what becomes of the writes of status.
type faults struct {
	err    error // which they end in, or nil
	writes int   // that did not
}

func (f *faults) funcs() interceptor.Funcs {
	return interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, name string, object client.Object, opts ...client.SubResourceUpdateOption) error {
		if f.err != nil {
			return f.err
		}
		f.writes++
		return c.SubResource(name).Update(ctx, object, opts...)
	}}
}

// pass is one pass over what is stored, which tells something.
func (w *world) pass(t *testing.T, gs *v1alpha1.GinService, change func(*observation, *rollout.Plan), failure error) (ctrl.Result, error) {
	t.Helper()
	o := serving(w.stored(t, gs))
	o.state.Now = w.clock.Now()
	plan := completed(o)
	change(o, &plan)
	return w.finish(t.Context(), o, plan, failure)
}

func tells(reason string) func(*observation, *rollout.Plan) {
	return func(o *observation, plan *rollout.Plan) {
		plan.Rollout.EndedAt = &metav1.MicroTime{Time: o.state.Now}
		plan.Transitions = []rollout.Transition{{Reason: reason, Message: "it did"}}
	}
}

func TestFinishTellsOnceStatusIsWritten(t *testing.T) {
	gs := service()
	f := &faults{}
	w := newWorld(t, f.funcs(), gs)

	f.err = errConflict
	if result, err := w.pass(t, gs, tells("RolloutCompleted"), nil); err != nil || result.RequeueAfter != conflictRetry {
		t.Errorf("after a conflict: %+v, %v", result, err)
	}
	f.err = errors.New("the API server is gone")
	if _, err := w.pass(t, gs, tells("RolloutCompleted"), nil); !errors.Is(err, f.err) {
		t.Errorf("after a failure: %v", err)
	}
	if told := w.told(); told != nil {
		t.Errorf("told before status was written: %q", told)
	}
	f.err = nil
	if _, err := w.pass(t, gs, tells("RolloutCompleted"), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Normal RolloutCompleted it did"}, w.told()); diff != "" {
		t.Error(diff)
	}
}

func TestFinishWritesNothingAtRest(t *testing.T) {
	gs := service()
	f := &faults{}
	w := newWorld(t, f.funcs(), gs)
	for range 3 {
		result, err := w.pass(t, gs, func(*observation, *rollout.Plan) {}, nil)
		if err != nil || result.RequeueAfter != 0 {
			t.Fatalf("%+v, %v", result, err)
		}
		w.clock.SetTime(w.clock.Now().Add(time.Hour))
	}
	if f.writes != 1 || w.told() != nil {
		t.Errorf("%d writes for one state", f.writes)
	}
}

// Numbers alone may wait. What comes with a transition may not, or it would never be told.
func TestFinishHoldsBackNumbersAlone(t *testing.T) {
	ready := func(pods int32) func(*observation, *rollout.Plan) {
		return func(o *observation, plan *rollout.Plan) {
			plan.Serving = 5
			blue := o.state.Colors[v1alpha1.Blue]
			blue.Available = pods
			o.state.Colors[v1alpha1.Blue] = blue
			plan.Colors[v1alpha1.Blue] = rollout.Target{Revision: o.wanted.Name, Replicas: 5}
		}
	}
	for name, tc := range map[string]struct {
		change func(*observation, *rollout.Plan)
		waits  bool
		told   int
	}{
		"one pod more":                        {ready(3), true, 0},
		"the last pod":                        {ready(5), false, 0},
		"one pod more and a transition":       {func(o *observation, p *rollout.Plan) { ready(3)(o, p); tells("PreviewReady")(o, p) }, false, 1},
		"the last endpoint of all":            {func(o *observation, p *rollout.Plan) { ready(2)(o, p); o.state.ActiveEndpoints = nil }, false, 0},
		"a switch that waits to be confirmed": {func(o *observation, p *rollout.Plan) { ready(2)(o, p); p.Rollout.Step = v1alpha1.StepSwitching }, true, 0},
		"a switch in the pass of the last measurement": {func(o *observation, p *rollout.Plan) {
			ready(2)(o, p)
			p.Rollout.Step, p.Rollout.Analysis = v1alpha1.StepSwitching, &v1alpha1.AnalysisStatus{Outcome: v1alpha1.AnalysisSuccessful}
		}, false, 0},
		"a number that is wanted": {func(o *observation, p *rollout.Plan) {
			ready(2)(o, p)
			p.Colors[v1alpha1.Blue] = rollout.Target{Revision: o.wanted.Name, Replicas: 6}
		}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			gs := service()
			f := &faults{}
			w := newWorld(t, f.funcs(), gs)
			if _, err := w.pass(t, gs, ready(2), nil); err != nil || f.writes != 1 {
				t.Fatalf("%d writes, %v", f.writes, err)
			}
			w.told()
			w.pace.switched(client.ObjectKeyFromObject(gs), w.clock.Now())
			result, err := w.pass(t, gs, tc.change, nil)
			if err != nil || (f.writes == 1) != tc.waits || len(w.told()) != tc.told {
				t.Fatalf("%d writes, %v", f.writes, err)
			}
			if !tc.waits {
				return
			}
			if result.RequeueAfter <= 0 || result.RequeueAfter > statusInterval {
				t.Errorf("the next look is in %s", result.RequeueAfter)
			}
			w.clock.SetTime(w.clock.Now().Add(result.RequeueAfter))
			if _, err := w.pass(t, gs, tc.change, nil); err != nil || f.writes != 2 {
				t.Errorf("%d writes once the wait is over, %v", f.writes, err)
			}
		})
	}
}

func TestFinishClassifiesFailures(t *testing.T) {
	gs := service()
	moved := func(o *observation, plan *rollout.Plan) {
		o.gs.Status.Rollout = &v1alpha1.RolloutStatus{Revision: "new", Step: v1alpha1.StepScalingUp}
		plan.Active, plan.Rollout.Step = v1alpha1.Green, v1alpha1.StepSwitching
		plan.Colors[v1alpha1.Green] = rollout.Target{Revision: "new", Replicas: 2}
		plan.Transitions = []rollout.Transition{{Reason: "Promoted"}}
		*plan = stay(o, *plan)
	}
	for name, tc := range map[string]struct {
		failure error
		after   time.Duration
		fails   bool
		told    []string
	}{
		"somebody wrote in between": {failure: errConflict, after: conflictRetry},
		"a fight":                   {failure: &postponedError{wait: 300 * time.Millisecond}, after: 300 * time.Millisecond},
		"an answer is lost":         {failure: errors.New("EOF"), fails: true},
		"a name is taken":           {failure: &nameTakenError{kind: "Service", name: "hello"}, after: patience, told: []string{"Warning NameTaken " + (&nameTakenError{kind: "Service", name: "hello"}).Error()}},
		"a name is taken, and somebody wrote in between": {failure: errors.Join(&nameTakenError{kind: "Service", name: "hello"}, errConflict), after: conflictRetry},
		"a name is taken, and an answer is lost": {
			failure: errors.Join(&nameTakenError{kind: "Service", name: "hello"}, errors.New("EOF")), fails: true,
			told: []string{"Warning NameTaken " + (&nameTakenError{kind: "Service", name: "hello"}).Error()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, gs.DeepCopy())
			result, err := w.pass(t, gs, moved, tc.failure)
			if (err != nil) != tc.fails || result.RequeueAfter != tc.after {
				t.Errorf("%+v, %v", result, err)
			}
			if diff := cmp.Diff(tc.told, w.told()); diff != "" {
				t.Error(diff)
			}
			if status := w.stored(t, gs).Status; status.ActiveColor == v1alpha1.Green {
				t.Error("status tells of a switch that was not made")
			}
		})
	}
}

// A failure that stays is told, or a status from before it would go on saying that all is well.
func TestFinishTellsOfAFailureThatStays(t *testing.T) {
	gs := service()
	w := newWorld(t, (&faults{}).funcs(), gs)
	down := errors.New("a webhook does not answer")
	nothing := func(*observation, *rollout.Plan) {}
	for attempt := range tellAfterFailures + 2 {
		if _, err := w.pass(t, gs, nothing, down); !errors.Is(err, down) {
			t.Fatalf("attempt %d ended in %v, and would not be repeated", attempt, err)
		}
	}
	ready := apimeta.FindStatusCondition(w.stored(t, gs).Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Reason != v1alpha1.ReasonReconcileError || !strings.Contains(ready.Message, down.Error()) {
		t.Errorf("Ready is %+v", ready)
	}
	if told := w.told(); len(told) != 1 {
		t.Errorf("told %q", told)
	}
	if _, err := w.pass(t, gs, nothing, nil); err != nil {
		t.Fatal(err)
	}
	if !apimeta.IsStatusConditionTrue(w.stored(t, gs).Status.Conditions, v1alpha1.ConditionReady) {
		t.Error("it is over, and Ready does not say so")
	}
}

// A failure that stays keeps no timer waiting: the queue would come back only after minutes.
func TestATimerEndsTheWaitAfterFailures(t *testing.T) {
	gs := service()
	w := newWorld(t, (&faults{}).funcs(), gs)
	down := errors.New("a webhook does not answer")
	timed := func(_ *observation, plan *rollout.Plan) { plan.After = 3 * time.Second }
	for attempt := range 20 {
		result, err := w.pass(t, gs, timed, down)
		switch waits := backoff(attempt+1) > 3*time.Second; {
		case waits && (err != nil || result.RequeueAfter != 3*time.Second):
			t.Errorf("attempt %d: %+v, %v", attempt, result, err)
		case !waits && !errors.Is(err, down):
			t.Errorf("attempt %d ended in %v, and would not be repeated", attempt, err)
		}
	}
}

func TestFinishTellsATroubleOnce(t *testing.T) {
	gs := service()
	w := newWorld(t, interceptor.Funcs{}, gs)
	trouble := &nameTakenError{kind: "Service", name: "hello"}
	for range 3 {
		if _, err := w.pass(t, gs, func(*observation, *rollout.Plan) {}, trouble); err != nil {
			t.Fatal(err)
		}
		w.clock.SetTime(w.clock.Now().Add(takenRetry))
	}
	if told := w.told(); len(told) != 1 || !strings.Contains(told[0], "delete or rename it") {
		t.Errorf("told %q", told)
	}
	if _, err := w.pass(t, gs, func(*observation, *rollout.Plan) {}, nil); err != nil {
		t.Fatal(err)
	}
	if apimeta.IsStatusConditionTrue(w.stored(t, gs).Status.Conditions, v1alpha1.ConditionStalled) {
		t.Error("still Stalled after the trouble is over")
	}
	if _, err := w.pass(t, gs, func(*observation, *rollout.Plan) {}, trouble); err != nil || len(w.told()) != 1 {
		t.Error("the same trouble is not told when it comes again")
	}
}

// The API server refuses a note of more than 1024 bytes.
func TestFinishShortensNotes(t *testing.T) {
	gs := service()
	w := newWorld(t, interceptor.Funcs{}, gs)
	_, err := w.pass(t, gs, func(o *observation, plan *rollout.Plan) {
		tells("RolloutFailed")(o, plan)
		plan.Transitions[0].Message = strings.Repeat("界", 2000)
	}, apierrors.NewBadRequest("x"+strings.Repeat("é", 5000)))
	if err != nil {
		t.Fatal(err)
	}
	told := w.told()
	if len(told) != 2 {
		t.Fatalf("told %q", told)
	}
	for _, event := range told {
		_, note, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(event, "Normal "), "Warning "), " ")
		if len(note) > maxNote || len(note) < maxNote-3 || !utf8.ValidString(note) {
			t.Errorf("the note has %d bytes: %q", len(note), note)
		}
	}
}

func TestFinishWarnsOfMetricsThatNobodyServes(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*situation)
		after  time.Duration
		told   string
	}{
		"all": {
			situations()["the autoscaler can't measure"].change, metricPatience,
			"Warning FailedGetPodsMetric the HorizontalPodAutoscaler can't measure what it scales on, so the number of pods stays: ",
		},
		"some of them": {
			lacking, partPatience,
			"Warning MetricMissing the HorizontalPodAutoscaler can't measure all that it scales on: ",
		},
	} {
		t.Run(name, func(t *testing.T) { expectWarning(t, tc.change, tc.after, tc.told) })
	}
}

// expectWarning expects one warning of a situation that has lasted for a time, and none before.
func expectWarning(t *testing.T, situated func(*situation), lasted time.Duration, text string) {
	t.Helper()
	gs := service()
	w := newWorld(t, interceptor.Funcs{}, gs)
	change := func(o *observation, _ *rollout.Plan) { situated(&situation{o: o}) }
	w.pace.begin(start)
	result, err := w.pass(t, gs, change, nil)
	if err != nil || result.RequeueAfter != lasted || w.told() != nil {
		t.Fatalf("pods that have just started have no measurements: %+v, %v", result, err)
	}
	w.clock.SetTime(start.Add(lasted))
	for range 3 {
		if _, err := w.pass(t, gs, change, nil); err != nil {
			t.Fatal(err)
		}
	}
	if told := w.told(); len(told) != 1 || !strings.HasPrefix(told[0], text) {
		t.Errorf("told %q", told)
	}
	if ready := apimeta.FindStatusCondition(w.stored(t, gs).Status.Conditions, v1alpha1.ConditionReady); ready.Status != metav1.ConditionTrue {
		t.Errorf("Ready is %+v", ready)
	}
}

func TestEarliest(t *testing.T) {
	for _, tc := range []struct{ a, b, want time.Duration }{{0, 0, 0}, {0, 2, 2}, {1, 0, 1}, {1, 2, 1}, {2, 1, 1}} {
		if got := earliest(tc.a, tc.b); got != tc.want {
			t.Errorf("earliest(%d, %d) = %d", tc.a, tc.b, got)
		}
	}
}

// A conflict of the write that fills in spec.replicas may come from one whose event starts no pass.
func TestSeedReplicasComesBackAfterAConflict(t *testing.T) {
	gs := service()
	f := &faults{err: errConflict}
	w := newWorld(t, f.funcs(), gs)
	if result, err := w.seedReplicas(t.Context(), gs, 2); err != nil || result.RequeueAfter != conflictRetry {
		t.Errorf("after a conflict: %+v, %v", result, err)
	}
	f.err = errors.New("the API server is gone")
	if _, err := w.seedReplicas(t.Context(), gs, 2); !errors.Is(err, f.err) {
		t.Errorf("after a failure: %v", err)
	}
}

// TestAFlappingPreviewIsToldOfOnceInAWhile guards against a flood of events: that it is ready is told after each time that it was told not to be.
func TestAFlappingPreviewIsToldOfOnceInAWhile(t *testing.T) {
	t.Parallel()
	r, record := &Reconciler{}, &v1alpha1.RolloutStatus{Revision: "v2"}
	o := &observation{gs: &v1alpha1.GinService{}}
	for i, tc := range []struct {
		after  time.Duration
		reason string
		told   bool
	}{
		{0, rollout.PreviewReady, true},
		{time.Second, rollout.PreviewNotReady, true},
		{2 * time.Second, rollout.PreviewReady, true},
		{3 * time.Second, rollout.PreviewNotReady, false},
		{4 * time.Second, rollout.PreviewReady, false},
		{5 * time.Second, "ScalingUp", true},
		{time.Second + toldInterval, rollout.PreviewNotReady, true},
		{2*time.Second + toldInterval, rollout.PreviewReady, true},
	} {
		o.state.Now = start.Add(tc.after)
		if told := r.worthTelling(o, record, tc.reason); told != tc.told {
			t.Errorf("%d. %s after %s: told %t", i, tc.reason, tc.after, told)
		}
	}
}
