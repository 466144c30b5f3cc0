package controllers

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// pod returns a pod whose container is in a state.
func pod(name string, status corev1.ContainerStatus) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "example.com/hello:v2"}}},
		Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{status}},
	}
}

func waiting(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func crashed(restarts int32, now corev1.ContainerState) corev1.ContainerStatus {
	last := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}
	return corev1.ContainerStatus{RestartCount: restarts, State: now, LastTerminationState: last}
}

func running(since time.Duration) corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start.Add(-since))}}
}

func TestTroubleOf(t *testing.T) {
	unscheduled := corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes are available: 1 Insufficient cpu."},
	}}}
	leaving := pod("a", waiting("ErrImagePull", ""))
	creating := pod("a", waiting("ContainerCreating", ""))
	creating.Status.StartTime = &metav1.Time{Time: start.Add(-time.Minute)}
	leaving.DeletionTimestamp = &metav1.Time{Time: start}
	for name, tc := range map[string]struct {
		pods []corev1.Pod
		want string
	}{
		"no pods":                           {nil, ""},
		"a pod that is being made":          {[]corev1.Pod{pod("a", waiting("ContainerCreating", ""))}, ""},
		"a pod that is being made for long": {[]corev1.Pod{creating}, "the kubelet can't create the container: look at the events of the pods with kubectl describe: a volume, a Secret or a ConfigMap may be missing, or the network"},
		"a pod that is ready":               {[]corev1.Pod{pod("a", corev1.ContainerStatus{Ready: true, RestartCount: 3, State: running(time.Hour)})}, ""},
		"a pod that has just begun":         {[]corev1.Pod{pod("a", corev1.ContainerStatus{State: running(time.Second)})}, ""},
		"a pod that is leaving":             {[]corev1.Pod{leaving}, ""},
		"a pod that never gets ready":       {[]corev1.Pod{pod("a", corev1.ContainerStatus{State: running(time.Minute)})}, "pods run but are not ready: look at the answer of their readiness probe and at their logs"},
		"an image that is not there":        {[]corev1.Pod{pod("a", waiting("ImagePullBackOff", "Back-off"))}, "the image example.com/hello:v2 can't be pulled: check spec.image and spec.imagePullSecrets"},
		"a Secret that is not there":        {[]corev1.Pod{pod("a", waiting("CreateContainerConfigError", `secret "s" not found`))}, `the container can't be started: secret "s" not found: check spec.env, spec.envFrom, spec.command and spec.volumes`},
		"a node that is not there":          {[]corev1.Pod{unscheduled}, "pods can't be scheduled: free or add nodes, or change spec.resources or spec.scheduling: 0/1 nodes are available: 1 Insufficient cpu."},
		"a crash loop while it waits":       {[]corev1.Pod{pod("a", crashed(4, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}))}, "the container ends with exit code 137 (OOMKilled) and is restarted: look at its logs"},
		"a crash loop while it runs":        {[]corev1.Pod{pod("a", crashed(5, running(time.Second)))}, "the container ends with exit code 137 (OOMKilled) and is restarted: look at its logs"},
		"the same trouble in each pod":      {[]corev1.Pod{pod("a", waiting("ErrImagePull", "x")), pod("b", waiting("ImagePullBackOff", "y"))}, "the image example.com/hello:v2 can't be pulled: check spec.image and spec.imagePullSecrets"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, troubleOf(tc.pods, start)); diff != "" {
				t.Error(diff)
			}
		})
	}
	one, other := pod("a", waiting("ErrImagePull", "")), unscheduled
	if troubleOf([]corev1.Pod{one, other}, start) != troubleOf([]corev1.Pod{other, one}, start) {
		t.Error("the order of the pods changes the message")
	}
}

func TestRefusedPodsSayNothingThatChanges(t *testing.T) {
	refused := func(message string) string {
		return heldUp(&appsv1.Deployment{Status: appsv1.DeploymentStatus{Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: message},
		}}})
	}
	before := refused(`pods "hello-green-7d9c-x2x4f" is forbidden: exceeded quota: few, requested: cpu=1,pods=1, used: cpu=3,pods=1, limited: cpu=4,pods=1`)
	after := refused(`pods "hello-green-7d9c-9kk2p" is forbidden: exceeded quota: few, requested: cpu=1,pods=1, used: cpu=4,pods=9, limited: cpu=4,pods=1`)
	want := "pods are refused: exceeded quota: few, requested: cpu=1,pods=1, limited: cpu=4,pods=1: raise the quota, or ask for less in spec.resources or spec.replicas"
	if before != want || after != want {
		t.Errorf("heldUp = %q, then %q", before, after)
	}
	if got := refused(`pods "x" is forbidden: no service account`); !strings.Contains(got, "refused: no service account: create what is missing") {
		t.Errorf("heldUp = %q", got)
	}
	if got := heldUp(nil) + heldUp(&appsv1.Deployment{}); got != "" {
		t.Errorf("nothing is refused, but %q", got)
	}
}

func TestAPausedDeploymentIsTold(t *testing.T) {
	paused := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "hello-green"}, Spec: appsv1.DeploymentSpec{Paused: true}}
	if got := heldUp(paused); !strings.HasSuffix(got, "kubectl rollout resume deployment hello-green") {
		t.Errorf("heldUp = %q", got)
	}
}

func TestAskPods(t *testing.T) {
	const crashes = "the container ends with exit code 137 (OOMKilled) and is restarted: look at its logs"
	condition := func(reason, message string, age time.Duration) metav1.Condition {
		return metav1.Condition{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: message,
			LastTransitionTime: metav1.NewTime(start.Add(-age)),
		}
	}
	for name, tc := range map[string]struct {
		ready     metav1.Condition
		before    string // the revision of the record in status
		failing   bool
		asked     bool // a moment ago
		available int32
		none      bool // the Deployment has made no pods
		outgoing  bool // the pods are of the revision before
		waiting   bool // for a promotion
		inPlace   bool // no colour has the revision
		want      string
		asks      int
	}{
		"a service that has not been waiting for long": {ready: condition("RollingOut", "", time.Second), before: "new"},
		"a service that waits":                         {ready: condition("RollingOut", "", time.Minute), before: "new", want: crashes, asks: 1},
		"a service whose pods were asked a moment ago": {ready: condition("PodsNotStarting", "the answer", time.Minute), before: "new", asked: true, want: "the answer"},
		"an answer about the revision before":          {ready: condition("PodsNotStarting", "the answer", time.Minute), before: "old", asked: true},
		"a rollout that fails in this pass":            {ready: condition("RollingOut", "", time.Second), before: "new", failing: true, asked: true, want: crashes, asks: 1},
		"pods of a revision that goes":                 {ready: condition("RollingOut", "", time.Minute), before: "new", outgoing: true, asks: 1},
		"pods that are not there yet":                  {ready: condition("RollingOut", "", time.Minute), before: "new", none: true},
		"a preview that waits, with a pod that is not": {ready: condition("RollingOut", "", time.Minute), before: "new", waiting: true, available: 1, want: crashes, asks: 1},
		"a preview that waits for somebody":            {ready: condition("RollingOut", "", time.Minute), before: "new", waiting: true, available: 2},
		"a fix in place that waits for somebody":       {ready: condition("RollingOut", "", time.Minute), before: "new", waiting: true, inPlace: true},
		"pods that have all become ready":              {ready: condition("PodsNotStarting", "the answer", time.Minute), before: "new", available: 2},
	} {
		t.Run(name, func(t *testing.T) {
			gs := service()
			gs.Status.Conditions = []metav1.Condition{tc.ready}
			gs.Status.Rollout = &v1alpha1.RolloutStatus{Revision: tc.before, Step: v1alpha1.StepDeploying}
			o := serving(gs)
			o.state.Wanted = "new"
			o.state.Colors[v1alpha1.Green] = rollout.Color{Revision: "new", Replicas: 2, Current: 2, Updated: 2, Available: tc.available, Settled: true}
			if tc.none {
				o.state.Colors[v1alpha1.Green] = rollout.Color{Revision: "new", Replicas: 2, Settled: true}
			}
			plan := completed(o)
			plan.Preview = rollout.Preview{Color: v1alpha1.Green, Revision: "new"}
			plan.Colors[v1alpha1.Green] = rollout.Target{Revision: "new", Replicas: 2}
			plan.Rollout = &v1alpha1.RolloutStatus{Revision: "new", Step: v1alpha1.StepDeploying}
			if tc.waiting {
				plan.Rollout.Step = v1alpha1.StepWaitingForPromotion
			}
			if tc.inPlace {
				o.state.Wanted, plan.Rollout.Revision = "newer", "newer"
				gs.Status.Rollout.Revision = "newer"
			}
			if tc.failing {
				plan.Transitions = []rollout.Transition{{Reason: "RolloutFailed"}}
			}
			broken := pod("green-1", crashed(3, running(time.Second)))
			broken.Labels = resources.SelectorLabels(gs, v1alpha1.Green)
			if broken.Labels[v1alpha1.LabelRevision] = "new"; tc.outgoing {
				broken.Labels[v1alpha1.LabelRevision] = "old"
			}
			asks := 0
			w := newWorld(t, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				asks++
				return c.List(ctx, list, opts...)
			}}, &broken)
			if tc.asked {
				w.pace.mayAsk(client.ObjectKeyFromObject(gs), start)
			}
			got, err := w.askPods(t.Context(), o, plan)
			if err != nil || got != tc.want || asks != tc.asks {
				t.Errorf("askPods = %q, %v after %d requests, want %q after %d", got, err, asks, tc.want, tc.asks)
			}
		})
	}
}

func TestExplainFailure(t *testing.T) {
	plan := rollout.Plan{
		Rollout:     &v1alpha1.RolloutStatus{Message: "0 of 2 pods became ready"},
		Transitions: []rollout.Transition{{Reason: "RolloutStarted", Message: "begins"}, {Reason: "RolloutFailed", Message: "failed"}},
	}
	plan = explainFailure(plan, strings.Repeat("界", maxMessage))
	if !strings.HasPrefix(plan.Rollout.Message, "0 of 2 pods became ready: 界") || len(plan.Rollout.Message) > maxMessage {
		t.Errorf("the record has a message of %d bytes: %.60s", len(plan.Rollout.Message), plan.Rollout.Message)
	}
	if plan.Transitions[0].Message != "begins" || !strings.HasPrefix(plan.Transitions[1].Message, "failed: 界") {
		t.Errorf("what is told is %.200v", plan.Transitions)
	}
}
