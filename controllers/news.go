package controllers

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
)

// The predicates below let through what a pass would see, and nothing else: most of what Kubernetes reports of a child while its pods
// start is of no interest here, and a pass that finds nothing new is the greater part of what a rollout costs.

// changed lets through a change of the spec or of an annotation.
var changed = predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})

// statusLost lets through that somebody wiped status, which is rebuilt from the children. All else that status tells, the operator wrote.
var statusLost = predicate.Funcs{
	CreateFunc: func(event.CreateEvent) bool { return false }, DeleteFunc: func(event.DeleteEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, isBefore := e.ObjectOld.(*v1alpha1.GinService)
		after, isAfter := e.ObjectNew.(*v1alpha1.GinService)
		return isBefore && isAfter && len(before.Status.Conditions) > 0 && len(after.Status.Conditions) == 0
	},
}

// notCreated leaves out the creation of children that nothing waits for. Only a pass of their GinService creates them, and one that
// found another object in the way asks for the next by itself.
var notCreated = predicate.Funcs{CreateFunc: func(event.CreateEvent) bool { return false }}

// news lets through each event but for updates after which a pass would see what it has seen before.
func news[T client.Object](differ func(before, after T) bool) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, isBefore := e.ObjectOld.(T)
		after, isAfter := e.ObjectNew.(T)
		return !isBefore || !isAfter || metadataDiffers(before, after) || differ(before, after)
	}}
}

// metadataDiffers compares what applying a child looks at in its metadata, and whether it is being deleted.
func metadataDiffers(before, after client.Object) bool {
	return before.GetDeletionTimestamp().IsZero() != after.GetDeletionTimestamp().IsZero() ||
		!maps.Equal(before.GetLabels(), after.GetLabels()) ||
		!maps.Equal(before.GetAnnotations(), after.GetAnnotations()) ||
		!equality.Semantic.DeepEqual(before.GetOwnerReferences(), after.GetOwnerReferences())
}

// deploymentNews leaves out what the Deployment controller reports beside the numbers of pods.
var deploymentNews = news(func(before, after *appsv1.Deployment) bool {
	return before.Generation != after.Generation || colorOf(before) != colorOf(after) || heldUp(before) != heldUp(after)
})

// endpointNews leaves out pods that come and go without being ready.
var endpointNews = news(func(before, after *discoveryv1.EndpointSlice) bool {
	return !slices.Equal(slices.Sorted(readyPods(before)), slices.Sorted(readyPods(after)))
})

// budgetNews leaves out how many pods may be evicted at the moment.
var budgetNews = news(func(before, after *policyv1.PodDisruptionBudget) bool { return before.Generation != after.Generation })

// monitorNews leaves out which Prometheus has taken a PodMonitor.
var monitorNews = news(func(before, after *monitoring.PodMonitor) bool { return before.Generation != after.Generation })

// scalingNews leaves out the measurements that an autoscaler reports every few seconds.
var scalingNews = news(func(before, after *autoscalingv2.HorizontalPodAutoscaler) bool {
	reportedBefore, reportedAfter := scalingActive(before), scalingActive(after)
	return !equality.Semantic.DeepEqual(before.Spec, after.Spec) ||
		(reportedBefore == nil) != (reportedAfter == nil) ||
		(reportedBefore != nil && (reportedBefore.Status != reportedAfter.Status || reportedBefore.Reason != reportedAfter.Reason)) ||
		!slices.Equal(unmeasured(before), unmeasured(after))
})
