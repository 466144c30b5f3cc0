package controllers

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// execute carries a plan out, and returns what became of it: traffic may not have moved. The order is safe to be cut off anywhere: history
// before the pods that need it, the colour that serves before the other one, pods before the traffic to them, and what nobody needs any
// more last. What fails stops no more than what builds on it: traffic does not move, and all else is kept in order.
func (r *Reconciler) execute(ctx context.Context, o *observation, plan rollout.Plan) (rollout.Plan, error) {
	// Who may reach the pods is settled before there are any. Like all that is not about traffic, it holds up nothing where it fails.
	policy := r.applyPolicy(ctx, o)
	var failures []error
	for _, color := range []v1alpha1.Color{plan.Active, plan.Active.Other()} {
		if target, planned := plan.Colors[color]; planned {
			failures = append(failures, r.applyColor(ctx, o, color, target))
		}
	}
	failures = append(failures, r.applyPreview(ctx, o, plan.Preview))
	switches, failed := plan.Switches(o.state), errors.Join(failures...) != nil
	// The record must not say that traffic was moved, or that pods which serve are being replaced, before the API server has let it be so: the
	// next plan would take it for done.
	if failed && !plan.Astray && (switches || replacesServing(o, plan)) {
		plan = stay(o, plan)
	}
	failure := r.applyActive(ctx, o, plan)
	switch {
	case !switches:
	case failure != nil:
		plan = stay(o, plan)
	case plan.Active != o.state.Selected:
		r.pace.switched(client.ObjectKeyFromObject(o.gs), o.state.Now)
	}
	failures = append(failures, failure, policy, r.applyAutoscaler(ctx, o), r.applyBudget(ctx, o, plan.Active), r.pruneHistory(ctx, o, plan))
	r.applyRoute(ctx, o)
	r.applyMonitor(ctx, o)
	return plan, errors.Join(failures...)
}

// replacesServing reports whether a plan has the pods that serve replaced by those of another revision.
func replacesServing(o *observation, plan rollout.Plan) bool {
	live, exists := o.state.Colors[plan.Active]
	return exists && live.Revision != plan.Colors[plan.Active].Revision
}

// stay returns a plan that could not be carried out and so has nothing to tell: the record and traffic are as they were. Where it leads nowhere, what served last remains known.
func stay(o *observation, plan rollout.Plan) rollout.Plan {
	if !plan.Astray {
		plan.Active, plan.Both = o.state.Selected, o.state.Both
	}
	plan.Rollout, plan.Transitions, plan.Astray = o.gs.Status.Rollout, nil, false
	return plan
}

func (r *Reconciler) applyActive(ctx context.Context, o *observation, plan rollout.Plan) error {
	ports := o.portsOf(plan.Colors[plan.Active].Revision)
	_, metricsPort := resources.MetricsPort(ports)
	wanted := recipe[*corev1ac.ServiceApplyConfiguration]{
		from: fmt.Sprintf("%s %t %d", plan.Active, plan.Both, metricsPort),
		build: func() *corev1ac.ServiceApplyConfiguration {
			return resources.ActiveService(o.gs, plan.Active, plan.Both, ports)
		},
	}
	return apply(ctx, r, o.gs, wanted, o.active, sameVersion)
}

func (r *Reconciler) applyPreview(ctx context.Context, o *observation, preview rollout.Preview) error {
	wanted := recipe[*corev1ac.ServiceApplyConfiguration]{
		from: fmt.Sprintf("%s %s", preview.Color, preview.Revision),
		build: func() *corev1ac.ServiceApplyConfiguration {
			return resources.PreviewService(o.gs, preview.Color, preview.Revision)
		},
	}
	return apply(ctx, r, o.gs, wanted, o.preview, anyVersion)
}

// applyColor writes the Deployment of a colour, and before it what its revision needs.
func (r *Reconciler) applyColor(ctx context.Context, o *observation, color v1alpha1.Color, target rollout.Target) error {
	live := o.deployments[color]
	revision, known := o.revision(target.Revision)
	if !known {
		return r.scaleUnknown(ctx, o.gs, live, target.Replicas)
	}
	if err := r.applyRevision(ctx, o, revision); err != nil {
		return err
	}
	guarded := anyVersion
	if live != nil && target.Replicas < replicasOf(live) {
		guarded = sameVersion
	}
	wanted := recipe[*appsv1ac.DeploymentApplyConfiguration]{
		from: fmt.Sprintf("%s %s %d", color, target.Revision, target.Replicas),
		build: func() *appsv1ac.DeploymentApplyConfiguration {
			return resources.Deployment(o.gs, color, revision, target.Replicas)
		},
	}
	return apply(ctx, r, o.gs, wanted, live, guarded)
}

// revision finds a revision by its name: the wanted one, or one from the history.
func (o *observation) revision(name string) (resources.Revision, bool) {
	if name == o.wanted.Name {
		return o.wanted, true
	}
	if revision, known := o.recorded[name]; known {
		return revision, true
	}
	for i := range o.history {
		if o.history[i].Name != names.Revisioned(o.gs.Name, name) {
			continue
		}
		if revision, err := resources.WorkloadOf(&o.history[i]); err == nil {
			if o.recorded == nil {
				o.recorded = map[string]resources.Revision{}
			}
			o.recorded[name] = revision
			return revision, true
		}
	}
	return resources.Revision{}, false
}

// scaleUnknown scales a Deployment whose revision has vanished from the history, and leaves the rest of it alone: it is what runs.
func (r *Reconciler) scaleUnknown(ctx context.Context, gs *v1alpha1.GinService, live *appsv1.Deployment, replicas int32) error {
	if !controls(gs, live) {
		return nil // somebody else's: apply says so where it is needed
	}
	if replicasOf(live) == replicas {
		return nil
	}
	if err := r.mayWrite(gs, "Deployment", live.Name, fmt.Sprint(replicas)); err != nil {
		return err
	}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"uid":%q,"resourceVersion":%q},"spec":{"replicas":%d}}`,
		live.UID, live.ResourceVersion, replicas))
	if err := r.Client.Patch(ctx, live.DeepCopy(), patch, client.FieldOwner(FieldOwner)); err != nil {
		return fmt.Errorf("scaling Deployment %s: %w", live.Name, err)
	}
	writes.WithLabelValues("Deployment", "changed").Inc()
	return nil
}

// seedReplicas fills spec.replicas in where it is missing. The number is written against the version that was observed, so that an
// autoscaler's or a user's write in between wins. The event of a write that changes neither spec nor annotations starts no pass, so that
// a conflict has to ask for one.
func (r *Reconciler) seedReplicas(ctx context.Context, gs *v1alpha1.GinService, replicas int32) (ctrl.Result, error) {
	scale := &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: gs.Namespace, Name: gs.Name, UID: gs.UID, ResourceVersion: gs.ResourceVersion},
		Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
	}
	err := r.Client.SubResource("scale").Update(ctx, gs.DeepCopy(), client.WithSubResourceBody(scale), client.FieldOwner(FieldOwner))
	switch {
	case apierrors.IsConflict(err):
		writes.WithLabelValues("Scale", "conflict").Inc()
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	case err != nil:
		writes.WithLabelValues("Scale", "error").Inc()
		return ctrl.Result{}, fmt.Errorf("filling in spec.replicas: %w", err)
	}
	writes.WithLabelValues("Scale", "changed").Inc()
	return ctrl.Result{}, nil
}

func (r *Reconciler) applyAutoscaler(ctx context.Context, o *observation) error {
	switch {
	case o.gs.Spec.Autoscaling == nil:
		return r.prune(ctx, o.gs, o.hpa, controls(o.gs, o.hpa))
	case o.gs.Status.Selector == "":
		// Without a selector, /scale is no target: the autoscaler would begin its life with a complaint. Writing status comes next.
		return nil
	default:
		wanted := recipe[*autoscalingv2ac.HorizontalPodAutoscalerApplyConfiguration]{
			build: func() *autoscalingv2ac.HorizontalPodAutoscalerApplyConfiguration {
				return resources.HorizontalPodAutoscaler(o.gs)
			},
		}
		return apply(ctx, r, o.gs, wanted, o.hpa, anyVersion)
	}
}

func (r *Reconciler) applyBudget(ctx context.Context, o *observation, active v1alpha1.Color) error {
	wanted := resources.PodDisruptionBudget(o.gs, active)
	if wanted == nil {
		return r.prune(ctx, o.gs, o.pdb, controls(o.gs, o.pdb))
	}
	return apply(ctx, r, o.gs, made(wanted, string(active)), o.pdb, anyVersion)
}

// prune deletes a child that is wanted no longer, if it is ours. The next pass does not wait for the cache to show it: where somebody took
// the child's label away a moment before, the cache has dropped it already, and would never tell of its end.
func (r *Reconciler) prune(ctx context.Context, gs *v1alpha1.GinService, child client.Object, ours bool) error {
	if !ours || !child.GetDeletionTimestamp().IsZero() {
		return nil
	}
	uid := child.GetUID()
	r.held.drop(client.ObjectKeyFromObject(gs), kindOf(child)+" "+child.GetName())
	err := r.Client.Delete(ctx, child, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground),
		client.DisableReadYourWritesConsistency)
	if err = client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("deleting %T %s of %s: %w", child, child.GetName(), gs.Name, err)
	}
	return nil
}
