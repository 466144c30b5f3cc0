package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// finish ends a pass: it writes status, if it changed, then emits what a user should hear of, and says when to look again. It is the only
// place that does any of these, but for what announceReturn tells.
func (r *Reconciler) finish(ctx context.Context, o *observation, plan rollout.Plan, failure error) (ctrl.Result, error) {
	if slices.ContainsFunc(joined(failure), apierrors.IsConflict) {
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	}
	if apierrors.HasStatusCause(failure, corev1.NamespaceTerminatingCause) {
		return ctrl.Result{}, nil // the GinService goes too, and there is nobody to tell
	}
	if postponed, ok := errors.AsType[*postponedError](failure); ok {
		return ctrl.Result{RequeueAfter: postponed.wait}, nil
	}
	trouble, transient := sorted(failure)
	attempts := r.pace.failures(client.ObjectKeyFromObject(o.gs), transient != nil)
	if transient != nil && trouble == nil {
		if attempts < tellAfterFailures {
			return ctrl.Result{}, transient
		}
		trouble = &problem{reason: v1alpha1.ReasonReconcileError, message: fmt.Sprintf("writing to the API server fails and is tried again: %v", transient)}
	}
	if trouble == nil {
		trouble = o.invalid
	}
	if trouble == nil {
		trouble = r.contention(o)
	}
	pods, err := r.askPods(ctx, o, plan)
	if err != nil {
		return ctrl.Result{}, err
	}
	plan = explainFailure(plan, pods)
	report := statusOf(o, plan, trouble, pods)
	after := nextLook(o, plan, trouble, report)
	wait, err := r.writeStatus(ctx, o, report)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("writing status: %w", err)
	}
	if wait > 0 && transient == nil {
		return ctrl.Result{RequeueAfter: earliest(after, wait)}, nil
	}
	if wait == 0 {
		r.announce(o, plan, report)
	}
	switch {
	case transient == nil:
	case after == 0 || after > backoff(attempts):
		return ctrl.Result{}, transient
	default:
		ctrl.LoggerFrom(ctx).Error(transient, "Trying again when the next timer ends")
	}
	return ctrl.Result{RequeueAfter: after}, nil
}

// backoff returns how long the queue waits, about, after so many passes in a row that failed. A timer of the plan that ends before that ends
// the wait, for it may have nothing to do with what fails.
func backoff(attempts int) time.Duration {
	return 5 * time.Millisecond << min(attempts, 18)
}

// writeStatus writes status if it changed. A change of numbers alone may have to wait, and it says how long.
func (r *Reconciler) writeStatus(ctx context.Context, o *observation, report *v1alpha1.GinServiceStatus) (time.Duration, error) {
	before, key := &o.gs.Status, client.ObjectKeyFromObject(o.gs)
	if equality.Semantic.DeepEqual(before, report) {
		r.pace.statusCurrent(key)
		return 0, nil
	}
	var wait time.Duration
	switch {
	case begins(before, report, v1alpha1.StepSwitching) && foundTheSame(before.Rollout, report.Rollout):
		// The confirmation is a moment away, and says more. Were it lost with this process, the live selector would still tell.
		wait = r.pace.confirmIn(key, o.state.Now)
	case sameButNumbers(before, report):
		wait = r.pace.numbersIn(key, o.state.Now)
	}
	if wait > 0 {
		return wait, nil
	}
	updated := o.gs.DeepCopy()
	updated.Status = *report
	if err := r.Client.Status().Update(ctx, updated, client.FieldOwner(FieldOwner)); err != nil {
		return 0, err
	}
	r.pace.statusCurrent(key)
	return 0, nil
}

// foundTheSame reports whether two records say the same of their analyses. What was measured just before a switch can't be measured after it.
func foundTheSame(before, after *v1alpha1.RolloutStatus) bool {
	if before == nil {
		return after.Analysis == nil
	}
	return equality.Semantic.DeepEqual(before.Analysis, after.Analysis)
}

// begins reports whether the rollout enters a step.
func begins(before, after *v1alpha1.GinServiceStatus, step v1alpha1.RolloutStep) bool {
	return after.Rollout != nil && after.Rollout.Step == step && (before.Rollout == nil || before.Rollout.Step != step)
}

// sameButNumbers reports whether a report has no other news than pods that became ready, or ceased to be, and what follows from it sooner
// or later: the first pod makes a service available, an autoscaler begins to measure.
func sameButNumbers(before, after *v1alpha1.GinServiceStatus) bool {
	return equality.Semantic.DeepEqual(withoutNumbers(before), withoutNumbers(after)) &&
		!(apimeta.IsStatusConditionTrue(before.Conditions, v1alpha1.ConditionAvailable) &&
			apimeta.IsStatusConditionFalse(after.Conditions, v1alpha1.ConditionAvailable))
}

func withoutNumbers(status *v1alpha1.GinServiceStatus) *v1alpha1.GinServiceStatus {
	status = status.DeepCopy()
	apimeta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionAvailable)
	apimeta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionAutoscalingActive)
	status.Replicas = 0
	for i := range status.Colors {
		status.Colors[i].Ready = 0
	}
	if status.Rollout != nil {
		status.Rollout.Message = ""
	}
	for i := range status.Conditions {
		status.Conditions[i].Message = ""
	}
	return status
}

// announce emits the events of a pass, whose status is written, and counts what it did.
func (r *Reconciler) announce(o *observation, plan rollout.Plan, report *v1alpha1.GinServiceStatus) {
	for _, transition := range plan.Transitions {
		kind := corev1.EventTypeNormal
		if transition.Warning {
			kind = corev1.EventTypeWarning
		}
		if r.worthTelling(o, plan.Rollout, transition.Reason) {
			r.tell(o, kind, transition.Reason, "Rollout", transition.Message)
		}
		transitions.WithLabelValues(transition.Reason).Inc()
		record := plan.Rollout
		if transition.Reason == "RolloutCancelled" {
			record = o.gs.Status.Rollout // a newer one may have begun since
		}
		r.measure(o, record, transition.Reason)
	}
	before := apimeta.FindStatusCondition(o.gs.Status.Conditions, v1alpha1.ConditionReady)
	after := apimeta.FindStatusCondition(report.Conditions, v1alpha1.ConditionReady)
	news := before == nil || before.Reason != after.Reason || before.Message != after.Message
	if after.Reason == v1alpha1.ReasonPodsNotStarting && plan.Rollout != nil {
		news = news && r.isNews(o, plan.Rollout, after.Reason+": "+after.Message)
	}
	if worthWarning[after.Reason] && news {
		r.tell(o, corev1.EventTypeWarning, after.Reason, "Reconcile", after.Message)
	}
	r.announceOptional(o, report)
	if trouble, due := metricTrouble(report, o.state.Now); trouble != nil && due <= 0 && r.pace.firstWarning(client.ObjectKeyFromObject(o.gs), trouble) {
		note := "the HorizontalPodAutoscaler can't measure what it scales on, so the number of pods stays: install what serves the metric, or correct spec.autoscaling.metrics: "
		if trouble.Reason == v1alpha1.ReasonMetricMissing {
			note = "the HorizontalPodAutoscaler can't measure all that it scales on: install what serves the metric, or have only such in spec.autoscaling.metrics as have a value without requests, too: "
		}
		r.tell(o, corev1.EventTypeWarning, trouble.Reason, "Autoscale", note+trouble.Message)
	}
}

// worthTelling reports whether a transition is to be told. A preview whose pods are ready now and then would tell of that for ever: that it broke is
// told once in a while, and after that, that it is ready.
func (r *Reconciler) worthTelling(o *observation, record *v1alpha1.RolloutStatus, reason string) bool {
	switch reason {
	case rollout.PreviewReady:
		return r.isNews(o, record, reason)
	case rollout.PreviewNotReady:
		news := r.isNews(o, record, reason)
		if news {
			r.pace.unsay(client.ObjectKeyFromObject(o.gs), aboutRollout(record, rollout.PreviewReady))
		}
		return news
	default:
		return true
	}
}

// isNews reports whether something was not told of a rollout for a while.
func (r *Reconciler) isNews(o *observation, record *v1alpha1.RolloutStatus, what string) bool {
	return r.pace.isNews(client.ObjectKeyFromObject(o.gs), aboutRollout(record, what), o.state.Now)
}

// aboutRollout tells what is said of one rollout from what is said of another.
func aboutRollout(record *v1alpha1.RolloutStatus, what string) string {
	return fmt.Sprintf("%s %s %s", record.Revision, record.StartedAt, what)
}

// trafficReturned is the reason of what announceReturn tells.
const trafficReturned = "TrafficReturned"

// announceReturn tells that traffic was taken back from where it led nowhere. Status has nothing of it that could wait to be written.
func (r *Reconciler) announceReturn(o *observation, plan rollout.Plan) {
	if plan.Astray {
		r.tell(o, corev1.EventTypeWarning, trafficReturned, "Repair", fmt.Sprintf(
			"the active Service selected %s, which has no ready pods: traffic is back on %s, which served last", o.state.Selected, plan.Active))
		transitions.WithLabelValues(trafficReturned).Inc()
	}
}

// maxNote is what the API server allows the note of an event, in bytes. It refuses one that is longer.
const maxNote = 1024

func (r *Reconciler) tell(o *observation, kind, reason, action, note string) {
	r.Recorder.Eventf(o.gs, nil, kind, reason, action, "%s", shorten(note, maxNote))
}

// shorten cuts a text after a number of bytes, though not within a character.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// metricTrouble returns the condition of an autoscaler that fails to measure what it scales on, and in how long that is worth a warning: pods that
// have just started have no measurements for a while.
func metricTrouble(report *v1alpha1.GinServiceStatus, now time.Time) (*metav1.Condition, time.Duration) {
	condition := apimeta.FindStatusCondition(report.Conditions, v1alpha1.ConditionAutoscalingActive)
	if condition == nil || condition.Status != metav1.ConditionFalse || condition.Reason == scalingDisabled {
		return nil, 0
	}
	return condition, condition.LastTransitionTime.Add(patienceWith(condition)).Sub(now)
}

// worthWarning are the reasons of Ready that somebody has to help with.
var worthWarning = map[string]bool{
	v1alpha1.ReasonContested:       true,
	v1alpha1.ReasonReconcileError:  true,
	v1alpha1.ReasonNameTaken:       true,
	v1alpha1.ReasonConfigTooLarge:  true,
	v1alpha1.ReasonUnknownRevision: true,
	v1alpha1.ReasonRejected:        true,
	v1alpha1.ReasonPodsNotStarting: true,
}

// measure records how long a rollout, or its switch, took.
func (r *Reconciler) measure(o *observation, record *v1alpha1.RolloutStatus, reason string) {
	if result, counts := rolloutResults[reason]; counts && record != nil && record.StartedAt != nil {
		rolloutSeconds.WithLabelValues(result).Observe(o.state.Now.Sub(record.StartedAt.Time).Seconds())
	}
	if reason != "Promoted" {
		return
	}
	if since, known := r.pace.confirmed(client.ObjectKeyFromObject(o.gs)); known {
		switchSeconds.Observe(o.state.Now.Sub(since).Seconds())
	}
}

// nextLook returns when to look again if no event comes before: 0 is never.
func nextLook(o *observation, plan rollout.Plan, trouble *problem, report *v1alpha1.GinServiceStatus) time.Duration {
	if suspended(o.gs) {
		return 0
	}
	after := plan.After
	if trouble != nil {
		after = earliest(after, trouble.retryAfter)
	}
	if _, due := metricTrouble(report, o.state.Now); due > 0 {
		after = earliest(after, due)
	}
	if mayHaveTrouble(o, plan, report.Conditions) {
		after = earliest(after, patience)
	}
	after = earliest(after, earliest(o.route.nextLook(), o.monitor.nextLook()))
	if o.gs.Spec.Autoscaling != nil && o.hpa == nil && o.gs.Status.Selector == "" {
		after = earliest(after, conflictRetry) // the autoscaler waits for the selector in this report, and no event tells of that
	}
	return after
}

func earliest(a, b time.Duration) time.Duration {
	if a == 0 || (b > 0 && b < a) {
		return b
	}
	return a
}
