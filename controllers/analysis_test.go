package controllers

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// opinion is an analysis that says the same of each rollout.
type opinion struct {
	verdict   rollout.Verdict
	err       error
	forgotten []types.NamespacedName
}

func (o *opinion) Judge(context.Context, *v1alpha1.GinService, string) (rollout.Verdict, error) {
	return o.verdict, o.err
}

func (o *opinion) Forget(key types.NamespacedName) { o.forgotten = append(o.forgotten, key) }

// An analysis is asked about rollouts that are under way, and let go of all others.
func TestJudge(t *testing.T) {
	passed := rollout.Verdict{Outcome: rollout.Passed, Promoted: true}
	for name, tc := range map[string]struct {
		change  func(gs *v1alpha1.GinService)
		err     error
		want    rollout.Verdict
		forgets bool
	}{
		"a rollout is under way":       {change: func(*v1alpha1.GinService) {}, want: passed},
		"there has been none":          {change: func(gs *v1alpha1.GinService) { gs.Status.Rollout = nil }, forgets: true},
		"it is over":                   {change: func(gs *v1alpha1.GinService) { gs.Status.Rollout.Step = v1alpha1.StepAborted }, forgets: true},
		"the operator has to keep off": {change: func(gs *v1alpha1.GinService) { gs.Spec.Suspend = new(true) }, forgets: true},
		"it can't answer": {
			change: func(*v1alpha1.GinService) {}, err: errors.New("nobody answers"),
			want: rollout.Verdict{Outcome: rollout.Analyzing, Message: "the analysis fails and is tried again: nobody answers", After: analysisRetry},
		},
	} {
		t.Run(name, func(t *testing.T) {
			gs := service()
			gs.Status.Rollout = &v1alpha1.RolloutStatus{Revision: "new", Step: v1alpha1.StepWaitingForPromotion}
			tc.change(gs)
			o := &opinion{verdict: passed, err: tc.err}
			r := &Reconciler{Analysis: o}
			if diff := cmp.Diff(tc.want, r.judge(t.Context(), gs, "old")); diff != "" {
				t.Error(diff)
			}
			if (len(o.forgotten) == 1) != tc.forgets {
				t.Errorf("forgotten: %v", o.forgotten)
			}
		})
	}
}

func TestAGinServiceThatIsGoneIsForgotten(t *testing.T) {
	gs := service()
	o := &opinion{}
	w := newWorld(t, (&faults{}).funcs())
	w.Analysis = o
	key := types.NamespacedName{Namespace: gs.Namespace, Name: gs.Name}
	if _, err := w.Reconcile(t.Context(), reconcile.Request{NamespacedName: key}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]types.NamespacedName{key}, o.forgotten); diff != "" {
		t.Error(diff)
	}
}
