package resources

import (
	"reflect"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

const (
	defaultMinReplicas           int32 = 1
	defaultCPUAverageUtilization int32 = 80
)

// HorizontalPodAutoscaler is the autoscaler of gs, or nil if it asks for none. Its target is the GinService itself: a switch of
// colours changes nothing about it.
func HorizontalPodAutoscaler(gs *v1alpha1.GinService) *autoscalingv2ac.HorizontalPodAutoscalerApplyConfiguration {
	if gs.Spec.Autoscaling == nil {
		return nil
	}
	a := gs.Spec.Autoscaling.DeepCopy()
	normalizeValue(reflect.ValueOf(a).Elem())
	if len(a.Metrics) == 0 {
		a.Metrics = []v1alpha1.Metric{{Type: v1alpha1.MetricCPU, AverageUtilization: new(defaultCPUAverageUtilization)}}
	}
	spec := autoscalingv2ac.HorizontalPodAutoscalerSpec().
		WithScaleTargetRef(autoscalingv2ac.CrossVersionObjectReference().
			WithAPIVersion(APIVersion).
			WithKind(Kind).
			WithName(gs.Name)).
		WithMinReplicas(valueOr(a.MinReplicas, defaultMinReplicas)).
		WithMaxReplicas(a.MaxReplicas)
	for i := range a.Metrics {
		spec.WithMetrics(metricSpec(&a.Metrics[i]))
	}
	if a.Behavior != nil {
		spec.WithBehavior(convert[autoscalingv2ac.HorizontalPodAutoscalerBehaviorApplyConfiguration](a.Behavior))
	}
	return autoscalingv2ac.HorizontalPodAutoscaler(names.HorizontalPodAutoscaler(gs.Name), gs.Namespace).
		WithLabels(Labels(gs)).
		WithOwnerReferences(controllerReference(gs)).
		WithSpec(spec)
}

func metricSpec(m *v1alpha1.Metric) *autoscalingv2ac.MetricSpecApplyConfiguration {
	built, target := autoscalingv2ac.MetricSpec(), metricTarget(m)
	switch m.Type {
	case v1alpha1.MetricPods:
		built.WithType(autoscalingv2.PodsMetricSourceType).
			WithPods(autoscalingv2ac.PodsMetricSource().WithMetric(metricIdentifier(m)).WithTarget(target))
	case v1alpha1.MetricObject:
		built.WithType(autoscalingv2.ObjectMetricSourceType).
			WithObject(autoscalingv2ac.ObjectMetricSource().
				WithDescribedObject(autoscalingv2ac.CrossVersionObjectReference().
					WithAPIVersion(m.Object.APIVersion).
					WithKind(m.Object.Kind).
					WithName(m.Object.Name)).
				WithMetric(metricIdentifier(m)).
				WithTarget(target))
	case v1alpha1.MetricExternal:
		built.WithType(autoscalingv2.ExternalMetricSourceType).
			WithExternal(autoscalingv2ac.ExternalMetricSource().WithMetric(metricIdentifier(m)).WithTarget(target))
	case v1alpha1.MetricMemory:
		built.WithType(autoscalingv2.ResourceMetricSourceType).
			WithResource(autoscalingv2ac.ResourceMetricSource().WithName(corev1.ResourceMemory).WithTarget(target))
	case v1alpha1.MetricCPU:
		built.WithType(autoscalingv2.ResourceMetricSourceType).
			WithResource(autoscalingv2ac.ResourceMetricSource().WithName(corev1.ResourceCPU).WithTarget(target))
	}
	return built
}

func metricTarget(m *v1alpha1.Metric) *autoscalingv2ac.MetricTargetApplyConfiguration {
	target := autoscalingv2ac.MetricTarget()
	switch {
	case m.AverageUtilization != nil:
		target.WithType(autoscalingv2.UtilizationMetricType).WithAverageUtilization(*m.AverageUtilization)
	case m.AverageValue != nil:
		target.WithType(autoscalingv2.AverageValueMetricType).WithAverageValue(*m.AverageValue)
	case m.Value != nil:
		target.WithType(autoscalingv2.ValueMetricType).WithValue(*m.Value)
	}
	return target
}

func metricIdentifier(m *v1alpha1.Metric) *autoscalingv2ac.MetricIdentifierApplyConfiguration {
	identifier := autoscalingv2ac.MetricIdentifier().WithName(m.Name)
	if m.Selector != nil {
		identifier.WithSelector(labelSelector(m.Selector))
	}
	return identifier
}
