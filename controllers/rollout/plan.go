package rollout

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// Plan is what to do next. Executing it twice does no more than executing it once.
type Plan struct {
	// Active is the colour that the active Service is to select, or the one that counts as serving where it is to select both.
	Active v1alpha1.Color
	// Both says whether it is to select both colours.
	Both bool
	// Astray says that the active Service leads nowhere. It goes back to what served last then, whatever else can't be written.
	Astray bool
	// Preview is what the preview Service is to select.
	Preview Preview
	// Colors are the Deployments to have. A colour that is not in it is left as it is.
	Colors map[v1alpha1.Color]Target
	// Serving is the number of pods wanted of the colour that serves: what /scale is to answer.
	Serving int32
	// Rollout is the new record for status.
	Rollout *v1alpha1.RolloutStatus
	// Transitions are what a user should hear of, oldest first.
	Transitions []Transition
	// After is when to look again at the latest, or 0 where only an event can change anything.
	After time.Duration
}

// Target is what a colour's Deployment is to be.
type Target struct {
	// Revision is the revision to run.
	Revision string
	// Replicas is the number of pods.
	Replicas int32
}

// Reasons of transitions that come in pairs, and may alternate for as long as a pod crashes now and then.
const (
	// PreviewReady says that the preview is ready to be looked at.
	PreviewReady = "PreviewReady"
	// PreviewNotReady says that the preview has no ready pod any more.
	PreviewNotReady = "PreviewNotReady"
)

// Transition is a step that a user cares about.
type Transition struct {
	// Warning says whether it is bad news.
	Warning bool
	// Reason is a word in CamelCase.
	Reason string
	// Message is a sentence.
	Message string
}

// Switches reports whether the plan sends traffic to a colour that did not get any, or takes it from the one that counts as serving.
func (p Plan) Switches(o Observed) bool {
	return o.Selected.Valid() && (o.Selected != p.Active || p.Both && !o.Both)
}

// planner is the state of one Compute.
type planner struct {
	Observed

	plan    Plan
	current v1alpha1.Color // the colour that serves now
	idle    v1alpha1.Color // the other one
	count   int32          // the number of pods that serve
	missing bool           // the Deployment that serves is lost: it comes back as it was
	serves  string         // the revision that the colour which serves is to hold while another one comes up beside it
	asks    bool           // an analysis has to be asked about what this plan records
}

// Compute plans what to do about what was observed.
func Compute(o Observed) Plan {
	there := len(o.Colors)
	o = o.restored()
	current := o.Active()
	p := &planner{
		Observed: o, current: current, idle: current.Other(), count: o.serving(current), missing: len(o.Colors) > there,
		serves: o.Colors[current].Revision,
	}
	p.plan = Plan{Active: current, Astray: o.astray(), Serving: p.count, Colors: map[v1alpha1.Color]Target{}, Rollout: o.Rollout.DeepCopy()}
	for color, live := range o.Colors {
		p.plan.Colors[color] = Target{Revision: live.Revision, Replicas: live.Replicas}
	}
	if record := p.plan.Rollout; record != nil && !Ended(record) {
		record.Retry = p.Retry // nothing has come to nothing yet
		p.noteVerdict(record)
	}
	switch serving, exists := o.Colors[current]; {
	case exists && serving.Revision == o.Wanted:
		p.settle()
	case p.mustReplaceInPlace():
		p.replaceInPlace()
	case p.rolls():
		p.roll()
	default:
		p.rollOut()
	}
	if p.plan.Active == p.current && p.onlyOther() {
		p.plan.Both = true
	}
	if record := p.plan.Rollout; record.ApprovedAt != nil || Ended(record) {
		record.DownAt = nil // nothing waits that it could cut short
	}
	p.plan.Rollout.Until = nil
	if p.plan.After > 0 {
		p.plan.Rollout.Until = &metav1.MicroTime{Time: p.Now.Add(p.plan.After)}
	}
	if wait := p.Verdict.After; wait > 0 && (p.plan.After == 0 || wait < p.plan.After) {
		p.plan.After = wait // to ask again, which ends nothing by itself
	}
	if p.asks && (p.plan.After == 0 || askAgain < p.plan.After) {
		p.plan.After = askAgain
	}
	return p.plan
}

// Hold plans nothing: everything stays as it was observed.
func Hold(o Observed) Plan {
	current := o.Active()
	plan := Plan{
		Active: current, Both: o.Both, Astray: o.astray(), Serving: o.serving(current), Colors: map[v1alpha1.Color]Target{},
		Preview: o.Previewed, Rollout: o.Rollout.DeepCopy(),
	}
	for color, live := range o.Colors {
		plan.Colors[color] = Target{Revision: live.Revision, Replicas: live.Replicas}
	}
	if !plan.Preview.Color.Valid() {
		plan.Preview = Preview{Color: current, Revision: plan.Colors[current].Revision}
	}
	return plan
}

// settle plans for a colour that serves the wanted revision: bring it to its number of pods and let go of the other colour.
func (p *planner) settle() {
	p.plan.Colors[p.current] = Target{Revision: p.Wanted, Replicas: p.count}
	p.plan.Preview = Preview{Color: p.current, Revision: p.Wanted}
	record := p.plan.Rollout
	replaced, rolling := p.begun(record)
	switch {
	case rolling:
		record = p.start()
		p.replace(record, replaced)
	case record == nil || (record.Revision != p.Wanted && promoted(record)):
		// What serves got there without a record: it was lost, or could not be written.
		record = p.start()
		record.ApprovedAt = record.StartedAt
	case record.Revision != p.Wanted:
		p.cancel(record)
	case p.retried(record):
		record = p.start()
		record.ApprovedAt = record.StartedAt
	case record.ApprovedAt == nil:
		// It was promoted, and the record of that was not written.
		record.ApprovedAt = p.now()
		if record.ReadyAt == nil {
			record.ReadyAt = p.now()
		}
	}
	letGo(record)
	if record.Revision == p.Wanted && p.replacing(record) {
		p.rollOn(record)
		return
	}
	if record.Revision == p.Wanted {
		if p.goBack(record) {
			return
		}
		if record.Step == v1alpha1.StepAborted && p.objection(record) != "" {
			return // it serves on, because there is nothing to go back to, and that is no promotion
		}
		if p.conclude(record); Stopped(record.Step) {
			return // the other colour is no preview that failed: it served before, or it has the last healthy pods
		}
	}
	p.releaseIdle(record)
}

// conclude moves the record of the wanted revision, which serves already, towards its end.
func (p *planner) conclude(record *v1alpha1.RolloutStatus) {
	live, idle, since := p.Colors[p.current], p.Colors[p.idle], record.ApprovedAt
	// That no pod of the revision serves, or that this is not known, can be after it was planned into the colour that serves.
	down := (p.count > 0 && live.Available == 0) || live.Updated != live.Current
	switch {
	case record.Step == v1alpha1.StepCompleted || record.Step == v1alpha1.StepDraining:
	case idle.Replicas > 0 && !down && live.Settled && p.confirmed(p.current, p.count):
		record.SwitchedAt = p.now()
		record.EndedAt, record.Retry = nil, p.Retry // also where it had come to nothing, and somebody moved traffic by hand
		p.step(record, v1alpha1.StepDraining, "%s serves alone; %s stays warm for a rollback", p.current, p.idle)
		p.tell(false, "Promoted", "revision %s (%s) serves; %s stays warm for %s", record.Revision, p.current, p.idle, p.scaleDownDelay())
	case idle.Replicas == 0 && p.whole():
		p.complete(record, "revision %s serves", record.Revision)
	case Stopped(record.Step):
	case (idle.Replicas == 0 || down) && p.overdue(since):
		p.fail(record, trafficStays, "%s within %s", became(p.current, p.fresh(live), p.count, p.ActiveEndpoints[p.current]), p.deadline())
	case idle.Replicas > 0 && !down:
		p.tellSwitching(record, p.idle, p.current)
		p.step(record, v1alpha1.StepSwitching, "waiting for the EndpointSlices to show %s alone (%s %d, %s %d ready)",
			p.current, p.current, p.ActiveEndpoints[p.current], p.idle, p.ActiveEndpoints[p.idle])
	default:
		p.step(record, v1alpha1.StepDeploying, "waiting for the first pods: %d of %d ready", live.Available, p.count)
		p.lookAgain(since, p.deadline())
	}
}

// down reports whether the colour that serves is to have pods, and nobody can be reached there.
func (p *planner) down() bool {
	return p.count > 0 && p.Colors[p.current].Available == 0 && p.ActiveEndpoints[p.current] == 0
}

// mustReplaceInPlace reports whether the wanted revision has to go into the colour that serves: where that colour has nothing to lose,
// and the other one must not be touched because it has the only healthy pods, or where nothing exists yet.
func (p *planner) mustReplaceInPlace() bool {
	serving, exists := p.Colors[p.current]
	idle, idleExists := p.Colors[p.idle]
	switch {
	case !exists:
		return true
	case p.rolls() || idleExists && idle.Revision == p.Wanted:
		return false
	case p.plan.Rollout != nil && p.plan.Rollout.Revision == p.Wanted && Stopped(p.plan.Rollout.Step) && !p.retried(p.plan.Rollout):
		return false // it has come to nothing there before
	default:
		return serving.Available == 0 && idleExists && idle.Available > 0 && p.ActiveEndpoints[p.current] == 0
	}
}

// replaceInPlace plans the wanted revision into the colour that serves.
func (p *planner) replaceInPlace() {
	p.plan.Preview = Preview{Color: p.current, Revision: p.Wanted}
	record := p.plan.Rollout
	if record == nil || record.Revision != p.Wanted || Ended(record) || promoted(record) {
		record = p.start()
	}
	_, exists := p.Colors[p.current]
	if why := p.objection(record); exists && why != "" {
		p.abort(record, why, trafficStays)
		p.holdServing(record)
		p.hidePreview()
		p.releaseIdle(record)
		return
	}
	if exists && !p.rolls() && !p.approved(record, true) {
		news := record.Step != v1alpha1.StepWaitingForPromotion
		p.step(record, v1alpha1.StepWaitingForPromotion, "%s has no healthy pod, so the revision would replace it: set the annotation %s: %s to let it",
			p.current, v1alpha1.AnnotationPromote, record.Revision)
		if news {
			p.tell(false, "WaitingForPromotion", "%s", record.Message)
		}
		p.holdServing(record)
		p.hidePreview()
		return
	}
	letGo(record)
	if record.ApprovedAt == nil {
		record.ApprovedAt = p.now()
	}
	p.step(record, v1alpha1.StepDeploying, "starting %s as %s", podCount(p.count), p.current)
	p.plan.Colors[p.current] = Target{Revision: p.Wanted, Replicas: p.count}
	p.lookAgain(record.ApprovedAt, p.deadline())
}

// comesBeside reports whether a record is of the wanted revision's way into the other colour. That of a rolling update is not: what approved it
// approves no preview.
func (p *planner) comesBeside(record *v1alpha1.RolloutStatus) bool {
	switch {
	case record == nil || record.Revision != p.Wanted:
		return false
	case Ended(record):
		return Stopped(record.Step) && !p.retried(record)
	default:
		return record.ReplacedRevision == ""
	}
}

// waitsInPlace reports whether a revision goes on waiting to replace the one that serves: a pod of that is ready for a moment, as those that
// crash again and again are, and the other colour has what is left of the healthy ones.
func (p *planner) waitsInPlace(record *v1alpha1.RolloutStatus) bool {
	waits := record.Step == v1alpha1.StepWaitingForPromotion && record.ReadyAt == nil && p.Colors[p.idle].Revision != p.Wanted &&
		p.healthier() && !p.approved(record, true)
	if waits {
		p.hidePreview()
	}
	return waits
}

// rollOut plans the wanted revision into the other colour, next to what serves.
func (p *planner) rollOut() {
	record := p.plan.Rollout
	if !p.comesBeside(record) {
		p.takeBack(record)
		record = p.start()
	}
	p.holdServing(record)
	p.noteOutage(record)
	if why := p.objection(record); why != "" && !Stopped(record.Step) {
		then := trafficStays
		if p.Both {
			then = fmt.Sprintf("%s serves alone again", p.current)
		}
		p.abort(record, why, then)
	}
	if Stopped(record.Step) {
		p.hidePreview()
		p.releaseIdle(record)
		return
	}
	if p.waitsInPlace(record) {
		return
	}
	if p.Colors[p.idle].Revision != p.Wanted && (p.Both || p.needed()) {
		p.hidePreview()
		p.step(record, v1alpha1.StepDeploying, "waiting for the EndpointSlices to show that nobody needs %s before it is used again", p.idle)
		return
	}
	if idle, exists := p.Colors[p.idle]; exists && idle.Revision != p.Wanted && (idle.Replicas > 0 || idle.Current > 0 || !idle.Settled) {
		// Its Deployment would keep old pods until new ones are ready: a third set, for which there may be no room.
		p.plan.Colors[p.idle] = Target{Revision: idle.Revision, Replicas: 0}
		p.hidePreview()
		p.step(record, v1alpha1.StepDeploying, "waiting for the pods of revision %s in %s to go", idle.Revision, p.idle)
		return
	}
	p.plan.Preview = Preview{Color: p.idle, Revision: p.Wanted}
	if record.ApprovedAt == nil && !p.prepare(record) {
		return
	}
	p.promote(record)
}

// promote plans an approved revision to full size, and then the switch.
func (p *planner) promote(record *v1alpha1.RolloutStatus) {
	p.plan.Colors[p.idle] = Target{Revision: p.Wanted, Replicas: p.count}
	live, cutover := p.Colors[p.idle], p.cutOver(record, p.Wanted)
	if cutover != waiting && record.ReadyAt == nil {
		record.ReadyAt = p.now()
	}
	switch {
	case cutover == moved:
		letGo(record)
		p.tellSwitching(record, p.current, p.idle)
		p.step(record, v1alpha1.StepSwitching, "moving traffic from %s to %s", p.current, p.idle)
	case cutover == shared:
		p.step(record, v1alpha1.StepOverlapping, "%s and %s both serve; %s", p.current, p.idle, p.untilAlone(record))
		if record.OverlapAt == nil {
			p.lookAgain(record.Since, p.deadline())
		}
	case p.overdue(record.ApprovedAt):
		p.fail(record, trafficStays, "%s within %s of the approval", became(p.idle, p.fresh(live), p.count, p.shown(p.Wanted)), p.deadline())
		p.abandon(record)
	default:
		if record.Step == v1alpha1.StepDeploying || record.Step == v1alpha1.StepWaitingForPromotion || record.Step == v1alpha1.StepOverlapping && p.onlyOther() {
			p.tell(false, "ScalingUp", "revision %s is approved: traffic moves once %s of it are ready in %s", record.Revision, podCount(p.count), p.idle)
		}
		p.step(record, v1alpha1.StepScalingUp, "growing %s to what serves: %d of %d pods ready, %d in the EndpointSlices",
			p.idle, min(p.fresh(live), p.count), p.count, p.shown(p.Wanted))
		p.lookAgain(record.ApprovedAt, p.deadline())
	}
}

// holdServing plans the number of pods of the colour that serves during a rollout. A change that brings a new revision and another
// spec.replicas together means the latter for the new version: what serves keeps its size until the switch, or until spec.replicas
// changes once more. With autoscaling, spec.replicas speaks of the load and counts at once.
func (p *planner) holdServing(record *v1alpha1.RolloutStatus) {
	count := p.count
	if p.holds(record) {
		count = *record.HeldReplicas
	} else {
		letGo(record)
	}
	p.plan.Colors[p.current] = Target{Revision: p.serves, Replicas: count}
}

// hidePreview lets the preview Service show what serves.
func (p *planner) hidePreview() { p.plan.Preview = Preview{Color: p.current, Revision: p.serves} }

// letGo ends the hold on the number of pods of the colour that serves.
func letGo(record *v1alpha1.RolloutStatus) { record.HeldReplicas, record.WantedReplicas = nil, nil }

func (p *planner) holds(record *v1alpha1.RolloutStatus) bool {
	return record.HeldReplicas != nil && record.WantedReplicas != nil &&
		p.Spec.Autoscaling == nil && p.Spec.Replicas != nil && *p.Spec.Replicas == *record.WantedReplicas
}
