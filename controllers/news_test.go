package controllers

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
)

// TestDeploymentNews: a report that changes nothing of what a pass sees starts none, and everything else does.
func TestDeploymentNews(t *testing.T) {
	base := &appsv1.Deployment{ObjectMeta: ownedBy(service(), "hello-blue")}
	base.Generation = 2
	base.Labels = map[string]string{v1alpha1.LabelColor: "blue"}
	base.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 1}
	expectNews(t, deploymentNews, base, map[string]change[*appsv1.Deployment]{
		"nothing":                      {func(*appsv1.Deployment) {}, false},
		"ready, and not available yet": {func(d *appsv1.Deployment) { d.Status.ReadyReplicas = 2 }, false},
		"progress": {func(d *appsv1.Deployment) {
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue}}
		}, false},
		"available pods": {func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 2 }, true},
		"fewer pods":     {func(d *appsv1.Deployment) { d.Status.Replicas = 1 }, true},
		"a change that the controller has not seen": {func(d *appsv1.Deployment) { d.Generation = 3 }, true},
		"pods that are refused": {func(d *appsv1.Deployment) {
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "quota"}}
		}, true},
		"a label":      {func(d *appsv1.Deployment) { d.Labels["x"] = "y" }, true},
		"its owner":    {func(d *appsv1.Deployment) { d.OwnerReferences = nil }, true},
		"its deletion": {func(d *appsv1.Deployment) { d.DeletionTimestamp = &metav1.Time{Time: start} }, true},
		"an annotation": {func(d *appsv1.Deployment) {
			d.Annotations = map[string]string{annotationIntent: "other"}
		}, true},
	})
}

func TestEndpointNews(t *testing.T) {
	endpoint := func(pod string, ready bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{TargetRef: &corev1.ObjectReference{Name: pod}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
	}
	base := &discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{endpoint("a", true), endpoint("b", false)}}
	expectNews(t, endpointNews, base, map[string]change[*discoveryv1.EndpointSlice]{
		"another order":             {func(s *discoveryv1.EndpointSlice) { s.Endpoints[0], s.Endpoints[1] = s.Endpoints[1], s.Endpoints[0] }, false},
		"a pod that is not ready":   {func(s *discoveryv1.EndpointSlice) { s.Endpoints = append(s.Endpoints, endpoint("c", false)) }, false},
		"a pod that is ready":       {func(s *discoveryv1.EndpointSlice) { s.Endpoints = append(s.Endpoints, endpoint("c", true)) }, true},
		"a pod that has become so":  {func(s *discoveryv1.EndpointSlice) { s.Endpoints[1] = endpoint("b", true) }, true},
		"one that is so no longer":  {func(s *discoveryv1.EndpointSlice) { s.Endpoints[0] = endpoint("a", false) }, true},
		"what the Service selects":  {func(s *discoveryv1.EndpointSlice) { s.Labels = map[string]string{v1alpha1.LabelRevision: "x"} }, true},
		"a pod in place of another": {func(s *discoveryv1.EndpointSlice) { s.Endpoints[0] = endpoint("z", true) }, true},
	})
}

func TestScalingNews(t *testing.T) {
	base := &autoscalingv2.HorizontalPodAutoscaler{}
	base.Spec.MaxReplicas = 3
	base.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{
		{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionTrue, Reason: "ValidMetricFound"},
	}
	base.Spec.Metrics = make([]autoscalingv2.MetricSpec, 2)
	base.Status.CurrentReplicas = 2
	base.Status.CurrentMetrics = []autoscalingv2.MetricStatus{{Type: autoscalingv2.PodsMetricSourceType}, {}}
	expectNews(t, scalingNews, base, map[string]change[*autoscalingv2.HorizontalPodAutoscaler]{
		"a measurement": {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Status.DesiredReplicas = 2 }, false},
		"its message":   {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Status.Conditions[0].Message = "50 %" }, false},
		"its reason":    {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Status.Conditions[0].Reason = "ScalingDisabled" }, true},
		"no report":     {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Status.Conditions = nil }, true},
		"its spec":      {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Spec.MaxReplicas = 4 }, true},
		"a value of what had none": {func(h *autoscalingv2.HorizontalPodAutoscaler) {
			h.Status.CurrentMetrics[1].Type = autoscalingv2.ResourceMetricSourceType
		}, true},
	})
}

func TestBudgetNews(t *testing.T) {
	base := &policyv1.PodDisruptionBudget{ObjectMeta: ownedBy(service(), "hello")}
	base.Generation = 1
	for name, tc := range map[string]change[*policyv1.PodDisruptionBudget]{
		"how many may be evicted": {func(b *policyv1.PodDisruptionBudget) { b.Status.DisruptionsAllowed = 1 }, false},
		"its spec":                {func(b *policyv1.PodDisruptionBudget) { b.Generation = 2 }, true},
		"its owner":               {func(b *policyv1.PodDisruptionBudget) { b.OwnerReferences = nil }, true},
	} {
		after := base.DeepCopy()
		tc.make(after)
		if got := budgetNews.Update(event.UpdateEvent{ObjectOld: base, ObjectNew: after}); got != tc.news {
			t.Errorf("%s: Update = %t, want %t", name, got, tc.news)
		}
	}
}

func TestMonitorNews(t *testing.T) {
	base := &monitoring.PodMonitor{ObjectMeta: ownedBy(service(), "hello")}
	base.Generation = 1
	expectNews(t, monitorNews, base, map[string]change[*monitoring.PodMonitor]{
		"that a Prometheus has taken it": {func(m *monitoring.PodMonitor) { m.ResourceVersion = "2" }, false},
		"its spec":                       {func(m *monitoring.PodMonitor) { m.Generation = 2 }, true},
		"its owner":                      {func(m *monitoring.PodMonitor) { m.OwnerReferences = nil }, true},
	})
}

func TestStatusLost(t *testing.T) {
	told, wiped := service(), service()
	told.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady}}
	for name, tc := range map[string]struct {
		before, after *v1alpha1.GinService
		lost          bool
	}{
		"wiped":         {told, wiped, true},
		"first written": {wiped, told, false},
		"as it was":     {told, told, false},
	} {
		if got := statusLost.Update(event.UpdateEvent{ObjectOld: tc.before, ObjectNew: tc.after}); got != tc.lost {
			t.Errorf("%s: Update = %t, want %t", name, got, tc.lost)
		}
	}
}

// change is what happens to an object, and whether a pass has to look.
type change[T client.Object] struct {
	make func(T)
	news bool
}

func expectNews[T client.Object](t *testing.T, p predicate.Predicate, base T, changes map[string]change[T]) {
	t.Helper()
	for name, tc := range changes {
		t.Run(name, func(t *testing.T) {
			after, ok := base.DeepCopyObject().(T)
			if !ok {
				t.Fatal("not a copy")
			}
			tc.make(after)
			if got := p.Update(event.UpdateEvent{ObjectOld: base, ObjectNew: after}); got != tc.news {
				t.Errorf("Update = %t, want %t", got, tc.news)
			}
		})
	}
	if !p.Create(event.CreateEvent{Object: base}) || !p.Delete(event.DeleteEvent{Object: base}) {
		t.Error("an object that appears or vanishes is news")
	}
}
