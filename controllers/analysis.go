package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

const (
	// analysisRetry is how soon an analysis is asked again that could not answer.
	analysisRetry = 5 * time.Second
	// maxVerdict is how much of what an analysis says is told, in bytes. A message says more than that.
	maxVerdict = 1024
)

// Analysis judges a revision by how its pods behave.
type Analysis interface {
	// Judge returns what is known of the rollout that status.rollout records, which has not ended. serving is the revision that takes the traffic;
	// a record that was not written after a switch doesn't tell. It has to come back soon: what takes time, it does on its own. An error is
	// temporary: nothing is promoted while it lasts.
	Judge(ctx context.Context, gs *v1alpha1.GinService, serving string) (rollout.Verdict, error)
	// Forget ends what was begun for a GinService of which no rollout is under way any more. Most have never had anything begun.
	Forget(key types.NamespacedName)
}

// judge asks the analysis, if there is one, about the rollout that is under way.
func (r *Reconciler) judge(ctx context.Context, gs *v1alpha1.GinService, serving string) rollout.Verdict {
	if r.Analysis == nil {
		return rollout.Verdict{}
	}
	if record := gs.Status.Rollout; record == nil || rollout.Ended(record) || suspended(gs) {
		r.Analysis.Forget(client.ObjectKeyFromObject(gs))
		return rollout.Verdict{}
	}
	verdict, err := r.Analysis.Judge(ctx, gs, serving)
	if err != nil {
		return rollout.Verdict{Outcome: rollout.Analyzing, Message: shorten("the analysis fails and is tried again: "+err.Error(), maxVerdict), After: analysisRetry}
	}
	verdict.Message = shorten(verdict.Message, maxVerdict)
	return verdict
}
