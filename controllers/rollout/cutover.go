package rollout

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// cutover is how far traffic has moved to the other colour.
type cutover int

const (
	// waiting says that it does not move, because too few pods are ready.
	waiting cutover = iota
	// shared says that both colours serve.
	shared
	// moved says that it goes to the other colour alone.
	moved
)

// cutOver plans the way of traffic to the other colour, which is planned to have the revision and as many pods as serve.
func (p *planner) cutOver(record *v1alpha1.RolloutStatus, revision string) cutover {
	ready := p.ready(p.idle, revision, p.count)
	overlaps := p.blueGreen().Cutover == v1alpha1.CutoverOverlap && p.count > 0 && p.Colors[p.current].Available > 0
	switch {
	case ready && !overlaps, ready && p.Both && p.sharedFor(record, p.overlap()):
		p.plan.Active = p.idle
		record.OverlapReplicas = nil
		return moved
	case ready && !p.Both:
		record.OverlapReplicas, record.OverlapAt = new(p.count), nil
	case !p.Both || !overlaps || p.lost(record, revision):
		if (p.Both || record.OverlapReplicas != nil) && !p.onlyOther() { // or it was, and the record of that not written
			p.excludeOverlap(record)
			p.tell(true, "OverlapStopped", "%s serves alone again: %d of %d pods of %s are ready",
				p.current, min(p.Colors[p.idle].Available, p.count), p.count, p.idle)
		}
		record.OverlapReplicas, record.OverlapAt = nil, nil
		return waiting
	}
	p.share(record)
	return shared
}

// onlyOther reports whether both colours are selected, and only the other one can be reached, or will be once the EndpointSlices have it.
func (p *planner) onlyOther() bool {
	down := p.ActiveEndpoints[p.current] == 0 || p.Colors[p.current].Available == 0
	return p.Both && down && (p.ActiveEndpoints[p.idle] > 0 || p.Colors[p.idle].Available > 0)
}

// lost reports whether the other colour has lost pods since both began to serve. It may have more to come, if what serves was scaled up
// since.
func (p *planner) lost(record *v1alpha1.RolloutStatus, revision string) bool {
	live := p.Colors[p.idle]
	if record.OverlapReplicas == nil { // with the rest of status
		record.OverlapReplicas = new(min(live.Available, p.count))
	}
	return live.Revision != revision || live.Available == 0 || live.Available < min(*record.OverlapReplicas, p.count) ||
		p.sharedFor(record, p.overlap()+p.deadline()) ||
		record.OverlapAt == nil && record.Step == v1alpha1.StepOverlapping && record.Since != nil && p.overdue(record.Since)
}

// excludeOverlap takes the time in which both colours served out of that which the other one has to become ready. All the rest counts, so
// that pods which break whenever they serve don't do so for ever.
func (p *planner) excludeOverlap(record *v1alpha1.RolloutStatus) {
	if record.OverlapAt != nil && record.ApprovedAt != nil {
		record.ApprovedAt = &metav1.MicroTime{Time: record.ApprovedAt.Add(p.Now.Sub(record.OverlapAt.Time))}
	}
}

// share plans both colours to serve.
func (p *planner) share(record *v1alpha1.RolloutStatus) {
	p.plan.Both = true
	if p.Both && record.OverlapAt == nil && p.ActiveEndpoints[p.current] > 0 && p.ActiveEndpoints[p.idle] >= min(*record.OverlapReplicas, p.count) {
		record.OverlapAt = p.now()
		p.tell(false, "OverlapStarted", "%s serves beside %s for %s", p.idle, p.current, p.overlap())
	}
	if record.OverlapAt != nil {
		p.lookAgain(record.OverlapAt, p.overlap())
		p.lookAgain(record.OverlapAt, p.overlap()+p.deadline())
	}
}

// sharedFor reports whether both colours have served for a time.
func (p *planner) sharedFor(record *v1alpha1.RolloutStatus, d time.Duration) bool {
	return record.OverlapAt != nil && !p.Now.Before(record.OverlapAt.Add(d))
}

// untilAlone says what ends the time in which both colours serve.
func (p *planner) untilAlone(record *v1alpha1.RolloutStatus) string {
	switch {
	case record.OverlapAt == nil:
		return "waiting for the EndpointSlices to show both"
	case p.sharedFor(record, p.overlap()):
		live := p.Colors[p.idle]
		return fmt.Sprintf("waiting for all pods of %s: %d of %d ready", p.idle, min(live.Available, p.count), p.count)
	default:
		return fmt.Sprintf("%s serves alone from %s on", p.idle, record.OverlapAt.Add(p.overlap()).UTC().Format(time.RFC3339))
	}
}

// tellSwitching tells that traffic moves, unless the record says so already, or did before the pods broke that it moved to.
func (p *planner) tellSwitching(record *v1alpha1.RolloutStatus, from, to v1alpha1.Color) {
	broke := record.Step == v1alpha1.StepDeploying && record.ApprovedAt != nil && at(record.ApprovedAt).Before(p.Now)
	if record.Step != v1alpha1.StepSwitching && !broke {
		p.tell(false, "Switching", "moving traffic from %s to %s", from, to)
	}
}
