package kubelet

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// State is what becomes of a pod.
type State string

const (
	// Ready runs and is ready.
	Ready State = "Ready"
	// NotReady runs, and its readiness probe fails.
	NotReady State = "NotReady"
	// Unscheduled finds no node.
	Unscheduled State = "Unscheduled"
	// CrashLoop has a container that ends again and again. With Behavior.Period, it is ready for that long between two crashes.
	CrashLoop State = "CrashLoopBackOff"
	// ImagePullError has an image that can't be pulled, at the first attempt.
	ImagePullError State = "ErrImagePull"
	// ImagePullBackOff has an image that could not be pulled several times.
	ImagePullBackOff State = "ImagePullBackOff"
	// ConfigError names a ConfigMap or Secret that does not exist.
	ConfigError State = "CreateContainerConfigError"
)

// Behavior is what a Kubelet does with a pod. The zero value is a pod that is ready at once and stops at once.
type Behavior struct {
	// State is what becomes of the pod. Default: Ready.
	State State
	// Delay is how long the pod takes to get to State, counted from when it is bound to the node, or from the call of Set where that
	// is later. Until then, its container is being created.
	Delay time.Duration
	// Period, for CrashLoop, is how long the container runs, ready, before it crashes, and how long it then waits to be started
	// again. Default: it never runs, and has crashed five times.
	Period time.Duration
	// Message is the message of a container that is waiting. Default: one that fits State.
	Message string
	// Linger is how long the pod stays after it was deleted: the time that a container takes to end.
	Linger time.Duration
}

// Match says which pods a Behavior is for.
type Match func(*corev1.Pod) bool

// Every matches all pods.
func Every() Match { return func(*corev1.Pod) bool { return true } }

// Image matches pods with a container of this image.
func Image(image string) Match {
	return func(pod *corev1.Pod) bool {
		for i := range pod.Spec.Containers {
			if pod.Spec.Containers[i].Image == image {
				return true
			}
		}
		return false
	}
}

// Label matches pods with this label.
func Label(key, value string) Match {
	return func(pod *corev1.Pod) bool {
		got, found := pod.Labels[key]
		return found && got == value
	}
}

// Namespace matches pods in this namespace.
func Namespace(namespace string) Match {
	return func(pod *corev1.Pod) bool { return pod.Namespace == namespace }
}

// And matches pods that all of matches do.
func And(matches ...Match) Match {
	return func(pod *corev1.Pod) bool {
		for _, match := range matches {
			if !match(pod) {
				return false
			}
		}
		return true
	}
}

// outcome is what a Kubelet reports of a pod at one moment.
type outcome struct {
	state    State
	message  string
	restarts int32
	created  bool
}

const crashesWithoutPeriod = 5

// at returns what is to be reported after elapsed, and when that changes: 0 for never.
func (b Behavior) at(elapsed time.Duration) (outcome, time.Duration) {
	if elapsed < b.Delay {
		return outcome{}, b.Delay - elapsed
	}
	o := outcome{state: b.State, message: b.Message, created: true}
	if o.state == "" {
		o.state = Ready
	}
	if o.state != CrashLoop {
		return o, 0
	}
	if b.Period <= 0 {
		o.restarts = crashesWithoutPeriod
		return o, 0
	}
	elapsed -= b.Delay
	turn := elapsed / b.Period
	o.restarts = int32(turn / 2)
	if turn%2 == 0 {
		o.state, o.message = Ready, ""
	}
	return o, b.Period - elapsed%b.Period
}
