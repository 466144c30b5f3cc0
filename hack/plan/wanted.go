package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// defaultHistoryLimit is that of the CRD.
const defaultHistoryLimit = 10

// want finds the revision that is wanted, and what is said of it, as the operator does when it observes.
func (c *cluster) want(o *rollout.Observed) {
	serving, other := o.Colors[o.Active()].Revision, o.Colors[o.Active().Other()].Revision
	c.wanted, c.held, c.trouble = c.ofSpec(serving, other), "", ""
	switch held := c.gs.Annotations[v1alpha1.AnnotationRollback]; {
	case held == "" || held == c.wanted:
	case slices.Contains(c.history, held):
		c.held, c.wanted, o.Approved = c.wanted, held, held
	default:
		known := slices.Clone(c.history)
		slices.Reverse(known)
		c.trouble = fmt.Sprintf("the annotation %s names revision %s, which is not in the history: remove it, or name one of %s",
			v1alpha1.AnnotationRollback, held, strings.Join(known, ", "))
	}
	o.Wanted = c.wanted
	o.Restart = serving != c.wanted && resources.SameWorkload(serving, c.wanted) && c.held == ""
	if resources.Names(o.Approved, c.wanted) {
		o.Approved = c.wanted
	}
	if resources.Names(o.Aborted, c.wanted) {
		o.Aborted = c.wanted
	}
	if c.trouble != "" {
		o.Wanted = cmp.Or(c.underWay(), serving, c.wanted) // all goes on as if nothing had changed
	}
}

// underWay returns the revision of a rollout that has not ended, if it is still known.
func (c *cluster) underWay() string {
	record := c.gs.Status.Rollout
	if record == nil || rollout.Ended(record) || record.Revision != c.wanted && !slices.Contains(c.history, record.Revision) {
		return ""
	}
	return record.Revision
}

// remember records the revisions of a plan, and forgets the oldest ones that nobody needs. One that comes back is the latest again.
func (c *cluster) remember(plan rollout.Plan) {
	needed := []string{c.wanted, plan.Rollout.ReplacedRevision}
	for _, color := range []v1alpha1.Color{plan.Active, plan.Active.Other()} {
		revision := plan.Colors[color].Revision
		if live, exists := c.colors[color]; exists {
			needed = append(needed, live.target.Revision)
		}
		if revision == "" {
			continue
		}
		needed = append(needed, revision)
		if revision == c.wanted && c.held == "" {
			c.history = slices.DeleteFunc(c.history, func(known string) bool { return known == revision })
		}
		if !slices.Contains(c.history, revision) {
			c.history = append(c.history, revision)
		}
	}
	limit := defaultHistoryLimit
	if c.gs.Spec.RevisionHistoryLimit != nil {
		limit = int(*c.gs.Spec.RevisionHistoryLimit)
	}
	old := slices.DeleteFunc(slices.Clone(c.history), func(revision string) bool { return slices.Contains(needed, revision) })
	old = old[:max(0, len(old)-limit)]
	c.history = slices.DeleteFunc(c.history, func(revision string) bool { return slices.Contains(old, revision) })
}

// lastServed returns the latest revision that has served, other than the one that is wanted, or "".
func (c *cluster) lastServed() string {
	for _, revision := range slices.Backward(c.served) {
		if revision != c.wanted {
			return revision
		}
	}
	return ""
}

// ofSpec names the revision of spec by when its pods are to have been started. Where nothing says so any more, it is what a colour holds.
func (c *cluster) ofSpec(serving, other string) string {
	revision, record := resources.RevisionOf(c.gs.Spec.WorkloadSpec), c.gs.Status.Rollout
	switch at := c.gs.Annotations[v1alpha1.AnnotationRestartedAt]; {
	case record != nil && rollout.Stopped(record.Step) && resources.SameWorkload(record.Revision, revision.Name) && !resources.SameWorkload(serving, revision.Name):
		return record.Revision // it has come to nothing, and a restart is no retry
	case at != "":
		return revision.Restarted(at).Name
	case resources.SameWorkload(serving, revision.Name):
		return serving
	case resources.SameWorkload(other, revision.Name):
		return other
	default:
		return revision.Name
	}
}

func (c *cluster) suspended() bool { return c.gs.Spec.Suspend != nil && *c.gs.Spec.Suspend }

// remark says once what keeps the operator from what spec says.
func (c *cluster) remark(o rollout.Observed) {
	who, remark := "status", ""
	switch {
	case c.trouble != "":
		who, remark = "event", fmt.Sprintf("%s: %s", v1alpha1.ReasonUnknownRevision, c.trouble)
	case c.suspended() && o.Colors[o.Active()].Revision != o.Wanted:
		remark = fmt.Sprintf("%s: spec.suspend is set: revision %s is not rolled out until it is taken away", v1alpha1.ReasonSuspended, o.Wanted)
	case c.suspended():
		remark = v1alpha1.ReasonSuspended + ": spec.suspend is set: nothing is changed until it is taken away"
	case c.held != "":
		who, remark = "operator", fmt.Sprintf("takes revision %s in place of revision %s, as the annotation %s says", c.wanted, c.held, v1alpha1.AnnotationRollback)
	}
	if remark != "" && remark != c.remarked {
		c.say(who, "%s", remark)
	}
	c.remarked = remark
}
