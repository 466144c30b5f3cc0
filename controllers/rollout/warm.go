package rollout

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// markRollback marks a new record whose revision has served before and is still warm, or was until traffic moved back to it: it needs no
// approval. Where another revision is warm, it notes which.
func (p *planner) markRollback(record, before *v1alpha1.RolloutStatus) {
	serving, idle := p.Colors[p.current], p.Colors[p.idle]
	if before == nil || p.rolls() || idle.Replicas == 0 {
		return
	}
	took := p.warm(before) && before.Step != v1alpha1.StepCompleted && before.Step != v1alpha1.StepCancelled
	switch {
	case took && before.Revision == serving.Revision && idle.Revision == p.Wanted && idle.Available > 0:
		record.Rollback, record.ApprovedAt = true, record.StartedAt
	case took && before.Revision != idle.Revision && idle.Revision != p.Wanted:
		record.WarmRevision = idle.Revision
	case took && promoted(before) && before.Revision == idle.Revision && serving.Revision == p.Wanted:
		record.Rollback = true
	}
}

// warm reports whether the other colour is no preview of the record's revision, but has served before it.
func (p *planner) warm(record *v1alpha1.RolloutStatus) bool {
	return besideAnother(record) || record.WarmRevision != "" && record.WarmRevision == p.Colors[p.idle].Revision
}

// goBack plans the way back to the colour that served before, if the rollout is aborted while that one is still warm, and reports whether
// it is.
func (p *planner) goBack(record *v1alpha1.RolloutStatus) bool {
	warm := p.Colors[p.idle]
	if warm.Replicas == 0 || !p.warm(record) {
		return false
	}
	switch why := p.objection(record); {
	case record.Step == v1alpha1.StepAborted:
	case record.Step == v1alpha1.StepCompleted || why == "":
		return false
	default:
		then := fmt.Sprintf("traffic goes back to %s", p.idle)
		if warm.Available < p.count {
			then += fmt.Sprintf(" once %s of it can serve", podCount(p.count))
		}
		p.abort(record, why, then)
		record.OverlapReplicas, record.OverlapAt = nil, nil // those of the way here
	}
	aborted, _, _ := strings.Cut(record.Message, "; ")
	p.plan.Colors[p.idle] = Target{Revision: warm.Revision, Replicas: p.count}
	if p.count == 0 {
		p.plan.Colors[p.idle] = Target{Revision: warm.Revision, Replicas: warm.Replicas} // they tell that there is a way back, until it is gone
	}
	p.plan.Preview = Preview{Color: p.idle, Revision: warm.Revision}
	switch p.cutOver(record, warm.Revision) {
	case waiting:
		p.step(record, v1alpha1.StepAborted, "%s; traffic stays on %s until %s can serve again: %d of %d pods ready, %d in the EndpointSlices",
			aborted, p.current, p.idle, min(warm.Available, p.count), p.count, p.shown(warm.Revision))
	case shared:
		p.step(record, v1alpha1.StepAborted, "%s; %s and %s both serve, %s", aborted, p.current, p.idle, p.untilAlone(record))
	case moved:
		p.step(record, v1alpha1.StepAborted, "%s; %s serves again", aborted, p.idle)
		p.tell(false, "RolledBack", "revision %s serves again, in %s", warm.Revision, p.idle)
		record.EndedAt = p.now() // what serves until now keeps its pods for the delay from here
		p.lookAgain(record.EndedAt, p.abortScaleDownDelay())
	}
	return true
}

// releaseIdle plans the end of the other colour's pods, once nothing can need them any more.
func (p *planner) releaseIdle(record *v1alpha1.RolloutStatus) {
	idle, exists := p.Colors[p.idle]
	var since *metav1.MicroTime
	delay := p.scaleDownDelay()
	switch record.Step {
	case v1alpha1.StepDraining:
		since = p.drainingSince(record)
	case v1alpha1.StepCancelled, v1alpha1.StepFailed, v1alpha1.StepAborted:
		since, delay = record.EndedAt, p.abortScaleDownDelay()
	case v1alpha1.StepCompleted:
		since, delay = record.EndedAt, 0
	default:
		return
	}
	onTrial := record.Step == v1alpha1.StepDraining && p.onTrial(record)
	if idle.Replicas > 0 && (since == nil || onTrial || !p.released(since, delay)) {
		if onTrial {
			p.asks = !p.judged(record) || !p.Verdict.Promoted
			// Traffic goes back only to as many pods as serve. To start them then would leave it where it measures badly for as long as that takes.
			p.plan.Colors[p.idle] = Target{Revision: idle.Revision, Replicas: max(idle.Replicas, p.count)}
		}
		return
	}
	if exists {
		p.plan.Colors[p.idle] = Target{Revision: idle.Revision, Replicas: 0}
	}
	if record.Step == v1alpha1.StepDraining {
		p.complete(record, "revision %s serves; %s has no pods any more", record.Revision, p.idle)
	}
}

// drainingSince returns since when nothing speaks for going back, or nil while something does: pods that crash again and again are healthy for a
// moment each time.
func (p *planner) drainingSince(record *v1alpha1.RolloutStatus) *metav1.MicroTime {
	switch {
	case p.healthier():
		record.SwitchedAt = nil
		p.step(record, v1alpha1.StepDraining, "%s serves, and few of its pods are healthy; %s stays warm until they have been for %s",
			p.current, p.idle, p.scaleDownDelay())
		return nil
	case record.SwitchedAt == nil:
		record.SwitchedAt = p.now()
	}
	trial := ""
	if p.onTrial(record) {
		trial = " and is analyzed: " + p.finding(record)
	}
	p.step(record, v1alpha1.StepDraining, "%s serves alone%s; %s stays warm for a rollback", p.current, trial, p.idle)
	return record.SwitchedAt
}

// released reports whether the other colour's pods may go: the delay has passed, and nobody needs them.
func (p *planner) released(since *metav1.MicroTime, delay time.Duration) bool {
	if p.Now.Before(at(since).Add(delay)) {
		p.lookAgain(since, delay)
		return false
	}
	return p.Selected == p.plan.Active && !p.Both && p.ActiveEndpoints[p.idle] == 0 && !p.healthier()
}

// needed reports whether the other colour's pods have to stay: they are the last healthy ones, or traffic is still sent to them.
func (p *planner) needed() bool {
	lastHealthy := p.count > 0 && p.Colors[p.current].Available == 0 && p.Colors[p.idle].Available > 0
	return lastHealthy || p.ActiveEndpoints[p.idle] > 0
}

// healthier reports whether less than half as many pods are healthy where traffic goes as where it came from. More would be too much to ask: a
// node may be lost, and the pods that wait for room may get that of the other colour.
func (p *planner) healthier() bool {
	return p.count > 0 && 2*p.Colors[p.current].Available < min(p.count, p.Colors[p.idle].Available)
}
