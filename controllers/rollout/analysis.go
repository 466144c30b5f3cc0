package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// Outcome is what an analysis has come to.
type Outcome string

const (
	// NotAnalyzed says that nothing is measured: nothing waits for it.
	NotAnalyzed Outcome = ""
	// Analyzing says that it goes on: a preview is not promoted yet, unless it is warm and only comes back.
	Analyzing Outcome = "Analyzing"
	// Passed says that nothing speaks against the revision.
	Passed Outcome = "Passed"
	// Rejected says that the revision must not serve: its rollout is aborted, and traffic goes back to what is warm.
	Rejected Outcome = "Rejected"
)

// Verdict is what an analysis says of the revision that status records the rollout of. It speaks of that rollout alone: one that begins
// anew is judged anew.
type Verdict struct {
	// Outcome is what it has come to.
	Outcome Outcome
	// Message says what was measured, and what for.
	Message string
	// After is when it will know more, or 0 where an event tells.
	After time.Duration
	// Promoted says that it is about the revision as it serves, and not as a preview, or that nothing is measured of either.
	Promoted bool
	// Analysis and PostPromotionAnalysis are what the record is to say of it, or nil where it says so already.
	Analysis, PostPromotionAnalysis *v1alpha1.AnalysisStatus
}

// askAgain is how soon an analysis is asked about what it has not been asked about yet: the record has to be written first.
const askAgain = time.Second

// judged reports whether the verdict is of a rollout.
func (p *planner) judged(record *v1alpha1.RolloutStatus) bool {
	return p.Rollout != nil && p.Rollout.Revision == record.Revision && at(p.Rollout.StartedAt).Equal(at(record.StartedAt))
}

// objection returns who says that a revision must not serve, or "".
func (p *planner) objection(record *v1alpha1.RolloutStatus) string {
	switch {
	case p.Aborted == record.Revision:
		return "by the annotation " + v1alpha1.AnnotationAbort
	case p.Verdict.Outcome == Rejected && p.judged(record):
		return "by its analysis: " + strings.ReplaceAll(p.Verdict.Message, ";", ",")
	default:
		return ""
	}
}

// analyzed reports whether nothing is measured of a preview any more. One of which nobody has been asked may have to be: its record is new, or
// the one before was lost.
func (p *planner) analyzed(record *v1alpha1.RolloutStatus) bool {
	if !p.judged(record) {
		return p.blueGreen().Analysis == nil
	}
	return p.Verdict.Outcome != Analyzing
}

// cutShort ends the analysis of a preview that is promoted because nobody can be reached: what it would be compared with has no pods, and what it may
// yet find out can be no worse.
func (p *planner) cutShort(record *v1alpha1.RolloutStatus) {
	why := fmt.Sprintf("given up, because no pod of %s is ready and nobody can be reached", p.current)
	if analysis := record.Analysis; analysis != nil && analysis.Outcome == v1alpha1.AnalysisRunning {
		analysis.Outcome, analysis.Message = v1alpha1.AnalysisInconclusive, why
	}
	p.tell(true, "AnalysisInconclusive", "revision %s: its analysis is %s", record.Revision, why)
}

// onTrial reports whether a revision that serves is still measured, so that what served before it stays warm. One that comes back itself is not: the
// way back would lead to what it was to replace.
func (p *planner) onTrial(record *v1alpha1.RolloutStatus) bool {
	if p.blueGreen().PostPromotionAnalysis == nil || p.rolls() || !p.warm(record) || record.Rollback {
		return false
	}
	return !p.judged(record) || !p.Verdict.Promoted || p.Verdict.Outcome == Analyzing
}

// finding says what an analysis has found out so far about a rollout.
func (p *planner) finding(record *v1alpha1.RolloutStatus) string {
	if !p.judged(record) || p.Verdict.Outcome != Analyzing || p.Verdict.Message == "" {
		return "the measurements begin"
	}
	return p.Verdict.Message
}

// noteVerdict notes in the record how far its analysis has come, and tells of one that has ended without stopping it.
func (p *planner) noteVerdict(record *v1alpha1.RolloutStatus) {
	record.Analysis = p.noted(record, record.Analysis, p.Verdict.Analysis)
	record.PostPromotionAnalysis = p.noted(record, record.PostPromotionAnalysis, p.Verdict.PostPromotionAnalysis)
}

func (p *planner) noted(record *v1alpha1.RolloutStatus, before, news *v1alpha1.AnalysisStatus) *v1alpha1.AnalysisStatus {
	switch {
	case news == nil || !p.judged(record):
		return before
	case before != nil && before.Outcome == news.Outcome:
	case news.Outcome == v1alpha1.AnalysisSuccessful:
		p.tell(false, "AnalysisSuccessful", "revision %s: %s", record.Revision, news.Message)
	case news.Outcome == v1alpha1.AnalysisInconclusive:
		p.tell(true, "AnalysisInconclusive", "revision %s: %s", record.Revision, news.Message)
	}
	return news.DeepCopy()
}
