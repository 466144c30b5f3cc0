package rollout_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// full returns a colour whose pods are all as they should be.
func full(revision string, pods int32) rollout.Color {
	return rollout.Color{Revision: revision, Replicas: pods, Current: pods, Updated: pods, Available: pods, Settled: true}
}

// ago returns a time before the observation.
func ago(d time.Duration) *metav1.MicroTime { return &metav1.MicroTime{Time: epoch.Add(-d)} }

// moment returns what is seen a moment after v2, in green, has taken the traffic of three pods from v1, in blue.
func moment() rollout.Observed {
	return rollout.Observed{
		Now: epoch, Wanted: "v2", LastActive: v1alpha1.Green, LastRevision: "v2", Selected: v1alpha1.Green,
		Spec: &v1alpha1.GinServiceSpec{
			Replicas: new(int32(3)),
			Strategy: v1alpha1.Strategy{BlueGreen: v1alpha1.BlueGreen{Promotion: v1alpha1.PromotionManual}},
		},
		Colors:           map[v1alpha1.Color]rollout.Color{v1alpha1.Blue: full("v1", 3), v1alpha1.Green: full("v2", 3)},
		ActiveEndpoints:  map[v1alpha1.Color]int32{v1alpha1.Green: 3},
		PreviewEndpoints: map[v1alpha1.Color]int32{v1alpha1.Green: 3},
		Previewed:        rollout.Preview{Color: v1alpha1.Green, Revision: "v2"},
		Rollout: &v1alpha1.RolloutStatus{
			Revision: "v2", Step: v1alpha1.StepSwitching, Message: "moving", StartedAt: ago(time.Hour), ReadyAt: ago(time.Hour), ApprovedAt: ago(time.Minute),
		},
	}
}

// decision is what a plan is compared by.
type decision struct {
	Active        v1alpha1.Color
	Blue, Green   rollout.Target
	Step          v1alpha1.RolloutStep
	Rollback      bool
	LookAgain     time.Duration
	ToldOfFailure bool
}

func decide(o rollout.Observed) decision {
	plan := rollout.Compute(o)
	d := decision{
		Active: plan.Active, Blue: plan.Colors[v1alpha1.Blue], Green: plan.Colors[v1alpha1.Green],
		Step: plan.Rollout.Step, Rollback: plan.Rollout.Rollback, LookAgain: plan.After,
	}
	for _, tr := range plan.Transitions {
		d.ToldOfFailure = d.ToldOfFailure || tr.Warning
	}
	return d
}

type decisionCase struct {
	given func(o *rollout.Observed)
	want  decision
}

const green, blue = v1alpha1.Green, v1alpha1.Blue

var v1, v2, v3, none = rollout.Target{Revision: "v1", Replicas: 3}, rollout.Target{Revision: "v2", Replicas: 3},
	rollout.Target{Revision: "v3", Replicas: 3}, rollout.Target{Revision: "v1"}

// afterSwitch are decisions about the end of a rollout.
var afterSwitch = map[string]decisionCase{
	"the EndpointSlices show the new colour alone: the delay begins": {
		given: func(*rollout.Observed) {},
		want:  decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDraining, LookAgain: 30 * time.Second},
	},
	"some of the EndpointSlices still show the old colour: the delay doesn't begin": {
		given: func(o *rollout.Observed) { o.ActiveEndpoints[blue] = 1 },
		want:  decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepSwitching},
	},
	"the EndpointSlices show fewer pods than are available: the delay doesn't begin": {
		given: func(o *rollout.Observed) { o.ActiveEndpoints[green] = 2 },
		want:  decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepSwitching},
	},
	"the pod that answers is one of the version that is being replaced: nothing is promoted yet": {
		given: func(o *rollout.Observed) {
			o.Colors[green] = rollout.Color{Revision: "v2", Replicas: 3, Current: 3, Updated: 2, Available: 1, Settled: true}
			o.ActiveEndpoints[green] = 1
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDeploying, LookAgain: 9 * time.Minute},
	},
	"the numbers are those of an older template: nothing is promoted yet": {
		given: func(o *rollout.Observed) {
			o.Colors[green] = rollout.Color{Revision: "v2", Replicas: 3, Current: 3, Updated: 3, Available: 3}
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepSwitching},
	},
	"the delay has passed, but traffic still goes to the old colour: it keeps its pods": {
		given: func(o *rollout.Observed) {
			o.Rollout.Step, o.Rollout.SwitchedAt, o.ActiveEndpoints[blue] = v1alpha1.StepDraining, ago(time.Minute), 1
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDraining},
	},
	"the delay has passed, but the active Service is missing: the old colour keeps its pods": {
		given: func(o *rollout.Observed) {
			o.Rollout.Step, o.Rollout.SwitchedAt, o.Selected, o.ActiveEndpoints = v1alpha1.StepDraining, ago(time.Minute), "", nil
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDraining},
	},
	"the delay has passed to the second: the old colour lets go of its pods": {
		given: func(o *rollout.Observed) {
			o.Rollout.Step, o.Rollout.SwitchedAt = v1alpha1.StepDraining, ago(30*time.Second)
		},
		want: decision{Active: green, Blue: none, Green: v2, Step: v1alpha1.StepCompleted},
	},
}

// badTiming are decisions about what comes in between.
var badTiming = map[string]decisionCase{
	"a rollback in the middle of the switch is one to a warm colour": {
		given: func(o *rollout.Observed) { o.Wanted = "v1" },
		want: decision{
			Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepScalingUp, Rollback: true,
			LookAgain: 10 * time.Minute,
		},
	},
	"a colour whose pods are going away is not warm": {
		given: func(o *rollout.Observed) {
			o.Wanted = "v1"
			o.Colors[blue] = rollout.Color{Revision: "v1", Current: 3, Updated: 3, Available: 3}
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDeploying, LookAgain: 10 * time.Minute},
	},
	"a preview that stands beside a record of somebody else's promotion is not warm": {
		given: func(o *rollout.Observed) { o.Wanted, o.Rollout.ReadyAt = "v1", nil },
		want:  decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDeploying, LookAgain: 10 * time.Minute},
	},
	"the record is of another revision than the one that serves: nothing is known to be warm": {
		given: func(o *rollout.Observed) { o.Wanted, o.Rollout.Revision = "v1", "v9" },
		want:  decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDeploying, LookAgain: 10 * time.Minute},
	},
	"nothing that serves is healthy: a fix takes its place without the delay of a preview": {
		given: func(o *rollout.Observed) {
			o.Wanted, o.ActiveEndpoints = "v3", nil
			o.Spec.Strategy.BlueGreen = v1alpha1.BlueGreen{AutoPromotionSeconds: new(int32(3600))}
			o.Colors[green] = rollout.Color{Revision: "v2", Replicas: 3, Current: 3, Updated: 3, Settled: true}
			o.Rollout = &v1alpha1.RolloutStatus{
				Revision: "v3", Step: v1alpha1.StepWaitingForPromotion, Message: "ready", StartedAt: ago(time.Minute), ReadyAt: ago(time.Second),
			}
		},
		want: decision{Active: green, Blue: v1, Green: v3, Step: v1alpha1.StepDeploying, LookAgain: 10 * time.Minute},
	},
	"the old colour has the last healthy pods, whatever the EndpointSlices say: a fix doesn't take them": {
		given: func(o *rollout.Observed) {
			o.Wanted = "v3"
			o.Colors[green] = rollout.Color{Revision: "v2", Replicas: 3, Current: 3, Updated: 3, Settled: true}
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDeploying},
	},
	"the Deployment that serves is lost long after its promotion: it has its whole deadline": {
		given: func(o *rollout.Observed) {
			delete(o.Colors, green)
			o.Rollout.ApprovedAt = ago(time.Hour)
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDeploying, LookAgain: 10 * time.Minute},
	},
	"the Deployment that serves is lost, and the status tells of the other colour, which is healthy: traffic goes back to it": {
		given: func(o *rollout.Observed) {
			delete(o.Colors, green)
			o.Wanted, o.LastActive, o.LastRevision, o.ActiveEndpoints = "v3", blue, "v1", nil
		},
		want: decision{Active: blue, Blue: v1, Green: v3, Step: v1alpha1.StepDeploying, LookAgain: 10 * time.Minute},
	},
	"the Deployment that serves is lost, and the status tells of the other colour, which is not healthy: what is wanted takes its place": {
		given: func(o *rollout.Observed) {
			delete(o.Colors, green)
			o.Colors[blue] = rollout.Color{Revision: "v1", Replicas: 3, Current: 3, Updated: 3, Settled: true}
			o.Wanted, o.LastActive, o.LastRevision, o.ActiveEndpoints = "v3", blue, "v1", nil
		},
		want: decision{Active: green, Blue: v1, Green: v3, Step: v1alpha1.StepDeploying, LookAgain: 10 * time.Minute},
	},
	"the Deployment that serves is lost, and the other colour holds something newer than what the status tells of: that doesn't serve": {
		given: func(o *rollout.Observed) {
			delete(o.Colors, green)
			o.Wanted, o.LastActive, o.LastRevision, o.ActiveEndpoints = "v3", blue, "v0", nil
		},
		want: decision{Active: green, Blue: v1, Green: v3, Step: v1alpha1.StepDeploying, LookAgain: 10 * time.Minute},
	},
	"the selector is moved by hand to a colour that has never been: it is moved back": {
		given: func(o *rollout.Observed) {
			delete(o.Colors, green)
			o.Wanted, o.LastActive, o.LastRevision, o.ActiveEndpoints = "v1", blue, "v1", nil
			o.Rollout.Revision, o.Rollout.Step, o.Rollout.EndedAt = "v1", v1alpha1.StepCompleted, ago(time.Minute)
		},
		want: decision{Active: blue, Blue: v1, Step: v1alpha1.StepCompleted},
	},
	"the selector is moved by hand to a colour that is scaled down: it is moved back": {
		given: func(o *rollout.Observed) {
			o.Colors[blue] = full("v1", 0)
			o.Selected, o.ActiveEndpoints = blue, nil
			o.Rollout.Step, o.Rollout.EndedAt = v1alpha1.StepCompleted, ago(time.Minute)
		},
		want: decision{Active: green, Blue: none, Green: v2, Step: v1alpha1.StepCompleted},
	},
	"the selector is moved by hand to a preview that doesn't run: it is moved back": {
		given: func(o *rollout.Observed) {
			o.Colors[blue] = rollout.Color{Revision: "v3", Replicas: 3, Current: 3, Updated: 3, Settled: true}
			o.Wanted, o.Selected, o.ActiveEndpoints = "v3", blue, nil
			o.Previewed, o.PreviewEndpoints = rollout.Preview{Color: blue, Revision: "v3"}, nil
			o.Rollout.Revision, o.Rollout.Step, o.Rollout.Since, o.Rollout.ReadyAt, o.Rollout.ApprovedAt = "v3", v1alpha1.StepDeploying, ago(time.Minute), nil, nil
		},
		want: decision{Active: green, Blue: v3, Green: v2, Step: v1alpha1.StepDeploying, LookAgain: 9 * time.Minute},
	},
	"the selector is moved by hand to the warm colour: what was promoted is promoted once more": {
		given: func(o *rollout.Observed) {
			o.Selected, o.ActiveEndpoints = blue, map[v1alpha1.Color]int32{blue: 3}
			o.Rollout.Step, o.Rollout.SwitchedAt = v1alpha1.StepDraining, ago(time.Second)
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepSwitching},
	},
	"a rolling update that could not begin becomes a preview: it has no approval": {
		given: func(o *rollout.Observed) {
			o.Colors[blue] = full("v3", 3)
			o.Wanted, o.Previewed, o.PreviewEndpoints = "v3", rollout.Preview{Color: blue, Revision: "v3"}, map[v1alpha1.Color]int32{blue: 3}
			o.Rollout.Revision, o.Rollout.Step, o.Rollout.ReplacedRevision = "v3", v1alpha1.StepDeploying, "v2"
		},
		want: decision{Active: green, Blue: v3, Green: v2, Step: v1alpha1.StepWaitingForPromotion},
	},
	"the Deployment that serves and the Service are lost: what served comes back, and the preview doesn't serve": {
		given: func(o *rollout.Observed) {
			delete(o.Colors, green)
			o.Colors[blue] = full("v3", 3)
			o.Wanted, o.Selected, o.Rollout.Revision, o.Rollout.ApprovedAt = "v3", "", "v3", nil
			o.Rollout.Step = v1alpha1.StepWaitingForPromotion
		},
		want: decision{Active: green, Blue: v3, Green: v2, Step: v1alpha1.StepWaitingForPromotion},
	},
	"a Deployment can't be created for longer than the deadline: no timer is due": {
		given: func(o *rollout.Observed) {
			delete(o.Colors, green)
			o.Rollout.Step, o.Rollout.ApprovedAt = v1alpha1.StepDeploying, ago(time.Hour)
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDeploying},
	},
	"spec.replicas vanishes: what runs is kept": {
		given: func(o *rollout.Observed) {
			o.Spec.Replicas, o.Spec.Autoscaling = nil, &v1alpha1.Autoscaling{MinReplicas: new(int32(1))}
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDraining, LookAgain: 30 * time.Second},
	},
	"old pods stay beside new ones that don't run: they don't count for the preview": {
		given: func(o *rollout.Observed) {
			o.Colors[blue] = rollout.Color{Revision: "v3", Replicas: 3, Current: 6, Updated: 3, Available: 3, Settled: true}
			o.Wanted = "v3"
			o.Rollout = &v1alpha1.RolloutStatus{Revision: "v3", Step: v1alpha1.StepDeploying, Message: "0 of 3 pods ready", StartedAt: ago(10 * time.Minute)}
		},
		want: decision{Active: green, Blue: v3, Green: v2, Step: v1alpha1.StepFailed, ToldOfFailure: true, LookAgain: 30 * time.Second},
	},
	"a first rollout that was late is told once, and nothing looks again": {
		given: func(o *rollout.Observed) {
			delete(o.Colors, blue)
			o.Colors[green] = rollout.Color{Revision: "v2", Replicas: 3, Current: 3, Updated: 3, Settled: true}
			o.ActiveEndpoints, o.Rollout.Step, o.Rollout.ApprovedAt = nil, v1alpha1.StepDeploying, ago(10*time.Minute)
		},
		want: decision{Active: green, Green: v2, Step: v1alpha1.StepFailed, ToldOfFailure: true},
	},
}

// measured are decisions about what is measured. The delay has passed, and nothing else keeps the old colour.
var measured = map[string]decisionCase{
	"what serves is still measured: the old colour stays warm": {
		given: func(o *rollout.Observed) {
			onTrial(o)
			o.Verdict = rollout.Verdict{Outcome: rollout.Analyzing, Promoted: true, After: 5 * time.Second}
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDraining, LookAgain: 5 * time.Second},
	},
	"nobody has been asked yet about what serves: the old colour stays warm": {
		given: func(o *rollout.Observed) {
			onTrial(o)
			o.Verdict = rollout.Verdict{Outcome: rollout.Passed}
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDraining, LookAgain: time.Second},
	},
	"the switch has just been confirmed, and the delay is zero: the old colour stays warm": {
		given: func(o *rollout.Observed) {
			onTrial(o)
			o.Rollout.Step, o.Rollout.SwitchedAt = v1alpha1.StepSwitching, nil
			o.Spec.Strategy.BlueGreen.ScaleDownDelaySeconds = new(int32(0))
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepDraining, LookAgain: time.Second},
	},
	"what serves has passed: the old colour goes": {
		given: func(o *rollout.Observed) {
			onTrial(o)
			o.Verdict = rollout.Verdict{Outcome: rollout.Passed, Promoted: true}
		},
		want: decision{Active: green, Blue: none, Green: v2, Step: v1alpha1.StepCompleted},
	},
	"what serves has come back from the warm colour: it is on no trial": {
		given: func(o *rollout.Observed) {
			onTrial(o)
			o.Rollout.Rollback = true
		},
		want: decision{Active: green, Blue: none, Green: v2, Step: v1alpha1.StepCompleted, Rollback: true},
	},
	"the strategy has no second colour any more: nothing is on trial": {
		given: func(o *rollout.Observed) {
			onTrial(o)
			o.Spec.Strategy.Type = v1alpha1.StrategyRollingUpdate
		},
		want: decision{Active: green, Blue: none, Green: v2, Step: v1alpha1.StepCompleted},
	},
	"what serves has failed, and the old colour is warm: it is shown, to be switched to": {
		given: func(o *rollout.Observed) {
			onTrial(o)
			o.Verdict = rollout.Verdict{Outcome: rollout.Rejected, Promoted: true}
		},
		want: decision{Active: green, Blue: v1, Green: v2, Step: v1alpha1.StepAborted, ToldOfFailure: true},
	},
	"a preview is ready in the pass that records it: it waits for its analysis": {
		given: func(o *rollout.Observed) {
			o.Colors[blue] = full("v3", 3)
			o.Wanted, o.Previewed, o.PreviewEndpoints = "v3", rollout.Preview{Color: blue, Revision: "v3"}, map[v1alpha1.Color]int32{blue: 3}
			o.Spec.Strategy.BlueGreen.Promotion, o.Spec.Strategy.BlueGreen.Analysis = v1alpha1.PromotionAutomatic, &v1alpha1.Analysis{}
			o.Rollout = nil
		},
		want: decision{Active: green, Blue: v3, Green: v2, Step: v1alpha1.StepWaitingForPromotion, LookAgain: time.Second},
	},
}

func onTrial(o *rollout.Observed) {
	o.Spec.Strategy.BlueGreen.PostPromotionAnalysis = &v1alpha1.AnalysisRun{}
	o.Rollout.Step, o.Rollout.SwitchedAt = v1alpha1.StepDraining, ago(time.Minute)
}

// TestTheRecordSaysHowFarAnAnalysisHasCome also tells of one that ends, once.
func TestTheRecordSaysHowFarAnAnalysisHasCome(t *testing.T) {
	t.Parallel()
	o := moment()
	onTrial(&o)
	o.Verdict = rollout.Verdict{Outcome: rollout.Analyzing, Promoted: true, PostPromotionAnalysis: &v1alpha1.AnalysisStatus{Outcome: v1alpha1.AnalysisRunning}}
	plan := rollout.Compute(o)
	if diff := cmp.Diff(o.Verdict.PostPromotionAnalysis, plan.Rollout.PostPromotionAnalysis); diff != "" || len(plan.Transitions) > 0 {
		t.Errorf("%s\n%+v", diff, plan.Transitions)
	}
	o.Rollout = plan.Rollout
	o.Verdict.PostPromotionAnalysis = &v1alpha1.AnalysisStatus{Outcome: v1alpha1.AnalysisInconclusive, Message: "no data"}
	plan = rollout.Compute(o)
	want := []rollout.Transition{{Warning: true, Reason: "AnalysisInconclusive", Message: "revision v2: no data"}}
	if diff := cmp.Diff(want, plan.Transitions); diff != "" {
		t.Error(diff)
	}
	o.Rollout = plan.Rollout
	if plan = rollout.Compute(o); len(plan.Transitions) > 0 {
		t.Errorf("told twice: %+v", plan.Transitions)
	}
}

// TestAnOutageEndsAnAnalysis also says in the record that it did.
func TestAnOutageEndsAnAnalysis(t *testing.T) {
	t.Parallel()
	o := moment()
	o.Colors[green] = rollout.Color{Revision: "v2", Replicas: 3, Current: 3, Updated: 3, Settled: true}
	o.Colors[blue], o.ActiveEndpoints = full("v3", 3), nil
	o.Wanted, o.Previewed, o.PreviewEndpoints = "v3", rollout.Preview{Color: blue, Revision: "v3"}, map[v1alpha1.Color]int32{blue: 3}
	o.Spec.Strategy.BlueGreen.Promotion, o.Spec.Strategy.BlueGreen.Analysis = v1alpha1.PromotionAutomatic, &v1alpha1.Analysis{}
	o.Verdict = rollout.Verdict{Outcome: rollout.Analyzing, Message: "waits for data"}
	o.Rollout = &v1alpha1.RolloutStatus{
		Revision: "v3", Step: v1alpha1.StepWaitingForPromotion, Message: "waits", StartedAt: ago(time.Hour), ReadyAt: ago(time.Minute), DownAt: ago(29 * time.Second),
		Analysis: &v1alpha1.AnalysisStatus{Outcome: v1alpha1.AnalysisRunning, Message: "waits for data"},
	}
	plan := rollout.Compute(o)
	if plan.Active != green || plan.After != time.Second || plan.Rollout.Analysis.Outcome != v1alpha1.AnalysisRunning || len(plan.Transitions) > 0 {
		t.Errorf("before its time: %+v\n%+v", plan, plan.Rollout)
	}
	o.Rollout.DownAt = ago(30 * time.Second)
	plan = rollout.Compute(o)
	want := &v1alpha1.AnalysisStatus{Outcome: v1alpha1.AnalysisInconclusive, Message: "given up, because no pod of green is ready and nobody can be reached"}
	if diff := cmp.Diff(want, plan.Rollout.Analysis); diff != "" || plan.Active != blue || plan.Rollout.DownAt != nil {
		t.Errorf("%+v\n%+v\n%s", plan, plan.Rollout, diff)
	}
	if len(plan.Transitions) == 0 || plan.Transitions[0].Reason != "AnalysisInconclusive" || !plan.Transitions[0].Warning {
		t.Errorf("told of %+v", plan.Transitions)
	}
	o.Verdict.Outcome, o.Rollout.Analysis = rollout.Rejected, nil
	if plan = rollout.Compute(o); plan.Active != green || plan.Rollout.Step != v1alpha1.StepAborted {
		t.Errorf("what has failed serves: %+v\n%+v", plan, plan.Rollout)
	}
}

// TestDecisions compares single decisions that no story comes by, because they need bad timing.
func TestDecisions(t *testing.T) {
	t.Parallel()
	all := maps.Clone(afterSwitch)
	maps.Copy(all, badTiming)
	maps.Copy(all, measured)
	for name, tc := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := moment()
			tc.given(&o)
			for _, problem := range problemsOf(o, rollout.Compute(o)) {
				t.Error(problem)
			}
			if diff := cmp.Diff(tc.want, decide(o)); diff != "" {
				t.Errorf("another decision than expected (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheMessageCountsNewPodsAlone(t *testing.T) {
	t.Parallel()
	o := moment()
	badTiming["old pods stay beside new ones that don't run: they don't count for the preview"].given(&o)
	if got := rollout.Compute(o).Rollout.Message; !strings.HasPrefix(got, "0 of 3 pods of blue") {
		t.Error(got)
	}
}
