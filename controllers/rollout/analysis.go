package rollout

import (
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
}

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

// analyzed reports whether nothing is measured of a preview any more.
func (p *planner) analyzed(record *v1alpha1.RolloutStatus) bool {
	return p.Verdict.Outcome != Analyzing || !p.judged(record)
}
