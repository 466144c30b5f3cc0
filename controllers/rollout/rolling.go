package rollout

import (
	"fmt"
	"strings"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

func (p *planner) rolls() bool { return p.Spec.Strategy.Type == v1alpha1.StrategyRollingUpdate }

// roll plans the wanted revision into the colour that serves, whose Deployment then replaces its pods as the strategy says.
func (p *planner) roll() {
	before, serving := p.plan.Rollout, p.Colors[p.current]
	record := before
	if record == nil || record.Revision != p.Wanted || (Ended(record) && !Stopped(record.Step)) || p.retried(record) {
		record = p.start()
	}
	switch why := p.objection(record); {
	case Stopped(record.Step):
	case why != "":
		p.abort(record, why, trafficStays)
	case record.ReplacedRevision != "" && p.overdue(record.ApprovedAt):
		// The way back was begun, and the record of that not written.
		p.fail(record, p.wayBack(record), "the pods did not become ready within %s", p.deadline())
	}
	if Stopped(record.Step) {
		p.holdServing(record)
		p.hidePreview()
		p.rolledBack(record)
		p.releaseIdle(record)
		return
	}
	letGo(record)
	if p.missing {
		p.plan.Colors[p.current] = Target{Revision: serving.Revision, Replicas: p.count}
		p.hidePreview()
		p.step(record, v1alpha1.StepDeploying, "waiting for the pods of revision %s, which are lost, to come back", serving.Revision)
		return
	}
	if record.ReplacedRevision == "" {
		if idle := p.Colors[p.idle]; idle.Revision == p.Wanted && idle.Replicas > 0 {
			p.tell(false, "StrategyChanged", "revision %s replaces the pods in %s from now on; its preview in %s goes", p.Wanted, p.current, p.idle)
		}
		p.replace(record, p.replaced(before, serving.Revision))
	}
	p.plan.Colors[p.current] = Target{Revision: p.Wanted, Replicas: p.count}
	p.plan.Preview = Preview{Color: p.current, Revision: p.Wanted}
	p.dismissIdle()
	p.step(record, v1alpha1.StepDeploying, "replacing the pods of revision %s in %s", serving.Revision, p.current)
	p.lookAgain(record.ApprovedAt, p.deadline())
}

// replaced returns the revision to go back to: what serves, unless that has not come further than to replace another one. Where nothing has
// ever served, it is the wanted one itself.
func (p *planner) replaced(before *v1alpha1.RolloutStatus, serves string) string {
	switch {
	case before == nil || before.Revision != serves || before.Step == v1alpha1.StepCompleted:
		return serves
	case before.ReplacedRevision == serves:
		return p.Wanted
	case before.ReplacedRevision != "":
		return before.ReplacedRevision
	case !promoted(before) && !besideAnother(before):
		return p.Wanted // the first one, which has never been ready: going back to it would help nobody
	default:
		return serves
	}
}

// begun reports whether the wanted revision was planned into the colour that serves and the record of that could not be written, and returns
// the revision to go back to.
func (p *planner) begun(record *v1alpha1.RolloutStatus) (string, bool) {
	switch {
	case record == nil || record.Revision == p.Wanted:
		return "", false
	case record.ReplacedRevision != "" && !Ended(record):
		return p.replaced(record, record.Revision), true
	default:
		return p.replaced(record, p.LastRevision), p.rolls() && p.LastRevision != "" && p.LastRevision != p.Wanted
	}
}

// replacing reports whether the record is of a revision that replaces another one in the colour that serves. Where the record of that could
// not be written, the revision that served last tells.
func (p *planner) replacing(record *v1alpha1.RolloutStatus) bool {
	if record.ReplacedRevision == "" && p.rolls() && record.Step == v1alpha1.StepDeploying && p.LastRevision != "" && p.LastRevision != p.Wanted {
		p.replace(record, p.LastRevision)
	}
	return record.ReplacedRevision != ""
}

// replace begins to replace the pods of another revision. If there was a preview before, it has ended.
func (p *planner) replace(record *v1alpha1.RolloutStatus, replaced string) {
	record.ReplacedRevision, record.ApprovedAt = replaced, p.now()
	record.ReadyAt, record.OverlapReplicas, record.OverlapAt = nil, nil, nil
}

func (*planner) wayBack(record *v1alpha1.RolloutStatus) string {
	if record.ReplacedRevision == record.Revision {
		return "its pods stay, because there is no other revision to go back to"
	}
	return fmt.Sprintf("revision %s comes back", record.ReplacedRevision)
}

// rollOn plans for a revision whose pods replace those of another one in the colour that serves.
func (p *planner) rollOn(record *v1alpha1.RolloutStatus) {
	live := p.Colors[p.current]
	done := p.whole()
	late := done && record.Step == v1alpha1.StepFailed && record.ReplacedRevision == record.Revision // there was nothing to go back to
	switch why := p.objection(record); {
	case record.Step == v1alpha1.StepCompleted || Stopped(record.Step) && !late:
	case why != "" && !Stopped(record.Step):
		p.abort(record, why, p.wayBack(record))
	case done:
		p.complete(record, "revision %s serves", record.Revision)
	case p.overdue(record.ApprovedAt):
		p.fail(record, p.wayBack(record), "%s within %s", became(p.current, p.fresh(live), p.count, p.ActiveEndpoints[p.current]), p.deadline())
	default:
		p.step(record, v1alpha1.StepDeploying, "replacing the pods in %s: %d of %d of revision %s ready", p.current, p.fresh(live), p.count, record.Revision)
		p.lookAgain(record.ApprovedAt, p.deadline())
	}
	if !Stopped(record.Step) {
		p.dismissIdle()
		return
	}
	p.plan.Colors[p.current] = Target{Revision: record.ReplacedRevision, Replicas: p.count}
	p.plan.Preview = Preview{Color: p.current, Revision: record.ReplacedRevision}
	p.releaseIdle(record)
}

// takeBack lets the pods of the colour that serves become again what a rolling update was replacing, where something newer comes up beside
// them instead: some may be of a revision that never becomes ready, and nobody waits for it any more.
func (p *planner) takeBack(before *v1alpha1.RolloutStatus) {
	if before == nil || Ended(before) && !Stopped(before.Step) || before.Revision != p.serves {
		return
	}
	if replaced := before.ReplacedRevision; replaced != "" && replaced != p.Wanted {
		p.serves = replaced // the same where nothing has served before
	}
}

// whole reports whether the colour that serves has all its pods, all of its revision, and the EndpointSlices show them alone.
func (p *planner) whole() bool {
	live := p.Colors[p.current]
	return live.Uniform() && live.Updated >= p.count && live.Available >= p.count && p.confirmed(p.current, p.count)
}

// rolledBack tells, once, that the pods are back which were there before a rolling update that came to nothing.
func (p *planner) rolledBack(record *v1alpha1.RolloutStatus) {
	again := fmt.Sprintf("; revision %s serves again", p.serves)
	if strings.HasSuffix(record.Message, again) || record.ReplacedRevision != p.serves || !p.whole() {
		return
	}
	p.step(record, record.Step, "%s%s", record.Message, again)
	p.tell(false, "RolledBack", "the pods are those of revision %s again", p.serves)
}

// dismissIdle plans the end of the other colour's pods, as soon as nobody needs them.
func (p *planner) dismissIdle() {
	if idle, exists := p.Colors[p.idle]; exists && p.Selected == p.current && !p.Both && !p.needed() {
		p.plan.Colors[p.idle] = Target{Revision: idle.Revision, Replicas: 0}
	}
}
