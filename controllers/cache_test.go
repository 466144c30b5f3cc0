package controllers

import (
	"maps"
	"slices"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
)

// fresh returns a text that shares its memory with no other.
func fresh(text string) string { return string([]byte(text)) }

func cachedDeployment() *appsv1.Deployment {
	labels := func() map[string]string { return map[string]string{fresh("app"): fresh("hello")} }
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Name: "hello-blue", Namespace: fresh("shop"), UID: "1", Labels: labels(), Annotations: map[string]string{"note": fresh("hello")},
			OwnerReferences: []metav1.OwnerReference{{Kind: "GinService", Name: fresh("hello"), UID: types.UID(fresh("uid-1")), Controller: new(true)}},
			ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "gin-operator"}},
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)),
			Selector: &metav1.LabelSelector{MatchLabels: labels()},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels(), CreationTimestamp: metav1.Now()},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Image: "x", Env: []corev1.EnvVar{{Name: "APP", Value: fresh("hello")}},
					Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
				}}},
			},
		},
		Status: appsv1.DeploymentStatus{Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentAvailable}, {Type: appsv1.DeploymentReplicaFailure, Message: "quota"},
		}},
	}
}

// TestCacheSharesTexts guards the memory of an operator of many GinServices: it holds a dozen children of each.
func TestCacheSharesTexts(t *testing.T) {
	first, second := cachedDeployment(), cachedDeployment()
	for _, deployment := range []*appsv1.Deployment{first, second} {
		if _, err := keepNeeded(deployment); err != nil {
			t.Fatal(err)
		}
	}
	texts := func(d *appsv1.Deployment) []string {
		all := []string{d.Annotations["note"], d.OwnerReferences[0].Name, d.Spec.Template.Spec.Containers[0].Env[0].Value}
		for _, pairs := range []map[string]string{d.Labels, d.Spec.Selector.MatchLabels, d.Spec.Template.Labels} {
			all = append(all, slices.Collect(maps.Values(pairs))...)
		}
		return all
	}
	keys := func(d *appsv1.Deployment) []string {
		return slices.Concat(slices.Collect(maps.Keys(d.Labels)), slices.Collect(maps.Keys(d.Spec.Selector.MatchLabels)))
	}
	for what, all := range map[string][]string{
		"values": append(texts(first), texts(second)...), "keys": append(keys(first), keys(second)...), "namespaces": {first.Namespace, second.Namespace},
	} {
		for _, text := range all {
			if text != all[0] || unsafe.StringData(text) != unsafe.StringData(all[0]) { //nolint:gosec // looks, and touches nothing
				t.Errorf("%s: %q is in memory more than once", what, text)
			}
		}
	}
}

// TestCacheKeepsWhatIsRead: all that the operator writes or looks at has to survive, or it would repair what is not broken.
func TestCacheKeepsWhatIsRead(t *testing.T) {
	deployment := cachedDeployment()
	wantDeployment := deployment.DeepCopy()
	deployment.Annotations["deployment.kubernetes.io/revision"] = "3"
	wantDeployment.ManagedFields = nil
	wantDeployment.Status.Conditions = wantDeployment.Status.Conditions[1:]
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "hello", ManagedFields: []metav1.ManagedFieldsEntry{{}}},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"a": "b"}, Ports: []corev1.ServicePort{{Port: 80}}, Type: corev1.ServiceTypeClusterIP},
		Status:     corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{Hostname: "lb"}}}},
	}
	wantService := service.DeepCopy()
	wantService.ManagedFields, wantService.Status = nil, corev1.ServiceStatus{}
	autoscaler := &autoscalingv2.HorizontalPodAutoscaler{Status: autoscalingv2.HorizontalPodAutoscalerStatus{
		CurrentMetrics: []autoscalingv2.MetricStatus{{}, {Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricStatus{}}},
		Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{
			{Type: autoscalingv2.AbleToScale}, {Type: autoscalingv2.ScalingActive, Status: corev1.ConditionTrue},
		},
	}}
	wantAutoscaler := autoscaler.DeepCopy()
	wantAutoscaler.Status.Conditions = wantAutoscaler.Status.Conditions[1:]
	wantAutoscaler.Status.CurrentMetrics[1].Pods = nil
	gs := &v1alpha1.GinService{
		ObjectMeta: metav1.ObjectMeta{Name: "hello", Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "{}", v1alpha1.AnnotationPromote: "r2"}},
		Status:     v1alpha1.GinServiceStatus{ActiveColor: v1alpha1.Blue, Rollout: &v1alpha1.RolloutStatus{Revision: "r1", StartedAt: &metav1.MicroTime{}}},
	}
	gs.Spec.Config = map[string]string{"LOG_LEVEL": "info", "": ""}
	wantGS := gs.DeepCopy()
	delete(wantGS.Annotations, corev1.LastAppliedConfigAnnotation)
	for name, tc := range map[string]struct{ object, want any }{
		"a Deployment":              {deployment, wantDeployment},
		"a Service":                 {service, wantService},
		"a HorizontalPodAutoscaler": {autoscaler, wantAutoscaler},
		"a GinService":              {gs, wantGS},
		"a ConfigMap":               {&corev1.ConfigMap{Data: map[string]string{"A": "b"}, Immutable: new(true)}, &corev1.ConfigMap{Immutable: new(true)}},
		"a PodDisruptionBudget": {
			&policyv1.PodDisruptionBudget{Status: policyv1.PodDisruptionBudgetStatus{CurrentHealthy: 3}}, &policyv1.PodDisruptionBudget{},
		},
		"a NetworkPolicy": {
			&networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}},
			}}}},
			&networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}},
			}}}},
		},
		"a PodMonitor": {
			&monitoring.PodMonitor{Spec: runtime.RawExtension{Raw: []byte(`{"sampleLimit":7}`)}},
			&monitoring.PodMonitor{Spec: runtime.RawExtension{Raw: []byte(`{"sampleLimit":7}`)}},
		},
		"a ControllerRevision": {
			&appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: []byte("{}")}, Revision: 3},
			&appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: []byte("{}")}, Revision: 3},
		},
		"an EndpointSlice": {
			&discoveryv1.EndpointSlice{
				Ports: []discoveryv1.EndpointPort{{}},
				Endpoints: []discoveryv1.Endpoint{
					{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}, TargetRef: &corev1.ObjectReference{Name: "a", UID: "1"}},
					{Addresses: []string{"10.0.0.2"}},
				},
			},
			&discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{
				{Conditions: discoveryv1.EndpointConditions{Ready: new(false)}, TargetRef: &corev1.ObjectReference{Name: "a"}}, {},
			}},
		},
	} {
		meta, isObject := tc.object.(metav1.Object)
		if !isObject {
			t.Fatalf("%s is no object", name)
		}
		meta.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "somebody"}})
		got, err := keepNeeded(tc.object)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
