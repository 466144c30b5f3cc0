package kubelet

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const hostIP = "10.127.0.1"

// status returns the status that a kubelet reports for a pod with this outcome.
func status(pod *corev1.Pod, o outcome, podIP string, now metav1.Time) corev1.PodStatus {
	s := corev1.PodStatus{
		Phase:     corev1.PodPending,
		StartTime: pod.Status.StartTime,
		HostIP:    hostIP,
		HostIPs:   []corev1.HostIP{{IP: hostIP}},
		PodIP:     podIP,
		PodIPs:    []corev1.PodIP{{IP: podIP}},
	}
	if s.StartTime == nil {
		s.StartTime = &now
	}
	ready := o.state == Ready
	// A pod whose containers have all been started once is Running, whether they still are or not.
	if ready || o.state == NotReady || o.state == CrashLoop {
		s.Phase = corev1.PodRunning
	}
	for i := range pod.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, containerStatus(&pod.Spec.Containers[i], o, now))
	}
	reason := ""
	if !ready {
		reason = "ContainersNotReady"
	}
	s.Conditions = []corev1.PodCondition{
		condition(pod, corev1.PodReadyToStartContainers, true, "", now),
		condition(pod, corev1.PodInitialized, true, "", now),
		condition(pod, corev1.PodReady, ready, reason, now),
		condition(pod, corev1.ContainersReady, ready, reason, now),
		condition(pod, corev1.PodScheduled, true, "", now),
	}
	return s
}

func containerStatus(container *corev1.Container, o outcome, now metav1.Time) corev1.ContainerStatus {
	running := o.state == Ready || o.state == NotReady
	c := corev1.ContainerStatus{
		Name:         container.Name,
		Image:        container.Image,
		Ready:        o.state == Ready,
		Started:      &running,
		RestartCount: o.restarts,
	}
	crashed := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", FinishedAt: now}}
	if o.restarts > 0 {
		c.LastTerminationState = crashed
	}
	switch {
	case running:
		c.State.Running = &corev1.ContainerStateRunning{StartedAt: now}
	case !o.created:
		c.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	default:
		c.State.Waiting = &corev1.ContainerStateWaiting{Reason: string(o.state), Message: message(container, o)}
		if o.state == CrashLoop {
			c.LastTerminationState = crashed
		}
	}
	return c
}

// message returns what a kubelet says about a container that is waiting.
func message(container *corev1.Container, o outcome) string {
	if o.message != "" {
		return o.message
	}
	switch o.state {
	case CrashLoop:
		return fmt.Sprintf("back-off 5m0s restarting failed container=%s", container.Name)
	case ImagePullError:
		return fmt.Sprintf("failed to pull and unpack image %q: not found", container.Image)
	case ImagePullBackOff:
		return fmt.Sprintf("Back-off pulling image %q", container.Image)
	case ConfigError:
		return `secret "missing" not found`
	case Ready, NotReady, Unscheduled: // no container waits
		return ""
	default:
		return ""
	}
}

// condition returns a condition of the pod; its transition time stays unless the status changes.
func condition(pod *corev1.Pod, kind corev1.PodConditionType, holds bool, reason string, now metav1.Time) corev1.PodCondition {
	c := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, LastTransitionTime: now}
	if holds {
		c.Status = corev1.ConditionTrue
	}
	for i := range pod.Status.Conditions {
		if old := pod.Status.Conditions[i]; old.Type == kind && old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	return c
}
