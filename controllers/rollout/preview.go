package rollout

import (
	"cmp"
	"fmt"
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// prepare plans the preview up to its approval, and reports whether it has it.
func (p *planner) prepare(record *v1alpha1.RolloutStatus) bool {
	live, size := p.Colors[p.idle], p.previewSize()
	target := size
	if live.Revision == p.Wanted && p.needed() {
		target = max(size, min(live.Replicas, p.count))
	}
	p.plan.Colors[p.idle] = Target{Revision: p.Wanted, Replicas: target}
	ready := p.ready(p.idle, p.Wanted, size) && live.Replicas == target
	first := p.noteReady(record, ready)
	switch {
	case (ready || record.ReadyAt != nil) && p.mayServe(record, ready && p.urgent(record, first)):
		// Also where it is not ready at the moment: growing it has a deadline, and waiting for it here has none.
		record.ApprovedAt = p.now()
		return true
	case record.ReadyAt != nil && p.expired(record):
		p.expire(record)
	case ready || p.waits(record):
		p.wait(record, first)
	case size > 0 && record.ReadyAt == nil && record.Step == v1alpha1.StepDeploying && p.overdue(cmp.Or(record.Since, record.StartedAt)):
		p.fail(record, trafficStays, "%s within %s", became(p.idle, p.fresh(live), size, p.shown(p.Wanted)), p.deadline())
		p.abandon(record)
	default:
		p.deploy(record, size)
	}
	if record.ReadyAt != nil && !Stopped(record.Step) {
		p.lookAtExpiry(record)
		p.lookAtOutage(record)
	}
	return false
}

// mayServe reports whether a preview is approved and nothing is measured of it any more. If it is urgent, its analysis ends here.
func (p *planner) mayServe(record *v1alpha1.RolloutStatus, urgent bool) bool {
	switch {
	case !p.approved(record, urgent):
		return false
	case p.analyzed(record):
		return true
	case urgent:
		p.cutShort(record)
	}
	return urgent
}

// noteOutage notes since when nobody can be reached.
func (p *planner) noteOutage(record *v1alpha1.RolloutStatus) {
	switch {
	case !p.down():
		record.DownAt = nil
	case record.DownAt == nil:
		record.DownAt = p.now()
	}
}

// urgent reports whether a preview that is ready must not be held back: nobody can be reached just when it has become ready, or for more than the
// moment that pods take to restart.
func (p *planner) urgent(record *v1alpha1.RolloutStatus, first bool) bool {
	return record.DownAt != nil && (first || !p.Now.Before(record.DownAt.Add(outage)))
}

// lookAtOutage asks for another look when a preview becomes urgent.
func (p *planner) lookAtOutage(record *v1alpha1.RolloutStatus) {
	if record.DownAt != nil && p.approved(record, true) {
		p.lookAgain(record.DownAt, outage)
	}
}

// noteReady notes when the preview became ready, and reports whether that is now.
func (p *planner) noteReady(record *v1alpha1.RolloutStatus, ready bool) bool {
	switch {
	case p.unseen():
		record.ReadyAt = nil // once it has pods again, it has to become ready anew
	case ready && record.ReadyAt == nil:
		record.ReadyAt = p.now()
		return true
	}
	return false
}

// waits reports whether a preview that was ready goes on waiting for its approval: some of its pods are, and it may have been scaled up.
func (p *planner) waits(record *v1alpha1.RolloutStatus) bool {
	live := p.Colors[p.idle]
	return record.ReadyAt != nil && record.Step == v1alpha1.StepWaitingForPromotion && live.Revision == p.Wanted && live.Available > 0
}

// deploy plans for a preview that is to become ready, maybe once more.
func (p *planner) deploy(record *v1alpha1.RolloutStatus, size int32) {
	live := p.Colors[p.idle]
	broke := record.Step == v1alpha1.StepWaitingForPromotion && record.ReadyAt != nil
	p.step(record, v1alpha1.StepDeploying, "waiting for the preview in %s: %d of %d pods ready, %d in the EndpointSlices",
		p.idle, p.fresh(live), size, p.shown(p.Wanted))
	if broke {
		p.tell(live.Replicas > 0, PreviewNotReady, "no pod of the preview in %s is ready", p.idle)
	}
	switch {
	case record.ReadyAt == nil:
		p.lookAgain(record.Since, p.deadline())
	case p.blueGreen().Promotion != v1alpha1.PromotionManual:
		p.lookAgain(record.ReadyAt, p.autoPromotionDelay())
	}
}

// expire ends a rollout that has waited for its promotion for as long as it may.
func (p *planner) expire(record *v1alpha1.RolloutStatus) {
	why := "nobody promoted it"
	if !p.analyzed(record) {
		why = "its analysis did not end"
	}
	p.abort(record, fmt.Sprintf("because %s within %s (strategy.blueGreen.previewTTLSeconds)",
		why, p.Now.Sub(at(record.ReadyAt)).Truncate(time.Second)), trafficStays)
	p.abandon(record)
}

// wait plans for a preview that is or was ready, and not approved.
func (p *planner) wait(record *v1alpha1.RolloutStatus, first bool) {
	p.asks = p.blueGreen().Analysis != nil && (first || !p.judged(record))
	news, reason, state := first || record.Step != v1alpha1.StepWaitingForPromotion, PreviewReady, "is ready"
	live, size := p.Colors[p.idle], p.previewSize()
	switch ready := min(live.Available, p.shown(p.Wanted)); {
	case size == 0:
		reason, state = "WaitingForPromotion", "has no pods"
	case ready < size:
		state = fmt.Sprintf("has %d of %d pods ready", ready, size)
	}
	other := ""
	if p.Approved != "" {
		other = fmt.Sprintf(" (it is %s)", p.Approved)
	}
	switch {
	case p.unseen() && p.analyzed(record):
		p.step(record, v1alpha1.StepWaitingForPromotion, "scaled to zero, there is no preview to look at: to promote the revision all the same, set the annotation %s: %s%s",
			v1alpha1.AnnotationPromote, record.Revision, other)
	case !p.analyzed(record):
		p.step(record, v1alpha1.StepWaitingForPromotion, "the preview in %s %s and is analyzed: %s", p.idle, state, p.finding(record))
	case p.blueGreen().Promotion == v1alpha1.PromotionManual:
		p.step(record, v1alpha1.StepWaitingForPromotion, "the preview in %s %s: to promote it, set the annotation %s: %s%s",
			p.idle, state, v1alpha1.AnnotationPromote, record.Revision, other)
	default:
		until := at(record.ReadyAt).Add(p.autoPromotionDelay())
		p.step(record, v1alpha1.StepWaitingForPromotion, "the preview in %s %s and is promoted at %s, or once the annotation %s is %s",
			p.idle, state, until.UTC().Format(time.RFC3339), v1alpha1.AnnotationPromote, record.Revision)
		p.lookAgain(record.ReadyAt, p.autoPromotionDelay())
	}
	if news {
		p.tell(false, reason, "%s", record.Message)
	}
}

// abandon plans for a preview that has just failed: it is shown to nobody, and keeps its pods for a while, to be looked at.
func (p *planner) abandon(record *v1alpha1.RolloutStatus) {
	p.hidePreview()
	if live, exists := p.Colors[p.idle]; exists {
		p.plan.Colors[p.idle] = Target{Revision: live.Revision, Replicas: live.Replicas}
	} else {
		delete(p.plan.Colors, p.idle)
	}
	p.releaseIdle(record)
}

// approved reports whether the revision may take traffic. An approval names its revision, so that it can't let something newer in. If it is
// urgent, because nobody can be reached, it waits for no time to pass.
func (p *planner) approved(record *v1alpha1.RolloutStatus, urgent bool) bool {
	switch {
	case p.Approved == record.Revision || p.Restart:
		return true
	case p.blueGreen().Promotion == v1alpha1.PromotionManual:
		return false
	default:
		return urgent || !p.Now.Before(at(record.ReadyAt).Add(p.autoPromotionDelay()))
	}
}
