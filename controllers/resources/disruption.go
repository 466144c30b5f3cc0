package resources

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

// PodDisruptionBudget is the budget for the pods of color, which is the one that serves, or nil if gs wants none: because it says so,
// or because it wants no more than one replica, which a budget would either not protect or not let go.
func PodDisruptionBudget(gs *v1alpha1.GinService, color v1alpha1.Color) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	d := &gs.Spec.DisruptionBudget
	if d.Mode == v1alpha1.DisruptionBudgetDisabled || wantedReplicas(gs) <= 1 {
		return nil
	}
	spec := policyv1ac.PodDisruptionBudgetSpec().
		WithSelector(colorSelector(gs, color)).
		// A pod that isn't ready protects nobody, and must not stand in the way of a node's drain.
		WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow)
	switch {
	case d.MinAvailable != nil:
		spec.WithMinAvailable(*d.MinAvailable)
	case d.MaxUnavailable != nil:
		spec.WithMaxUnavailable(*d.MaxUnavailable)
	default:
		spec.WithMaxUnavailable(intstr.FromInt32(1))
	}
	return policyv1ac.PodDisruptionBudget(names.PodDisruptionBudget(gs.Name), gs.Namespace).
		WithLabels(Labels(gs)).
		WithOwnerReferences(controllerReference(gs)).
		WithSpec(spec)
}

// wantedReplicas is how many replicas gs wants now: what /scale has, and with autoscaling no fewer than minReplicas. The lower bound
// alone would leave a service unprotected that has been scaled up from one.
func wantedReplicas(gs *v1alpha1.GinService) int32 {
	floor := int32(1)
	if a := gs.Spec.Autoscaling; a != nil {
		floor = valueOr(a.MinReplicas, defaultMinReplicas)
		return max(valueOr(gs.Spec.Replicas, floor), floor)
	}
	return valueOr(gs.Spec.Replicas, floor)
}
