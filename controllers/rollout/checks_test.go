package rollout_test

import (
	"maps"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// checkPlan checks what must be true of every plan, whatever was observed.
func (w *world) checkPlan(o rollout.Observed, plan rollout.Plan) {
	w.t.Helper()
	for _, problem := range problemsOf(o, plan) {
		w.fail("%s\nplan: %+v", problem, plan)
	}
}

// problemsOf returns the invariants that a plan breaks.
func problemsOf(o rollout.Observed, plan rollout.Plan) (problems []string) {
	expect := func(true_ bool, problem string) {
		if !true_ {
			problems = append(problems, problem)
		}
	}
	expect(plan.Active.Valid(), "the active Service selects no colour")
	expect(plan.Preview.Color.Valid() && plan.Preview.Revision != "", "the preview Service selects no revision of a colour")
	expect(plan.After >= 0, "the next look is in the past")
	expect(plan.Rollout != nil && plan.Rollout.Revision != "" && plan.Rollout.Message != "", "the record doesn't say what is going on")
	expect(len(plan.Transitions) == 0 || !same(o.Rollout, plan.Rollout), "something is told, and the record would let it be told again")
	if o.Spec.Replicas != nil {
		expect(plan.Serving == *o.Spec.Replicas, "/scale answers another number than the spec")
	} else if len(o.Colors) == 0 && o.LastRevision == "" {
		expect(plan.Serving > 0, "a service begins at a zero that no autoscaler leaves")
	}
	for color, target := range plan.Colors {
		expect(target.Revision != "" && target.Replicas >= 0, "no revision for "+string(color))
	}
	expect(!heldBack(o, plan), "nobody can be reached, and a preview that could serve is held back")
	switch {
	case plan.Astray:
		checkReturn(expect, o, plan)
		return problems
	case plan.Switches(o):
		checkSwitch(expect, o, plan)
	}
	if live, exists := o.Colors[o.Selected]; exists {
		checkServing(expect, o, plan, live)
		checkOther(expect, o, plan, live)
	}
	return problems
}

// checkReturn checks that traffic is taken back only from where it leads nowhere, and only to what served.
func checkReturn(expect func(bool, string), o rollout.Observed, plan rollout.Plan) {
	selected, next := o.Colors[o.Selected], o.Colors[plan.Active]
	expect((selected.Available == 0 || selected.Current == 0) && o.ActiveEndpoints[o.Selected] == 0 && plan.Serving > 0, "traffic is taken from a colour that can serve")
	expect(plan.Active == o.LastActive && next.Revision == o.LastRevision && next.Available > 0, "traffic goes back to a colour that has not served, or can't")
}

// checkSwitch checks where traffic moves to.
func checkSwitch(expect func(bool, string), o rollout.Observed, plan rollout.Plan) {
	to := plan.Active
	if to == o.Selected {
		to = to.Other()
	}
	selected, next := o.Colors[o.Selected], o.Colors[to]
	goesBack := plan.Rollout.Step == v1alpha1.StepAborted && selected.Revision == o.Wanted
	expect((next.Revision == o.Wanted || goesBack) && next.Settled && next.Updated == next.Current,
		"traffic moves to a colour that still has pods of another revision")
	expect(next.Available >= plan.Serving && o.PreviewEndpoints[to] >= plan.Serving && o.Previewed.Revision == next.Revision,
		"traffic moves to a colour that is not shown ready with as many pods as serve")
	expect(plan.Colors[to].Replicas == plan.Serving || plan.Serving == 0, "the colour that traffic moves to gets another number of pods than serve")
}

// checkServing checks what becomes of the colour that the active Service selects.
func checkServing(expect func(bool, string), o rollout.Observed, plan rollout.Plan, live rollout.Color) {
	target := plan.Colors[o.Selected]
	rolls := o.Spec.Strategy.Type == v1alpha1.StrategyRollingUpdate || plan.Rollout.ReplacedRevision != "" ||
		o.Rollout != nil && o.Rollout.ReplacedRevision == target.Revision // such an update gives way
	expect(target.Revision == live.Revision || rolls || live.Available == 0 && o.ActiveEndpoints[o.Selected] == 0,
		"the colour that serves gets another template while it has a healthy pod")
	switch {
	case target.Replicas == plan.Serving:
	case o.Spec.Autoscaling == nil && target.Replicas == live.Replicas:
	case o.Rollout != nil && o.Rollout.HeldReplicas != nil && target.Replicas == *o.Rollout.HeldReplicas && o.Spec.Autoscaling == nil:
	default:
		expect(false, "the colour that serves gets a number of pods that nobody asked for")
	}
}

// checkOther checks what becomes of the colour that the active Service does not select.
func checkOther(expect func(bool, string), o rollout.Observed, plan rollout.Plan, serving rollout.Color) {
	other := o.Selected.Other()
	live, exists := o.Colors[other]
	if !exists || plan.Active == other {
		return
	}
	target := plan.Colors[other]
	kept := target.Revision == live.Revision && target.Replicas >= min(live.Replicas, plan.Serving)
	lastHealthy := plan.Serving > 0 && serving.Available == 0 && live.Available > 0
	expect(kept || !lastHealthy, "the other colour loses pods though it has the last healthy ones")
	expect(kept || o.ActiveEndpoints[other] == 0, "the other colour loses pods though the EndpointSlices still send it traffic")
	expect(kept || !o.Both, "the other colour loses pods though the active Service selects it")
	expect(!waysBack(o, plan, live) || target.Revision == live.Revision && target.Replicas >= max(live.Replicas, plan.Serving),
		"what serves is measured, and there are fewer pods to go back to than serve")
	expect(plan.Both || !o.Both || serving.Available > 0 || live.Available == 0, "the active Service is left with a colour that has no ready pods")
}

// heldBack reports whether a preview that needs nobody's approval waits for time to pass or for its analysis, though nobody can be reached: not since
// a moment ago, or just when the preview has become ready.
func heldBack(o rollout.Observed, plan rollout.Plan) bool {
	before, record := o.Rollout, plan.Rollout
	serving, preview := o.Colors[o.Selected], o.Colors[o.Selected.Other()]
	if plan.Serving == 0 || serving.Available > 0 || o.ActiveEndpoints[o.Selected] > 0 || o.Spec.Strategy.BlueGreen.Promotion == v1alpha1.PromotionManual && o.Approved != o.Wanted {
		return false
	}
	known := before != nil && same(before.StartedAt, record.StartedAt)
	lasts := known && before.DownAt != nil && !o.Now.Before(before.DownAt.Add(30*time.Second))
	ready := preview.Uniform() && preview.Revision == o.Wanted && preview.Available >= plan.Serving &&
		o.Previewed == rollout.Preview{Color: o.Selected.Other(), Revision: o.Wanted} && o.PreviewEndpoints[o.Selected.Other()] >= plan.Serving
	return ready && (lasts || known && before.ReadyAt == nil) && record.Step == v1alpha1.StepWaitingForPromotion && record.ReadyAt != nil
}

// waysBack reports whether traffic goes back to the other colour if what serves measures badly.
func waysBack(o rollout.Observed, plan rollout.Plan, other rollout.Color) bool {
	record := plan.Rollout
	measured := o.Spec.Strategy.BlueGreen.PostPromotionAnalysis != nil && o.Spec.Strategy.Type != v1alpha1.StrategyRollingUpdate &&
		o.Verdict.Promoted && o.Verdict.Outcome == rollout.Analyzing && o.Rollout != nil && same(o.Rollout.StartedAt, record.StartedAt)
	hasServed := record.ReadyAt != nil || record.WarmRevision != "" && record.WarmRevision == other.Revision
	return measured && hasServed && !record.Rollback && record.Step == v1alpha1.StepDraining && other.Replicas > 0
}

// checkWorld checks what must be true of the world at every moment.
func (w *world) checkWorld() {
	w.t.Helper()
	if w.active == nil {
		return
	}
	if !w.active.selects.Color.Valid() {
		w.fail("the active Service selects no colour")
	}
	w.checkGate()
	switch reachable := w.reachable(); {
	case w.scaledToZero():
		w.excused = true
	case reachable > 0 && w.allSeen():
		w.excused = false
	case reachable == 0 && w.served != "" && !w.excused:
		w.fail("nobody can be reached any more, and it is nobody's fault but the operator's")
	}
}

func (w *world) scaledToZero() bool {
	serving := w.deployments[w.active.selects.Color]
	return w.spec.Replicas != nil && *w.spec.Replicas == 0 || serving != nil && serving.want.Replicas == 0
}

// checkGate checks that no revision serves that was not approved, if it takes an approval.
func (w *world) checkGate() {
	w.t.Helper()
	d := w.deployments[w.active.selects.Color]
	if d == nil {
		return
	}
	serves := d.want.Revision
	first := w.served == ""
	if serves != w.served && !first && !d.served && !w.unknown &&
		w.blueGreen().Promotion == v1alpha1.PromotionManual && !w.approvals[serves] && !resources.SameWorkload(serves, w.served) {
		w.fail("revision %s takes traffic and was not approved", serves)
	}
	if !d.served && first {
		w.excused = true // nothing was available before
	}
	d.served = d.want.Replicas > 0
	w.served = serves
}

// allSeen reports whether all that is reported of pods is true, and no pods that serve are being replaced.
func (w *world) allSeen() bool {
	c := w.clone()
	if slices.ContainsFunc(colors, c.report) {
		return false
	}
	serving := w.deployments[w.active.selects.Color]
	rolling := serving != nil && slices.ContainsFunc(serving.pods, func(p *pod) bool { return p.revision != serving.want.Revision })
	return !rolling && !c.syncSlices(c.active) && !c.syncSlices(c.preview)
}

// clone returns a copy of what report and syncSlices change.
func (w *world) clone() *world {
	c := &world{deployments: map[v1alpha1.Color]*deployment{}}
	for color, d := range w.deployments {
		c.deployments[color] = new(*d)
	}
	if w.active != nil {
		c.active = new(*w.active)
	}
	if w.preview != nil {
		c.preview = new(*w.preview)
	}
	return c
}

// waitsForNothing reports whether the next step may follow a plan at once. A service that is scaled to zero waits for no pods, and a Service
// that is turned back before the endpoint controller has seen it waits for no EndpointSlices; nor does one that was lost, or led nowhere, or
// a Deployment that is there again, or an analysis that has made up its mind.
func (w *world) waitsForNothing(before rollout.Observed, plan rollout.Plan) bool {
	_, exists := before.Colors[plan.Active]
	began := before.Rollout == nil || before.Rollout.Revision != w.wanted || !same(before.Rollout.StartedAt, plan.Rollout.StartedAt)
	return !exists || began && w.decided() || plan.Serving == 0 || !before.Selected.Valid() || plan.Astray || before.Previewed != plan.Preview && w.preview.sliceOf.Preview == plan.Preview ||
		(before.Selected != plan.Active || before.Both != plan.Both) && w.active.sliceOf == w.active.selects ||
		before.Both && !plan.Both && before.ActiveEndpoints[plan.Active.Other()] == 0 ||
		plan.Both && !before.Both && before.ActiveEndpoints[plan.Active.Other()] > 0
}

// decided reports whether an analysis says at once of a new record what that waits for.
func (w *world) decided() bool {
	verdict := w.verdicts[w.wanted]
	return verdict == rollout.Rejected || verdict == rollout.Passed && w.blueGreen().Analysis != nil
}

// checkIdempotence checks that the plan, which was executed, is planned again if nothing else has changed. The message may tell of
// what was done.
func (w *world) checkIdempotence(before rollout.Observed, plan rollout.Plan) {
	w.t.Helper()
	if w.waitsForNothing(before, plan) || w.observe().Verdict.Outcome != before.Verdict.Outcome { // an analysis of what serves begins with the approval
		return
	}
	again := rollout.Compute(w.observe())
	if len(again.Transitions) > 0 {
		w.fail("the plan was executed, and another one tells of %+v", again.Transitions)
	}
	plan.Transitions, plan.After, again.Transitions, again.After = nil, 0, nil, 0
	if plan.Rollout.Step == again.Rollout.Step {
		plan.Rollout, again.Rollout = plan.Rollout.DeepCopy(), again.Rollout.DeepCopy()
		plan.Rollout.Message, again.Rollout.Message = "", ""
	}
	if !same(plan, again) {
		w.fail("the plan was executed, and nothing else has changed, and the next plan differs:\n%s", cmp.Diff(plan, again))
	}
}

// checkEnd checks the end of a story, when nothing moves any more and no timer runs.
func (w *world) checkEnd() {
	w.t.Helper()
	w.checkWorld()
	serving, idle := w.deployments[w.active.selects.Color], w.deployments[w.active.selects.Color.Other()]
	if serving == nil {
		w.fail("the colour that serves has no Deployment in the end")
	}
	record, count := w.status.rollout, *w.spec.Replicas
	broken := count > 0 && w.count(serving, func(p *pod) bool { return p.ready }) == 0
	warm := idle != nil && idle.want.Replicas > 0
	if w.mustHeal && broken && w.count(idle, func(p *pod) bool { return p.ready }) > 0 {
		w.fail("traffic stays where somebody has moved it, though nothing can serve there")
	}
	if w.waitsForApproval() {
		w.checkOutage(broken)
		return
	}
	w.checkLastStep(serving.want.Revision, broken && warm)
	if serving.want.Replicas != count && (record.HeldReplicas == nil || serving.want.Replicas != *record.HeldReplicas) {
		w.fail("the colour that serves has %d pods in the end, and %d are wanted", serving.want.Replicas, count)
	}
	if record.Step == v1alpha1.StepAborted && serving.want.Revision == record.Revision && warm {
		if !w.faulty[idle.want.Revision] {
			w.fail("traffic never goes back to what is warm")
		}
		return
	}
	w.checkLeftovers(serving, warm && !broken)
}

// checkOutage checks that a preview that nobody has to approve any more is not measured for ever while nobody can be reached.
func (w *world) checkOutage(broken bool) {
	w.t.Helper()
	record := w.status.rollout
	atGate := w.blueGreen().Promotion == v1alpha1.PromotionManual && w.approved != w.wanted && !w.observe().Restart
	if broken && !atGate && record.Step == v1alpha1.StepWaitingForPromotion && record.ReadyAt != nil && !w.faulty[w.wanted] {
		w.fail("a preview is measured for ever, and nobody can be reached")
	}
}

// checkLeftovers checks that nothing is left of a preview.
func (w *world) checkLeftovers(serving *deployment, warm bool) {
	w.t.Helper()
	fresh := w.count(serving, func(p *pod) bool { return p.ready && p.revision == serving.want.Revision })
	if warm && fresh > 0 { // else the other colour may be needed yet
		w.fail("both colours have pods in the end")
	}
	if w.active.selects.both && (fresh > 0 || *w.spec.Replicas == 0) {
		w.fail("both colours serve in the end")
	}
	if w.preview.selects.Preview != (rollout.Preview{Color: w.active.selects.Color, Revision: serving.want.Revision}) {
		w.fail("the preview Service is left at %+v", w.preview.selects)
	}
}

// waitsForApproval reports whether somebody has to decide before anything can go on. No deadline runs then, also for a preview that has
// broken since it was ready.
func (w *world) waitsForApproval() bool {
	w.t.Helper()
	atGate := w.blueGreen().Promotion == v1alpha1.PromotionManual && w.approved != w.wanted && !w.observe().Restart
	record := w.status.rollout
	switch {
	case w.verdicts[w.wanted] == rollout.Analyzing && record.Step == v1alpha1.StepDraining:
		return w.blueGreen().PostPromotionAnalysis != nil
	case w.verdicts[w.wanted] == rollout.Analyzing:
		return record.Step == v1alpha1.StepWaitingForPromotion || record.Step == v1alpha1.StepDeploying && record.ReadyAt != nil && w.faulty[w.wanted]
	case record.Step != v1alpha1.StepWaitingForPromotion:
		return atGate && record.Step == v1alpha1.StepDeploying && record.ReadyAt != nil && w.faulty[w.wanted]
	case !atGate:
		w.fail("the rollout waits for an approval that it has")
	}
	return true
}

// checkLastStep checks that a rollout has come to an end. Only where the other colour has the last healthy pods may it stay open.
func (w *world) checkLastStep(serves string, lastHealthy bool) {
	w.t.Helper()
	switch record := w.status.rollout; record.Step {
	case v1alpha1.StepCompleted, v1alpha1.StepCancelled:
		if serves != w.wanted {
			w.fail("the rollout is %s, but %s serves instead of %s", record.Step, serves, w.wanted)
		}
	case v1alpha1.StepAborted:
		if record.Revision != w.wanted || record.Revision != w.aborted && w.blueGreen().PreviewTTLSeconds == nil && !w.mayAbort {
			w.fail("the rollout was aborted for no reason")
		}
	case v1alpha1.StepFailed:
		if record.Revision != w.wanted || !w.faulty[w.wanted] && !w.mayFail {
			w.fail("the rollout failed for no reason")
		}
	default:
		if !lastHealthy {
			w.fail("the rollout never ends: it is %s", record.Step)
		}
	}
}

// end is what is left of a story, whoever looks at it.
type end struct {
	Colors  map[v1alpha1.Color]rollout.Target
	Active  v1alpha1.Color
	Preview rollout.Preview
	Record  string
}

func (w *world) end() end {
	e := end{Colors: map[v1alpha1.Color]rollout.Target{}, Active: w.active.selects.Color, Preview: w.preview.selects.Preview}
	for color, d := range maps.All(w.deployments) {
		e.Colors[color] = d.want
	}
	if r := w.status.rollout; r != nil {
		e.Record = r.Revision + " " + string(r.Step)
	}
	return e
}
