package analysis

import (
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// stage is what an analysis of a rollout is about at the moment.
type stage struct {
	// verdict is what is said while there is nothing to measure.
	verdict rollout.Verdict

	// run is what is measured, or nil. recorded is how far that has come by the record, or nil where it begins, and status the same by what is measured
	// now.
	run              *v1alpha1.AnalysisRun
	recorded, status *v1alpha1.AnalysisStatus
	warmUp           *v1alpha1.WarmUp
	// promoted says that it is about what serves. Otherwise it is about the preview.
	promoted bool
	// subject is the colour that is measured, behind a Service.
	subject v1alpha1.Color
	service string
}

// stageOf returns what to measure for a GinService, whose rollout has not ended. serving is the revision that takes the traffic.
func stageOf(gs *v1alpha1.GinService, serving string, now time.Time) stage {
	settings, record := &gs.Spec.Strategy.BlueGreen, gs.Status.Rollout
	nothing, begins := stage{verdict: rollout.Verdict{Promoted: true}}, stage{verdict: rollout.Verdict{Outcome: rollout.Analyzing}}
	// Traffic moves before the record says so. A preview that serves is none, and has nothing left to be compared with.
	approved := record.ApprovedAt != nil || record.ReadyAt != nil && serving == record.Revision
	recorded := record.Analysis
	if approved {
		recorded = record.PostPromotionAnalysis
	}
	switch {
	case exempt(gs, record), recorded == nil && scaledToZero(gs):
		return nothing // what has begun goes on once there are pods again
	case approved && (settings.PostPromotionAnalysis == nil || record.ReadyAt == nil && record.WarmRevision == ""):
		return nothing // what was never a preview comes first, or replaces what served: there is a way back only where another version is warm
	case approved && record.Step != v1alpha1.StepDraining:
		return begins // once it serves alone
	case approved:
		return stage{
			run: settings.PostPromotionAnalysis, recorded: recorded, status: soFar(settings.PostPromotionAnalysis, recorded, now), promoted: true,
			subject: gs.Status.ActiveColor, service: names.ActiveService(gs.Name),
		}
	case settings.Analysis == nil:
		return stage{}
	}
	s := stage{
		run: &settings.Analysis.AnalysisRun, recorded: recorded, status: soFar(&settings.Analysis.AnalysisRun, recorded, now), warmUp: settings.Analysis.WarmUp,
		subject: gs.Status.ActiveColor.Other(), service: names.PreviewService(gs.Name),
	}
	if record.ReadyAt == nil && !ended(s.status.Outcome) {
		return begins // once it is ready
	}
	return s
}

// soFar returns how far an analysis has come that is recorded, or nil where it begins.
func soFar(run *v1alpha1.AnalysisRun, recorded *v1alpha1.AnalysisStatus, now time.Time) *v1alpha1.AnalysisStatus {
	if recorded == nil {
		return begin(run, now)
	}
	return renewed(run, recorded)
}

// exempt reports whether nothing is measured in a rollout at all: there is no second colour; or it is the way back to what has served before, which must
// not wait for anything.
func exempt(gs *v1alpha1.GinService, record *v1alpha1.RolloutStatus) bool {
	settings := &gs.Spec.Strategy.BlueGreen
	switch held := gs.Annotations[v1alpha1.AnnotationRollback]; {
	case gs.Spec.Strategy.Type == v1alpha1.StrategyRollingUpdate, settings.Analysis == nil && settings.PostPromotionAnalysis == nil:
		return true
	default:
		return record.Rollback || held != "" && resources.Names(held, record.Revision)
	}
}

func scaledToZero(gs *v1alpha1.GinService) bool {
	return gs.Spec.Replicas != nil && *gs.Spec.Replicas == 0
}
