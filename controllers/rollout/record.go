package rollout

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// start begins a new record.
func (p *planner) start() *v1alpha1.RolloutStatus {
	before := p.plan.Rollout
	record := &v1alpha1.RolloutStatus{Revision: p.Wanted, Step: v1alpha1.StepDeploying, Since: p.now(), StartedAt: p.now(), Retry: p.Retry}
	serving, exists := p.Colors[p.current]
	if exists && serving.Revision != p.Wanted && serving.Replicas > 0 &&
		p.Spec.Autoscaling == nil && p.Spec.Replicas != nil && serving.Replicas != *p.Spec.Replicas {
		record.HeldReplicas, record.WantedReplicas = new(serving.Replicas), new(*p.Spec.Replicas)
	}
	p.markRollback(record, before)
	p.plan.Rollout = record
	if before != nil && before.Revision != record.Revision && !Ended(before) && !promoted(before) &&
		(before.Revision != serving.Revision || before.ReplacedRevision != "") {
		returns := ""
		if p.serves != serving.Revision {
			returns = fmt.Sprintf(", and its pods to those of revision %s", p.serves)
		}
		p.tell(false, "RolloutCancelled", "revision %s gives way to revision %s%s", before.Revision, record.Revision, returns)
	}
	p.tell(false, "RolloutStarted", "%s", p.startMessage(record, exists))
	return record
}

func (p *planner) startMessage(record *v1alpha1.RolloutStatus, exists bool) string {
	switch {
	case record.Rollback && p.Colors[p.current].Revision == record.Revision:
		return fmt.Sprintf("going back to revision %s, which was still warm in %s", record.Revision, p.current)
	case !exists || p.Colors[p.current].Revision == record.Revision:
		return fmt.Sprintf("starting revision %s as %s", record.Revision, p.current)
	case p.Restart:
		return fmt.Sprintf("restarting the pods of revision %s, as revision %s", p.Colors[p.current].Revision, record.Revision)
	case p.rolls():
		return fmt.Sprintf("replacing the pods of revision %s by those of revision %s", p.Colors[p.current].Revision, record.Revision)
	case record.Rollback:
		return fmt.Sprintf("going back to revision %s, which is still warm in %s", record.Revision, p.idle)
	default:
		return fmt.Sprintf("rolling out revision %s beside revision %s", record.Revision, p.serves)
	}
}

func podCount(n int32) string {
	if n == 1 {
		return "1 pod"
	}
	return fmt.Sprintf("%d pods", n)
}

// became says how many pods became ready and, if that is not what was missing, how many of them the EndpointSlices show.
func became(color v1alpha1.Color, ready, want, shown int32) string {
	if ready < want {
		return fmt.Sprintf("%d of %d pods of %s became ready", ready, want, color)
	}
	return fmt.Sprintf("all %d pods of %s became ready, but the EndpointSlices did not show them alone (%d)", want, color, shown)
}

func (p *planner) step(record *v1alpha1.RolloutStatus, step v1alpha1.RolloutStep, format string, args ...any) {
	if record.Step != step || record.Since == nil {
		record.Since = p.now()
	}
	record.Step, record.Message = step, fmt.Sprintf(format, args...)
}

func (p *planner) complete(record *v1alpha1.RolloutStatus, format string, args ...any) {
	record.EndedAt = p.now()
	p.step(record, v1alpha1.StepCompleted, format, args...)
	p.tell(false, "RolloutCompleted", "%s", record.Message)
}

// fail ends a rollout that did not become ready in time.
func (p *planner) fail(record *v1alpha1.RolloutStatus, then, format string, args ...any) {
	record.EndedAt = p.now()
	p.step(record, v1alpha1.StepFailed, format, args...)
	p.tell(true, "RolloutFailed", "revision %s: %s; %s", record.Revision, record.Message, then)
}

// trafficStays is what becomes of traffic when a rollout ends before its revision has served.
const trafficStays = "traffic stays where it is"

// abort ends a rollout that somebody stopped, or that nobody promoted in time.
func (p *planner) abort(record *v1alpha1.RolloutStatus, why, then string) {
	record.EndedAt = p.now()
	p.step(record, v1alpha1.StepAborted, "aborted %s", why)
	p.tell(true, "RolloutAborted", "revision %s was aborted %s; %s", record.Revision, why, then)
}

// retried reports whether a rollout that has failed or was aborted is to begin anew. An annotation that was there when it began has done
// its part, and one that aborts it goes first.
func (p *planner) retried(record *v1alpha1.RolloutStatus) bool {
	names := p.Retry == record.Revision || strings.HasPrefix(p.Retry, record.Revision+".")
	return Stopped(record.Step) && names && p.Retry != record.Retry && p.Aborted != record.Revision
}

// NextRetry returns the value of the annotation that would start a rollout anew which has failed or was aborted.
func NextRetry(record *v1alpha1.RolloutStatus) string {
	used, numbered := strings.CutPrefix(record.Retry, record.Revision+".")
	switch n, err := strconv.Atoi(used); {
	case record.Retry == record.Revision:
		return record.Revision + ".2"
	case numbered && err == nil:
		return fmt.Sprintf("%s.%d", record.Revision, n+1)
	case numbered:
		return record.Retry + ".2"
	default:
		return record.Revision
	}
}

// cancel ends the record of a revision that was taken back before it served.
func (p *planner) cancel(record *v1alpha1.RolloutStatus) {
	switch record.Step {
	case v1alpha1.StepCancelled:
		return
	case v1alpha1.StepFailed, v1alpha1.StepAborted:
	default:
		record.EndedAt = p.now()
		p.tell(false, "RolloutCancelled", "revision %s is wanted no longer; revision %s serves on", record.Revision, p.Wanted)
	}
	p.step(record, v1alpha1.StepCancelled, "revision %s was taken back; revision %s serves on", record.Revision, p.Wanted)
}

func (p *planner) tell(warning bool, reason, format string, args ...any) {
	p.plan.Transitions = append(p.plan.Transitions, Transition{Warning: warning, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// promoted reports whether the record is of a revision that traffic was moved to.
func promoted(record *v1alpha1.RolloutStatus) bool {
	switch record.Step {
	case v1alpha1.StepSwitching, v1alpha1.StepDraining, v1alpha1.StepCompleted:
		return true
	default:
		return false
	}
}

// besideAnother reports whether the record is of a revision that came up beside one that served: the other colour is no preview then.
func besideAnother(record *v1alpha1.RolloutStatus) bool {
	return record.ReadyAt != nil || record.Rollback
}

// Ended reports whether nothing more becomes of a rollout, unless somebody tries again.
func Ended(record *v1alpha1.RolloutStatus) bool {
	return Stopped(record.Step) || record.Step == v1alpha1.StepCompleted || record.Step == v1alpha1.StepCancelled
}

// Stopped reports whether a rollout at a step came to nothing, and is not tried again by itself.
func Stopped(step v1alpha1.RolloutStep) bool {
	return step == v1alpha1.StepFailed || step == v1alpha1.StepAborted
}
