package controllers

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// reconcileTimeout ends a pass that hangs. What it has written stays, and the next one goes on from there.
const reconcileTimeout = time.Minute

// SetupWithManager registers the reconciler with a manager. concurrency is the number of GinServices that are reconciled at a time.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, concurrency int) error {
	indexer := mgr.GetFieldIndexer()
	if err := indexer.IndexField(ctx, &appsv1.ControllerRevision{}, indexOwner, ownerIndex); err != nil {
		return fmt.Errorf("indexing ControllerRevisions: %w", err)
	}
	if err := indexer.IndexField(ctx, &discoveryv1.EndpointSlice{}, indexService, serviceIndex); err != nil {
		return fmt.Errorf("indexing EndpointSlices: %w", err)
	}
	changed := predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	owner := handler.EnqueueRequestForOwner(mgr.GetScheme(), mgr.GetRESTMapper(), &v1alpha1.GinService{}, handler.OnlyControllerOwner())
	return ctrl.NewControllerManagedBy(mgr).
		Named("ginservice").
		For(&v1alpha1.GinService{}, builder.WithPredicates(changed)).
		Watches(&appsv1.Deployment{}, progress(owner)).
		Owns(&corev1.Service{}).
		Owns(&corev1.ConfigMap{}).
		Owns(&appsv1.ControllerRevision{}).
		Owns(&policyv1.PodDisruptionBudget{}, builder.WithPredicates(predicate.Or(changed, predicate.LabelChangedPredicate{}))).
		Owns(&autoscalingv2.HorizontalPodAutoscaler{}, builder.WithPredicates(scalingChanged)).
		Watches(&discoveryv1.EndpointSlice{}, progress(handler.EnqueueRequestsFromMapFunc(serviceOfSlice))).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: concurrency,
			ReconciliationTimeout:   reconcileTimeout,
			EnableWarmup:            ptr.To(true),
		}).
		Complete(r)
}

// scalingChanged lets an autoscaler's events through that matter here. It reports new measurements every few seconds.
var scalingChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, isBefore := e.ObjectOld.(*autoscalingv2.HorizontalPodAutoscaler)
	after, isAfter := e.ObjectNew.(*autoscalingv2.HorizontalPodAutoscaler)
	if !isBefore || !isAfter {
		return true
	}
	reportedBefore, reportedAfter := scalingActive(before), scalingActive(after)
	return !equality.Semantic.DeepEqual(before.Spec, after.Spec) || !equality.Semantic.DeepEqual(before.Labels, after.Labels) ||
		!equality.Semantic.DeepEqual(before.Annotations, after.Annotations) ||
		(reportedBefore == nil) != (reportedAfter == nil) ||
		(reportedBefore != nil && (reportedBefore.Status != reportedAfter.Status || reportedBefore.Reason != reportedAfter.Reason))
}}

// serviceOfSlice finds the GinService of an EndpointSlice. Kubernetes copies the labels of the Service to it.
func serviceOfSlice(_ context.Context, slice client.Object) []reconcile.Request {
	name := slice.GetLabels()[v1alpha1.LabelInstance]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: slice.GetNamespace(), Name: name}}}
}
