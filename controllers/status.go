package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// statusOf describes what was observed and planned. trouble is what somebody has to help with, or nil; pods is why pods don't become
// ready, or "".
func statusOf(o *observation, plan rollout.Plan, trouble *problem, pods string) *v1alpha1.GinServiceStatus {
	status := o.gs.Status.DeepCopy()
	status.ObservedGeneration = o.gs.Generation
	status.ActiveColor = plan.Active
	if _, exists := o.state.Colors[plan.Active]; exists || trouble == nil {
		status.ActiveRevision = plan.Colors[plan.Active].Revision
	} // else nobody knows whether what is planned can be had: it never served
	status.PreviewRevision = ""
	if plan.Preview.Color != plan.Active {
		status.PreviewRevision = plan.Preview.Revision
	}
	status.Replicas = o.state.Colors[plan.Active].Current
	status.Selector = resources.Selector(o.gs, plan.Active)
	status.Rollout = plan.Rollout
	status.Colors = nil
	for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
		if target, exists := plan.Colors[color]; exists {
			status.Colors = append(status.Colors, colorStatus(o, plan, color, target))
		}
	}
	c := &conditions{observation: o, plan: plan, trouble: trouble, pods: pods, status: status}
	c.set()
	return status
}

func colorStatus(o *observation, plan rollout.Plan, color v1alpha1.Color, target rollout.Target) v1alpha1.ColorStatus {
	status := v1alpha1.ColorStatus{Color: color, Revision: target.Revision, Replicas: target.Replicas, Role: v1alpha1.RoleColorPreview}
	if live := o.state.Colors[color]; live.Revision == target.Revision {
		status.Ready = min(live.Fresh(), target.Replicas) // neither pods of the revision before nor those that are on their way out
	}
	if revision, known := o.revision(target.Revision); known {
		status.Image = revision.Workload.Image
	} else if live := o.deployments[color]; live != nil && len(live.Spec.Template.Spec.Containers) > 0 {
		status.Image = live.Spec.Template.Spec.Containers[0].Image
	}
	switch record := plan.Rollout; {
	case color == plan.Active || plan.Both:
		status.Role = v1alpha1.RoleColorActive
	case target.Replicas == 0:
		status.Role = v1alpha1.RoleColorIdle
	case record != nil && (record.Step == v1alpha1.StepSwitching || record.Step == v1alpha1.StepDraining || record.WarmRevision == target.Revision):
		status.Role = v1alpha1.RoleColorWarm
	}
	return status
}

// conditions puts the state into conditions.
type conditions struct {
	*observation

	plan    rollout.Plan
	trouble *problem
	pods    string
	status  *v1alpha1.GinServiceStatus
}

func (c *conditions) set() {
	ready := c.ready()
	c.put(ready)
	c.put(c.available())
	c.put(c.progressing())
	stalled := c.stalled()
	c.putWhile(stalled, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: ready.Reason, Message: ready.Message})
	c.putWhile(!stalled && ready.Status != metav1.ConditionTrue && !suspended(c.gs), metav1.Condition{
		Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: ready.Reason, Message: ready.Message,
	})
	taken := c.trouble != nil && c.trouble.reason == v1alpha1.ReasonNameTaken
	conflict := metav1.Condition{Type: v1alpha1.ConditionNameConflict, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonNameTaken, Message: ready.Message}
	for _, own := range []*problem{c.route.trouble, c.monitor.trouble} {
		if own != nil && own.reason == v1alpha1.ReasonNameTaken && !taken {
			taken, conflict.Message = true, own.message
		}
	}
	c.putWhile(taken, conflict)
	if c.gs.Spec.Autoscaling == nil {
		apimeta.RemoveStatusCondition(&c.status.Conditions, v1alpha1.ConditionAutoscalingActive)
	} else {
		c.put(c.autoscaling())
	}
	if c.gs.Spec.Route == nil {
		apimeta.RemoveStatusCondition(&c.status.Conditions, v1alpha1.ConditionRouteAccepted)
	} else {
		c.put(c.routeAccepted())
	}
	if c.gs.Spec.Monitoring.Type != v1alpha1.MonitoringPodMonitor {
		apimeta.RemoveStatusCondition(&c.status.Conditions, v1alpha1.ConditionMonitored)
	} else {
		c.put(c.monitored())
	}
}

func (c *conditions) put(condition metav1.Condition) {
	condition.ObservedGeneration = c.gs.Generation
	condition.LastTransitionTime = metav1.NewTime(c.state.Now)
	condition.Message = shorten(condition.Message, maxMessage)
	apimeta.SetStatusCondition(&c.status.Conditions, condition)
}

// maxMessage is what the CRD allows the message of a rollout, and with room to spare that of a condition. It counts characters, and this
// counts bytes.
const maxMessage = 4096

// putWhile sets a condition that is present only while it holds.
func (c *conditions) putWhile(holds bool, condition metav1.Condition) {
	if holds {
		c.put(condition)
		return
	}
	apimeta.RemoveStatusCondition(&c.status.Conditions, condition.Type)
}

func (c *conditions) step() v1alpha1.RolloutStep {
	if c.plan.Rollout == nil {
		return v1alpha1.StepDeploying
	}
	return c.plan.Rollout.Step
}

// stalled reports whether nothing gets further without help.
func (c *conditions) stalled() bool {
	return (c.trouble != nil && c.trouble.reason != v1alpha1.ReasonReconcileError) || rollout.Stopped(c.step())
}

func (c *conditions) ready() metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse}
	live := c.state.Colors[c.plan.Active]
	record := c.plan.Rollout
	switch step := c.step(); {
	case c.trouble != nil:
		condition.Reason, condition.Message = c.trouble.reason, c.trouble.message
	case suspended(c.gs) && live.Revision != c.state.Wanted:
		condition.Reason = v1alpha1.ReasonSuspended
		condition.Message = fmt.Sprintf("spec.suspend is set: revision %s is not rolled out until it is taken away", c.state.Wanted)
	case rollout.Stopped(step):
		condition.Reason = reasonOf(record)
		condition.Message = fmt.Sprintf("revision %s: %s; %s", record.Revision, record.Message, c.wayOut(record))
	case c.pods != "":
		condition.Reason, condition.Message = v1alpha1.ReasonPodsNotStarting, c.pods
	case live.Revision != c.state.Wanted || (step != v1alpha1.StepDraining && step != v1alpha1.StepCompleted && step != v1alpha1.StepCancelled):
		condition.Reason, condition.Message = v1alpha1.ReasonRollingOut, "the wanted revision does not serve yet"
		if record != nil && record.Revision == c.state.Wanted {
			condition.Message = record.Message
		}
	case c.plan.Serving == 0:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, v1alpha1.ReasonScaledToZero, "no replica is wanted"
	case !live.Settled || live.Available < c.plan.Serving:
		condition.Reason, condition.Message = v1alpha1.ReasonScaling, fmt.Sprintf("%d of %d pods ready", live.Available, c.plan.Serving)
	default:
		condition.Status, condition.Reason = metav1.ConditionTrue, v1alpha1.ReasonServing
		condition.Message = fmt.Sprintf("revision %s serves as %s", live.Revision, c.plan.Active)
		if c.held != "" {
			condition.Message += fmt.Sprintf("; the annotation %s holds it in place of revision %s, which is that of spec", v1alpha1.AnnotationRollback, c.held)
		}
	}
	return condition
}

// reasonOf returns why a rollout has come to nothing. One whose analysis fails is aborted for that.
func reasonOf(record *v1alpha1.RolloutStatus) string {
	failed := func(analysis *v1alpha1.AnalysisStatus) bool {
		return analysis != nil && analysis.Outcome == v1alpha1.AnalysisFailed
	}
	switch {
	case record.Step != v1alpha1.StepAborted:
		return v1alpha1.ReasonProgressDeadlineExceeded
	case failed(record.Analysis) || failed(record.PostPromotionAnalysis):
		return v1alpha1.ReasonAnalysisFailed
	default:
		return v1alpha1.ReasonAborted
	}
}

// wayOut says what to do about a rollout that came to nothing.
func (c *conditions) wayOut(record *v1alpha1.RolloutStatus) string {
	first := ""
	if c.state.Aborted == record.Revision {
		first = "remove the annotation " + v1alpha1.AnnotationAbort + " and "
	}
	if c.held != "" {
		return fmt.Sprintf("to try again, %sset the annotation %s: %s; to go on without it, remove the annotation %s, or have it name another revision",
			first, v1alpha1.AnnotationRetry, rollout.NextRetry(record), v1alpha1.AnnotationRollback)
	}
	message := fmt.Sprintf("to try again, %schange the spec, or set the annotation %s: %s", first, v1alpha1.AnnotationRetry, rollout.NextRetry(record))
	if record.Revision != c.status.ActiveRevision {
		message += fmt.Sprintf("; to go back, apply the spec of revision %s", c.status.ActiveRevision)
	}
	return message
}

func (c *conditions) available() metav1.Condition {
	if c.state.ActiveEndpoints[v1alpha1.Blue]+c.state.ActiveEndpoints[v1alpha1.Green] > 0 {
		return metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonEndpointsReady, Message: "the active Service has ready endpoints"}
	}
	if c.plan.Serving == 0 {
		return metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonScaledToZero, Message: "no replica is wanted"}
	}
	return metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNoReadyEndpoints, Message: "the active Service has no ready endpoint"}
}

func (c *conditions) progressing() metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonComplete, Message: "no rollout is under way"}
	if c.plan.Rollout != nil {
		condition.Message = c.plan.Rollout.Message + clocked(c.plan.Rollout)
	}
	switch step := c.step(); step {
	case v1alpha1.StepCompleted, v1alpha1.StepCancelled:
	case v1alpha1.StepFailed, v1alpha1.StepAborted:
		condition.Reason = reasonOf(c.plan.Rollout)
	default:
		condition.Status, condition.Reason = metav1.ConditionTrue, string(step)
	}
	if suspended(c.gs) {
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonSuspended
		condition.Message = "spec.suspend is set: nothing is changed until it is taken away"
		if c.plan.Astray {
			condition.Message += fmt.Sprintf("; the active Service selects %s, which has no ready pods", c.state.Selected)
		}
	}
	return condition
}

// clocked says since when a step of a rollout waits, and until when at most.
func clocked(record *v1alpha1.RolloutStatus) string {
	clock := func(t *metav1.MicroTime) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case record.Since == nil:
		return "" // an older operator wrote it
	case record.Until == nil:
		return fmt.Sprintf(" (since %s)", clock(record.Since))
	default:
		return fmt.Sprintf(" (since %s, until %s at most)", clock(record.Since), clock(record.Until))
	}
}

// scalingDisabled is the reason that an autoscaler gives where there are to be no pods, but for a zero that it has gone to by itself.
const scalingDisabled = "ScalingDisabled"

// autoscaling repeats what the autoscaler reports. Its message may change with every measurement: of those that differ in numbers alone, the first
// one is kept.
func (c *conditions) autoscaling() metav1.Condition {
	condition := metav1.Condition{
		Type: v1alpha1.ConditionAutoscalingActive, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonAutoscalingUnknown,
		Message: "the HorizontalPodAutoscaler has not reported yet",
	}
	if !controls(c.gs, c.hpa) {
		return condition
	}
	reported := scalingActive(c.hpa)
	if reported == nil {
		return condition
	}
	condition.Status, condition.Reason = metav1.ConditionStatus(reported.Status), reported.Reason
	condition.Message = reported.Message
	missing, head := unmeasured(c.hpa), "" // a message that is kept from before has to begin with head
	switch {
	case reported.Reason == scalingDisabled:
		condition.Message = "replicas is 0, and the HorizontalPodAutoscaler did not set that, so it pauses: scale to one or more to have it go on"
	case len(missing) > 0 && slices.ContainsFunc(c.hpa.Status.CurrentMetrics, func(m autoscalingv2.MetricStatus) bool { return m.Type != "" }):
		// Kubernetes says so only where the others ask for fewer pods.
		head = "there is no value of " + strings.Join(missing, ", ") + ": by the other metrics, the HorizontalPodAutoscaler adds pods, and takes none away; "
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, v1alpha1.ReasonMetricMissing, head+"its events say why"
		if reported.Status != corev1.ConditionTrue {
			condition.Message = head + reported.Message
		}
	case reported.Status == corev1.ConditionTrue:
		condition.Message = "the HorizontalPodAutoscaler decides on the number of pods"
	}
	before := apimeta.FindStatusCondition(c.gs.Status.Conditions, v1alpha1.ConditionAutoscalingActive)
	if before != nil && before.Status == condition.Status && before.Reason == condition.Reason && strings.HasPrefix(before.Message, head) &&
		withoutDigits(before.Message) == withoutDigits(condition.Message) {
		condition.Message = before.Message
	}
	return condition
}

func withoutDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, text)
}

// unmeasured returns what an autoscaler has no value of and should have. Its report has an entry for each of its metrics, in their order, and one without
// a type where it got none. Without pods, what is measured in them has none.
func unmeasured(hpa *autoscalingv2.HorizontalPodAutoscaler) []string {
	if len(hpa.Status.CurrentMetrics) != len(hpa.Spec.Metrics) {
		return nil
	}
	var names []string
	for i := range hpa.Status.CurrentMetrics {
		metric := &hpa.Spec.Metrics[i]
		ofPods := metric.Pods != nil || metric.Resource != nil || metric.ContainerResource != nil
		if hpa.Status.CurrentMetrics[i].Type == "" && !(ofPods && hpa.Status.CurrentReplicas == 0) {
			names = append(names, metricName(metric))
		}
	}
	return names
}

func metricName(metric *autoscalingv2.MetricSpec) string {
	switch {
	case metric.Resource != nil:
		return string(metric.Resource.Name)
	case metric.ContainerResource != nil:
		return string(metric.ContainerResource.Name)
	case metric.Pods != nil:
		return metric.Pods.Metric.Name
	case metric.Object != nil:
		return metric.Object.Metric.Name
	case metric.External != nil:
		return metric.External.Metric.Name
	default: // a type that is newer than this operator
		return string(metric.Type)
	}
}

// scalingActive returns the condition in which an autoscaler reports whether it can measure what it scales on, or nil.
func scalingActive(hpa *autoscalingv2.HorizontalPodAutoscaler) *autoscalingv2.HorizontalPodAutoscalerCondition {
	for i := range hpa.Status.Conditions {
		if hpa.Status.Conditions[i].Type == autoscalingv2.ScalingActive {
			return &hpa.Status.Conditions[i]
		}
	}
	return nil
}
