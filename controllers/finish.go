package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// finish ends a pass: it writes status, if it changed, then emits what a user should hear of, and says when to look again. It is the only
// place that does any of these.
func (r *Reconciler) finish(ctx context.Context, o *observation, plan rollout.Plan, failure error) (ctrl.Result, error) {
	if apierrors.IsConflict(failure) {
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	}
	trouble := problemOf(failure)
	if failure != nil && trouble == nil {
		return ctrl.Result{}, failure
	}
	if trouble != nil && plan.Switches(o.state) {
		plan.Active, plan.Rollout, plan.Transitions = o.state.Selected, o.gs.Status.Rollout, nil
	}
	if trouble == nil {
		trouble = o.invalid
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
	if wait > 0 {
		return ctrl.Result{RequeueAfter: earliest(after, wait)}, nil
	}
	r.announce(o, plan, report)
	return ctrl.Result{RequeueAfter: after}, nil
}

// writeStatus writes status if it changed. A change of numbers alone may have to wait, and it says how long.
func (r *Reconciler) writeStatus(ctx context.Context, o *observation, report *v1alpha1.GinServiceStatus) (time.Duration, error) {
	before := &o.gs.Status
	if equality.Semantic.DeepEqual(before, report) {
		return 0, nil
	}
	key := client.ObjectKeyFromObject(o.gs)
	if sameButNumbers(before, report) {
		if wait := r.pace.statusIn(key, o.state.Now); wait > 0 {
			return wait, nil
		}
	}
	updated := o.gs.DeepCopy()
	updated.Status = *report
	if err := r.Client.Status().Update(ctx, updated, client.FieldOwner(FieldOwner)); err != nil {
		return 0, err
	}
	r.pace.wroteStatus(key, o.state.Now)
	return 0, nil
}

// sameButNumbers reports whether two reports differ in nothing but pods that became ready, or ceased to be.
func sameButNumbers(a, b *v1alpha1.GinServiceStatus) bool {
	return equality.Semantic.DeepEqual(withoutNumbers(a), withoutNumbers(b))
}

func withoutNumbers(status *v1alpha1.GinServiceStatus) *v1alpha1.GinServiceStatus {
	status = status.DeepCopy()
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
		r.Recorder.Eventf(o.gs, nil, kind, transition.Reason, "Rollout", "%s", transition.Message)
		transitions.WithLabelValues(transition.Reason).Inc()
		r.measure(o, plan.Rollout, transition.Reason)
	}
	for _, conditionType := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionAutoscalingActive} {
		before := apimeta.FindStatusCondition(o.gs.Status.Conditions, conditionType)
		after := apimeta.FindStatusCondition(report.Conditions, conditionType)
		if after == nil || !worthWarning[after.Reason] && !isMetricTrouble(after) || (before != nil && before.Reason == after.Reason && before.Message == after.Message) {
			continue
		}
		r.Recorder.Eventf(o.gs, nil, corev1.EventTypeWarning, after.Reason, "Reconcile", "%s", after.Message)
	}
}

// worthWarning are the reasons of Ready that somebody has to help with.
var worthWarning = map[string]bool{
	v1alpha1.ReasonNameTaken:       true,
	v1alpha1.ReasonConfigTooLarge:  true,
	v1alpha1.ReasonRejected:        true,
	v1alpha1.ReasonPodsNotStarting: true,
}

// measure records how long a rollout, or its switch, took.
func (r *Reconciler) measure(o *observation, record *v1alpha1.RolloutStatus, reason string) {
	results := map[string]string{"Promoted": "promoted", "RolloutFailed": "failed", "RolloutCancelled": "cancelled"}
	if result, counts := results[reason]; counts && record != nil && record.StartedAt != nil {
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
	if mayHaveTrouble(o, plan, report.Conditions) {
		after = earliest(after, patience)
	}
	return after
}

func earliest(a, b time.Duration) time.Duration {
	if a == 0 || (b > 0 && b < a) {
		return b
	}
	return a
}
