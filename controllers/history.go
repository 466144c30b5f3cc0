package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// defaultHistoryLimit is that of the CRD.
const defaultHistoryLimit = 10

// applyRevision records a revision in the history and snapshots its configuration. A revision that comes back becomes the newest again.
func (r *Reconciler) applyRevision(ctx context.Context, o *observation, revision resources.Revision) error {
	name := names.Revisioned(o.gs.Name, revision.Name)
	recorded, err := read(ctx, r.Client, o.gs, name, &appsv1.ControllerRevision{})
	if err != nil {
		return err
	}
	if wanted := resources.ConfigMap(o.gs, revision); wanted != nil {
		snapshot, err := read(ctx, r.Client, o.gs, name, &corev1.ConfigMap{})
		if err != nil {
			return err
		}
		if err := apply(ctx, r, o.gs, made(wanted, revision.Name), snapshot, anyVersion); err != nil {
			return err
		}
	}
	gs, number := o.gs, o.lastNumber()+1
	if controls(o.gs, recorded) && (revision.Name != o.wanted.Name || o.newest() == name || o.held != "") {
		// The record stays as it is, with the cause of its own time.
		gs, number = o.gs.DeepCopy(), recorded.Revision
		gs.Annotations = map[string]string{v1alpha1.AnnotationChangeCause: recorded.Annotations[v1alpha1.AnnotationChangeCause]}
	}
	wanted, err := resources.ControllerRevision(gs, revision, number)
	if err != nil {
		return fmt.Errorf("recording revision %s: %w", revision.Name, err)
	}
	return apply(ctx, r, o.gs, made(wanted, fmt.Sprint(*wanted.Revision, wanted.Annotations)), recorded, anyVersion)
}

// newest returns the name of the record that was made last, or "".
func (o *observation) newest() string {
	if len(o.history) == 0 {
		return ""
	}
	return slices.MaxFunc(o.history, byNumber).Name
}

func (o *observation) lastNumber() int64 {
	if len(o.history) == 0 {
		return 0
	}
	return slices.MaxFunc(o.history, byNumber).Revision
}

func byNumber(a, b appsv1.ControllerRevision) int { return cmp.Compare(a.Revision, b.Revision) }

// pruneHistory deletes the oldest revisions beyond spec.revisionHistoryLimit, each with its configuration. What a colour holds, or is
// about to, stays, and what a rolling update may have to go back to.
func (r *Reconciler) pruneHistory(ctx context.Context, o *observation, plan rollout.Plan) error {
	limit := defaultHistoryLimit
	if o.gs.Spec.RevisionHistoryLimit != nil {
		limit = int(*o.gs.Spec.RevisionHistoryLimit)
	}
	// By name, which nobody can take from a record, as he can its label.
	needed := map[string]bool{names.Revisioned(o.gs.Name, o.wanted.Name): true}
	for _, target := range plan.Colors {
		needed[names.Revisioned(o.gs.Name, target.Revision)] = true
	}
	if plan.Rollout != nil {
		needed[names.Revisioned(o.gs.Name, plan.Rollout.ReplacedRevision)] = true
	}
	for _, live := range o.state.Colors {
		needed[names.Revisioned(o.gs.Name, live.Revision)] = true
	}
	var old []appsv1.ControllerRevision
	for _, revision := range o.history {
		if !needed[revision.Name] {
			old = append(old, revision)
		}
	}
	slices.SortFunc(old, byNumber)
	for i := range max(0, len(old)-limit) {
		if err := r.forgetRevision(ctx, o.gs, &old[i]); err != nil {
			return err
		}
	}
	return nil
}

// forgetRevision deletes a revision: first its configuration, which is found through it.
func (r *Reconciler) forgetRevision(ctx context.Context, gs *v1alpha1.GinService, revision *appsv1.ControllerRevision) error {
	snapshot, err := read(ctx, r.Client, gs, revision.Name, &corev1.ConfigMap{})
	if err != nil {
		return err
	}
	var config client.Object = snapshot
	if err := r.prune(ctx, gs, config, controls(gs, snapshot)); err != nil {
		return err
	}
	return r.prune(ctx, gs, revision, true)
}
