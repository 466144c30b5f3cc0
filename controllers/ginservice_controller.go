package controllers

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// FieldOwner is the field manager of everything that the operator writes.
const FieldOwner = "gin-operator"

// Reconciler reconciles GinServices.
type Reconciler struct {
	// Client reads from caches as CacheOptions sets them up, and sees its own writes: a manager's client made with ClientOptions.
	Client client.Client
	// Live reads from the API server. It is asked only to find out who has a name that is taken, and why pods don't start.
	Live client.Reader
	// Recorder emits events. Default: one that writes those of a GinService in their order.
	Recorder events.EventRecorder
	// Clock tells the time.
	Clock clock.PassiveClock
	// Analysis judges the revisions that are rolled out. Default: nobody does.
	Analysis Analysis
	// GatewayNamespace is where the Gateways of spec.route are. Default: in the namespace of each GinService.
	GatewayNamespace string
	// OperatorNamespace is where the pods of the operator are, which the NetworkPolicies of GinServices let in. Default: gin-operator-system.
	OperatorNamespace string

	pace     pace
	held     held
	routes   *optionalKind
	monitors *optionalKind
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// Reconcile brings the children of a GinService one step closer to what its spec asks for.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	gs := &v1alpha1.GinService{}
	if err := r.Client.Get(ctx, req.NamespacedName, gs); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.forget(req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("reading GinService: %w", err)
	}
	if !gs.DeletionTimestamp.IsZero() {
		// The garbage collector deletes the children; a child that is written now would only come back.
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	observed, err := r.observe(ctx, gs)
	if err != nil {
		return ctrl.Result{}, err
	}
	if suspended(gs) {
		return r.finish(ctx, observed, rollout.Hold(observed.state), nil)
	}
	plan := rollout.Compute(observed.state)
	if gs.Spec.Replicas == nil {
		// The autoscaler reads /scale, and takes a missing number for "switched off". Filling it in changes the generation, so that
		// all else waits for the event of that.
		return r.seedReplicas(ctx, gs, plan.Serving)
	}
	if observed.hopeless() {
		return r.finish(ctx, observed, rollout.Hold(observed.state), nil)
	}
	carriedOut, failure := r.execute(ctx, observed, plan)
	r.announceReturn(observed, carriedOut)
	return r.finish(ctx, observed, carriedOut, failure)
}

// forget lets go of all that is kept of a GinService which is gone, or going.
func (r *Reconciler) forget(key types.NamespacedName) {
	r.pace.forget(key)
	r.held.forget(key)
	if r.Analysis != nil {
		r.Analysis.Forget(key)
	}
}

func suspended(gs *v1alpha1.GinService) bool {
	return gs.Spec.Suspend != nil && *gs.Spec.Suspend
}
