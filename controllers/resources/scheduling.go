package resources

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// schedule puts s into pod. Terms that name no pods are about those with the labels own: the pods of the same colour.
func schedule(pod *corev1ac.PodSpecApplyConfiguration, s *v1alpha1.Scheduling, own map[string]string) {
	pod.WithNodeSelector(s.NodeSelector)
	for i := range s.Tolerations {
		pod.WithTolerations(convert[corev1ac.TolerationApplyConfiguration](&s.Tolerations[i]))
	}
	if s.Affinity != nil {
		pod.WithAffinity(affinity(s.Affinity, own))
	}
	for i := range s.TopologySpreadConstraints {
		constraint := convert[corev1ac.TopologySpreadConstraintApplyConfiguration](&s.TopologySpreadConstraints[i])
		if constraint.LabelSelector == nil {
			constraint.WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(own))
		}
		pod.WithTopologySpreadConstraints(constraint)
	}
	if s.PriorityClassName != "" {
		pod.WithPriorityClassName(s.PriorityClassName)
	}
}

func affinity(a *v1alpha1.Affinity, own map[string]string) *corev1ac.AffinityApplyConfiguration {
	built := corev1ac.Affinity()
	if a.NodeAffinity != nil {
		built.WithNodeAffinity(convert[corev1ac.NodeAffinityApplyConfiguration](a.NodeAffinity))
	}
	if a.PodAffinity != nil {
		required, preferred := affinityTerms(a.PodAffinity, own)
		built.WithPodAffinity(corev1ac.PodAffinity().
			WithRequiredDuringSchedulingIgnoredDuringExecution(required...).
			WithPreferredDuringSchedulingIgnoredDuringExecution(preferred...))
	}
	if a.PodAntiAffinity != nil {
		required, preferred := affinityTerms(a.PodAntiAffinity, own)
		built.WithPodAntiAffinity(corev1ac.PodAntiAffinity().
			WithRequiredDuringSchedulingIgnoredDuringExecution(required...).
			WithPreferredDuringSchedulingIgnoredDuringExecution(preferred...))
	}
	return built
}

func affinityTerms(a *v1alpha1.PodAffinity, own map[string]string) (
	required []*corev1ac.PodAffinityTermApplyConfiguration, preferred []*corev1ac.WeightedPodAffinityTermApplyConfiguration,
) {
	for i := range a.RequiredDuringSchedulingIgnoredDuringExecution {
		required = append(required, affinityTerm(&a.RequiredDuringSchedulingIgnoredDuringExecution[i], own))
	}
	for i := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		term := &a.PreferredDuringSchedulingIgnoredDuringExecution[i]
		preferred = append(preferred, corev1ac.WeightedPodAffinityTerm().
			WithWeight(term.Weight).
			WithPodAffinityTerm(affinityTerm(&term.PodAffinityTerm, own)))
	}
	return required, preferred
}

func affinityTerm(t *v1alpha1.PodAffinityTerm, own map[string]string) *corev1ac.PodAffinityTermApplyConfiguration {
	selector := labelSelector(t.LabelSelector)
	if selector == nil {
		selector = metav1ac.LabelSelector().WithMatchLabels(own)
	}
	return corev1ac.PodAffinityTerm().WithLabelSelector(selector).WithTopologyKey(t.TopologyKey)
}

func labelSelector(s *metav1.LabelSelector) *metav1ac.LabelSelectorApplyConfiguration {
	if s == nil {
		return nil
	}
	return convert[metav1ac.LabelSelectorApplyConfiguration](s)
}
