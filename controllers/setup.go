package controllers

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
)

// reconcileTimeout ends a pass that hangs. What it has written stays, and the next one goes on from there.
const reconcileTimeout = time.Minute

// SetupWithManager registers the reconciler with a manager, and a recorder if it has none. concurrency is the number of GinServices that
// are reconciled at a time.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, concurrency int) error {
	if r.Recorder == nil {
		uncached, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
		if err != nil {
			return fmt.Errorf("making a client for events: %w", err)
		}
		recorder := newEventRecorder(uncached, r.Clock)
		if err := mgr.Add(recorder); err != nil {
			return fmt.Errorf("adding the recorder of events: %w", err)
		}
		r.Recorder = recorder
	}
	indexer := mgr.GetFieldIndexer()
	if err := indexer.IndexField(ctx, &appsv1.ControllerRevision{}, indexOwner, ownerIndex); err != nil {
		return fmt.Errorf("indexing ControllerRevisions: %w", err)
	}
	if err := indexer.IndexField(ctx, &discoveryv1.EndpointSlice{}, indexService, serviceIndex); err != nil {
		return fmt.Errorf("indexing EndpointSlices: %w", err)
	}
	owner := handler.EnqueueRequestForOwner(mgr.GetScheme(), mgr.GetRESTMapper(), &v1alpha1.GinService{}, handler.OnlyControllerOwner())
	ginServices, err := ctrl.NewControllerManagedBy(mgr).
		Named("ginservice").
		For(&v1alpha1.GinService{}, builder.WithPredicates(predicate.Or[client.Object](changed, statusLost))).
		Watches(&appsv1.Deployment{}, progress(owner), builder.WithPredicates(deploymentNews)).
		Owns(&corev1.Service{}).
		Owns(&corev1.ConfigMap{}, builder.WithPredicates(notCreated)).
		Owns(&appsv1.ControllerRevision{}, builder.WithPredicates(notCreated)).
		Owns(&policyv1.PodDisruptionBudget{}, builder.WithPredicates(notCreated, budgetNews)).
		Owns(&autoscalingv2.HorizontalPodAutoscaler{}, builder.WithPredicates(notCreated, scalingNews)).
		Owns(&networkingv1.NetworkPolicy{}, builder.WithPredicates(notCreated)).
		Watches(&discoveryv1.EndpointSlice{}, progress(handler.EnqueueRequestsFromMapFunc(serviceOfSlice)), builder.WithPredicates(endpointNews)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: concurrency,
			ReconciliationTimeout:   reconcileTimeout,
			EnableWarmup:            ptr.To(true),
		}).
		Build(r)
	if err != nil {
		return err
	}
	if r.routes, err = newOptionalKind(mgr, ginServices, owner, httpRoutes, &gatewayv1.HTTPRoute{}, routeNews); err != nil {
		return err
	}
	r.monitors, err = newOptionalKind(mgr, ginServices, owner, podMonitors, &monitoring.PodMonitor{}, monitorNews)
	return err
}

// serviceOfSlice finds the GinService of an EndpointSlice. Kubernetes copies the labels of the Service to it.
func serviceOfSlice(_ context.Context, slice client.Object) []reconcile.Request {
	name := slice.GetLabels()[v1alpha1.LabelInstance]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: slice.GetNamespace(), Name: name}}}
}
