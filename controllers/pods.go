package controllers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// askedPods is how many pods are asked at most: they mostly have the same trouble.
const askedPods = 20

// askPods finds out why pods don't become ready, once that has taken a while, and returns "" where nothing is known. The answer has no
// name and no number that changes from one look to the next.
func (r *Reconciler) askPods(ctx context.Context, o *observation, plan rollout.Plan) (string, error) {
	failing := slices.ContainsFunc(plan.Transitions, func(t rollout.Transition) bool { return t.Reason == "RolloutFailed" })
	if !failing && !mayHaveTrouble(o, plan, o.gs.Status.Conditions) {
		return "", nil
	}
	color := plan.Active
	if plan.Preview.Color != color || failing {
		color = waitingColor(o, plan)
	}
	live, target := o.state.Colors[color], plan.Colors[color]
	if live.Revision == target.Revision && live.Uniform() && live.Available >= target.Replicas {
		return "", nil
	}
	if held := heldUp(o.deployments[color]); held != "" {
		return held, nil
	}
	before := apimeta.FindStatusCondition(o.gs.Status.Conditions, v1alpha1.ConditionReady)
	remembered := ""
	sameRollout := o.gs.Status.Rollout != nil && plan.Rollout != nil && o.gs.Status.Rollout.Revision == plan.Rollout.Revision
	if before != nil && before.Reason == v1alpha1.ReasonPodsNotStarting && sameRollout {
		remembered = before.Message
	}
	if !failing && !r.worthAsking(o, live, before) {
		return remembered, nil
	}
	// Others of the same colour are of a revision that is on its way out, and their trouble may be what this one mends.
	labels := resources.SelectorLabels(o.gs, color)
	if labels[v1alpha1.LabelRevision] = target.Revision; failing {
		labels[v1alpha1.LabelRevision] = plan.Rollout.Revision
	}
	var pods corev1.PodList
	err := r.Live.List(ctx, &pods, client.InNamespace(o.gs.Namespace), client.MatchingLabels(labels), client.Limit(askedPods))
	switch {
	case apierrors.IsForbidden(err):
		return remembered, nil // that something is wrong can be told without the why
	case err != nil:
		return "", fmt.Errorf("listing the pods of %s: %w", color, err)
	}
	return cmp.Or(troubleOf(pods.Items, o.state.Now), remembered), nil
}

// worthAsking reports whether there are pods, and it has taken long since something was said of them.
func (r *Reconciler) worthAsking(o *observation, live rollout.Color, ready *metav1.Condition) bool {
	there := live.Settled && live.Current > 0
	return there && ready != nil && !o.state.Now.Before(ready.LastTransitionTime.Add(patience)) &&
		r.pace.mayAsk(client.ObjectKeyFromObject(o.gs), o.state.Now)
}

// waitingColor returns the colour that the rollout waits for: the one that holds the wanted revision.
func waitingColor(o *observation, plan rollout.Plan) v1alpha1.Color {
	for color, live := range o.state.Colors {
		if live.Revision == o.state.Wanted {
			return color
		}
	}
	return plan.Preview.Color
}

// mayHaveTrouble reports whether pods are waited for.
func mayHaveTrouble(o *observation, plan rollout.Plan, conditions []metav1.Condition) bool {
	before := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if before == nil || before.Status != metav1.ConditionFalse || plan.Rollout == nil || suspended(o.gs) {
		return false
	}
	color := waitingColor(o, plan)
	live := o.state.Colors[color]
	forSomebody := plan.Rollout.Step == v1alpha1.StepWaitingForPromotion && (live.Revision != o.state.Wanted || live.Available >= plan.Colors[color].Replicas)
	return !rollout.Stopped(plan.Rollout.Step) && !forSomebody
}

// heldUp returns why a Deployment can't make the pods that are wanted, if it says so itself.
func heldUp(deployment *appsv1.Deployment) string {
	if deployment == nil {
		return ""
	}
	if deployment.Spec.Paused && deployment.Status.UpdatedReplicas < replicasOf(deployment) {
		return fmt.Sprintf("Deployment %s is paused, so that it changes no pods: kubectl rollout resume deployment %s", deployment.Name, deployment.Name)
	}
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			return adviseRefused(condition.Message)
		}
	}
	return ""
}

// adviseRefused says what to do about pods that the API server refuses.
func adviseRefused(message string) string {
	if _, why, cut := strings.Cut(message, " is forbidden: "); cut { // what comes before has a pod's generated name
		message = why
	}
	if !strings.Contains(message, "exceeded quota") {
		return "pods are refused: " + message + ": create what is missing, or correct what spec names"
	}
	// What a quota counts changes with all that is in the namespace.
	if before, after, found := strings.Cut(message, ", used: "); found {
		_, limited, _ := strings.Cut(after, ", limited: ")
		message = before + ", limited: " + limited
	}
	return "pods are refused: " + message + ": raise the quota, or ask for less in spec.resources or spec.replicas"
}

// troubleOf describes what keeps pods from becoming ready.
func troubleOf(pods []corev1.Pod, now time.Time) string {
	found := map[string]bool{}
	for i := range pods {
		if pods[i].DeletionTimestamp == nil {
			if trouble := podTrouble(&pods[i], now); trouble != "" {
				found[trouble] = true
			}
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(found)), "; ")
}

func podTrouble(pod *corev1.Pod, now time.Time) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			if strings.Contains(condition.Message, "persistentvolumeclaim") {
				return "pods can't be scheduled: create the claim that is missing, or correct spec.volumes: " + condition.Message
			}
			return "pods can't be scheduled: free or add nodes, or change spec.resources or spec.scheduling: " + condition.Message
		}
	}
	for _, container := range pod.Status.ContainerStatuses {
		if trouble := containerTrouble(&container, pod.Spec.Containers); trouble != "" {
			return trouble
		}
		if !container.Ready && container.State.Running != nil && now.Sub(container.State.Running.StartedAt.Time) > patience {
			return "pods run but are not ready: look at the answer of their readiness probe and at their logs"
		}
		if isCreating(&container) && pod.Status.StartTime != nil && now.Sub(pod.Status.StartTime.Time) > patience {
			return "the kubelet can't create the container: look at the events of the pods with kubectl describe: a volume, a Secret or a ConfigMap may be missing, or the network"
		}
	}
	return ""
}

// isCreating reports whether the kubelet has yet to create a container, for the first time.
func isCreating(status *corev1.ContainerStatus) bool {
	return status.State.Waiting != nil && status.State.Waiting.Reason == "ContainerCreating"
}

// containerTrouble puts the reasons that the kubelet gives for a container into words.
func containerTrouble(status *corev1.ContainerStatus, containers []corev1.Container) string {
	waiting := status.State.Waiting
	terminated := status.LastTerminationState.Terminated
	if status.State.Terminated != nil {
		terminated = status.State.Terminated
	}
	switch {
	case waiting != nil && slices.Contains([]string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}, waiting.Reason):
		image := status.Image
		if len(containers) > 0 {
			image = containers[0].Image
		}
		return fmt.Sprintf("the image %s can't be pulled: check spec.image and spec.imagePullSecrets", image)
	case waiting != nil && (waiting.Reason == "CreateContainerConfigError" || waiting.Reason == "CreateContainerError" || waiting.Reason == "RunContainerError"):
		return fmt.Sprintf("the container can't be started: %s: check spec.env, spec.envFrom, spec.command and spec.volumes", waiting.Message)
	case terminated != nil && !status.Ready && status.RestartCount > 0:
		return fmt.Sprintf("the container ends with exit code %d (%s) and is restarted: look at its logs", terminated.ExitCode, terminated.Reason)
	default:
		return ""
	}
}

// explainFailure adds what the pods say to the record of a rollout that fails in this pass, and to what is told about it.
func explainFailure(plan rollout.Plan, pods string) rollout.Plan {
	if pods == "" {
		return plan
	}
	for i, transition := range plan.Transitions {
		if transition.Reason == "RolloutFailed" {
			plan.Rollout.Message = shorten(plan.Rollout.Message+": "+pods, maxMessage)
			plan.Transitions[i].Message += ": " + pods
		}
	}
	return plan
}
