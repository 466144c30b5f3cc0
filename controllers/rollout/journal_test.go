package rollout_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// journal is what a world remembers for its checks and for its reader.
type journal struct {
	lines []string

	served    string          // the revision that the active Service selected last
	approvals map[string]bool // revisions that the operator saw approved, while they were wanted
	excused   bool            // there is a reason why nothing can be reached
	unknown   bool            // both places that tell which colour serves were lost at once
	rolled    bool            // a Deployment replaces pods that serve, and the EndpointSlices have not shown the last of them
	mustHeal  bool            // somebody has moved traffic away from healthy pods to where none are
	mayFail   bool            // some revision had a reason to fail
	mayAbort  bool            // somebody has aborted something
	starts    int             // rollouts that were told of
	told      map[string]int  // transitions, by rollout and reason

	silent           bool // nobody reads the lines
	changes, mishaps int  // how many of them a way through the model has left

	passes, writesDone        int
	crashBefore, forgetBefore int // the write before which the operator dies; the pass before which the status is lost
	quiet                     bool
}

func (w *world) log(who, format string, args ...any) {
	if w.silent {
		return
	}
	clock := w.now.Sub(epoch).Truncate(time.Second)
	w.lines = append(w.lines, fmt.Sprintf("%02d:%02d  %-9s  %s", int(clock.Minutes()), int(clock.Seconds())%60, who, fmt.Sprintf(format, args...)))
}

// fail ends the test, with the whole story up to here.
func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nobserved: %+v\nrecord: %+v\nthe story so far:\n%s", fmt.Sprintf(format, args...), w.observe(), w.status.rollout, strings.Join(w.lines, "\n"))
}

// pass is one pass of the operator. A world that is told to crashes it before one of its writes, and starts it again.
func (w *world) pass() rollout.Plan {
	w.t.Helper()
	if w.passes == w.forgetBefore {
		w.loseStatus()
	}
	w.passes++
	o := w.observe()
	if w.suspended() {
		return w.hold(o)
	}
	plan := w.plan(o)
	writes := w.writes(plan)
	if w.quiet && len(writes) > 0 {
		w.fail("nothing has changed since the last pass, which had only its status to write, and yet this one writes: %s", writes[0].what)
	}
	for i, next := range writes {
		if w.writesDone == w.crashBefore {
			w.crashBefore = -1
			w.log("operator", "dies")
			return w.pass()
		}
		w.do(i == 0, next)
	}
	for _, tr := range plan.Transitions {
		w.log("", "tells %s: %s", tr.Reason, tr.Message)
	}
	w.forgetApprovals()
	w.checkIdempotence(o, plan)
	w.quiet = len(writes) == 0 || len(writes) == 1 && strings.HasPrefix(writes[0].what, "status")
	w.quiet = w.quiet && w.observe().Verdict == o.Verdict // an analysis that waits for the record is news
	return plan
}

// plan returns what the operator plans, which is checked.
func (w *world) plan(o rollout.Observed) rollout.Plan {
	w.t.Helper()
	w.noteApproval(o)
	plan := rollout.Compute(o)
	w.checkPlan(o, plan)
	return plan
}

func (w *world) suspended() bool { return w.spec.Suspend != nil && *w.spec.Suspend }

// hold is a pass of an operator that may write nothing but status.
func (w *world) hold(o rollout.Observed) rollout.Plan {
	w.t.Helper()
	plan := rollout.Hold(o)
	w.writeStatus("operator", plan)
	return plan
}

// refuse is a pass in which the API server refuses one of the writes. What does not build on it is written all the same.
func (w *world) refuse(which int) {
	w.t.Helper()
	o := w.observe()
	plan := w.plan(o)
	failed := false
	for i, next := range w.writes(plan) {
		moves := strings.HasPrefix(next.what, "THE ACTIVE SERVICE")
		switch {
		case strings.HasPrefix(next.what, "status"):
		case i == which:
			w.log("operator", "is refused: %s", next.what)
			failed = failed || !moves || plan.Switches(o)
		case moves && failed && plan.Switches(o) && !plan.Astray:
		default:
			w.do(i == 0, next)
		}
	}
	if failed && plan.Switches(o) {
		plan = stays(o, plan)
	}
	w.writeStatus("", plan)
	w.quiet = false
}

// stays is a plan whose traffic could not be moved.
func stays(o rollout.Observed, plan rollout.Plan) rollout.Plan {
	if !plan.Astray {
		plan.Active, plan.Both = o.Selected, o.Both
	}
	plan.Rollout, plan.Transitions = o.Rollout, nil
	return plan
}

// writeStatus writes what a plan has for status, and nothing else of it.
func (w *world) writeStatus(who string, plan rollout.Plan) {
	w.t.Helper()
	writes := w.writes(plan)
	if len(writes) == 0 {
		return
	}
	if last := writes[len(writes)-1]; strings.HasPrefix(last.what, "status") {
		w.do(who != "", last)
	}
}

// interrupt is a pass of an operator that dies after a number of writes.
func (w *world) interrupt(after int) {
	w.t.Helper()
	o := w.observe()
	plan := w.plan(o)
	for i, next := range w.writes(plan) {
		if i == after {
			w.log("operator", "dies")
			return
		}
		w.do(i == 0, next)
	}
}

func (w *world) do(first bool, next write) {
	w.t.Helper()
	who := ""
	if first {
		who = "operator"
	}
	w.log(who, "%s", next.what)
	next.do()
	w.writesDone++
	w.quiet = false
	w.checkWorld()
}

func (w *world) noteApproval(o rollout.Observed) {
	if o.Approved == o.Wanted {
		w.approvals[o.Wanted] = true
	}
}

// forgetApprovals ends those of revisions that are wanted no longer, as soon as the operator has written that down.
func (w *world) forgetApprovals() {
	maps.DeleteFunc(w.approvals, func(revision string, _ bool) bool { return revision != w.wanted })
}

// hear checks that whatever a user should hear of is told once, and that nothing is told that didn't happen.
func (w *world) hear(before status, transitions []rollout.Transition) {
	w.t.Helper()
	for _, tr := range transitions {
		if tr.Reason == "RolloutStarted" {
			w.starts++
		}
		about := fmt.Sprintf("rollout %d %s", w.starts, tr.Reason)
		// The end of one rollout is told with the start of the next one only if they are told of in this order.
		again := strings.HasPrefix(tr.Reason, "Overlap") || tr.Reason == "ScalingUp" || // once lost pods are back, it begins anew
			strings.HasPrefix(tr.Reason, "Preview") || tr.Reason == "WaitingForPromotion"
		if w.told[about]++; w.told[about] > 1 && !again {
			w.fail("%s was told %d times", about, w.told[about])
		}
	}
	w.checkTold(before.rollout, w.status.rollout, func(reason string) bool {
		return slices.ContainsFunc(transitions, func(tr rollout.Transition) bool { return tr.Reason == reason })
	})
}

// checkTold checks that a transition of the record was told.
func (w *world) checkTold(was, is *v1alpha1.RolloutStatus, told func(reason string) bool) {
	w.t.Helper()
	if is == nil || was != nil && is.Step == was.Step && same(was.StartedAt, is.StartedAt) {
		return
	}
	if was != nil && gaveWay(was, is) && !told("RolloutCancelled") {
		w.fail("revision %s gave way to %s, and nobody was told", was.Revision, is.Revision)
	}
	if want := toTell(was, is); len(want) > 0 && !slices.ContainsFunc(want, told) {
		w.fail("the rollout is %s now, and nobody was told %s", is.Step, strings.Join(want, " or "))
	}
}

// gaveWay reports whether a rollout ended for a newer one, before it came to anything.
func gaveWay(was, is *v1alpha1.RolloutStatus) bool {
	preview := was.Step == v1alpha1.StepWaitingForPromotion || was.Step == v1alpha1.StepScalingUp || was.Step == v1alpha1.StepOverlapping
	return !same(was.StartedAt, is.StartedAt) && was.Revision != is.Revision && preview && was.WarmRevision == ""
}

// toldAs are the reasons of which one tells of a step.
var toldAs = map[v1alpha1.RolloutStep][]string{
	v1alpha1.StepDraining:            {"Promoted"},
	v1alpha1.StepCompleted:           {"RolloutCompleted"},
	v1alpha1.StepFailed:              {"RolloutFailed"},
	v1alpha1.StepAborted:             {"RolloutAborted"},
	v1alpha1.StepWaitingForPromotion: {"PreviewReady", "WaitingForPromotion"},
	v1alpha1.StepScalingUp:           {"ScalingUp"},
	v1alpha1.StepSwitching:           {"Switching"},
}

// toTell returns of what one is to be told when a record changes its step.
func toTell(was, is *v1alpha1.RolloutStatus) []string {
	if was == nil || !same(was.StartedAt, is.StartedAt) {
		return toldAs[is.Step]
	}
	switch {
	case is.Step == v1alpha1.StepCancelled && !rollout.Stopped(was.Step):
		return []string{"RolloutCancelled"}
	case is.Step == v1alpha1.StepDeploying && was.Step == v1alpha1.StepWaitingForPromotion && was.ReadyAt != nil && is.ReadyAt != nil && is.ApprovedAt == nil:
		return []string{"PreviewNotReady"}
	case is.Step == v1alpha1.StepScalingUp && was.Step == v1alpha1.StepOverlapping:
		return []string{"ScalingUp", "OverlapStopped"}
	case is.Step == v1alpha1.StepSwitching && was.Step == v1alpha1.StepDeploying && was.ApprovedAt != nil:
		return nil // it was told before pods broke
	default:
		return toldAs[is.Step]
	}
}

// same compares what was computed from one observation; cmp would take most of the time of all walks.
func same(a, b any) bool { return reflect.DeepEqual(a, b) }
