package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// longest is what is played at most: beyond it, somebody has to do something.
const longest = 14 * 24 * time.Hour

// cluster is what there is of one GinService.
type cluster struct {
	out    io.Writer
	ready  time.Duration
	broken map[string]bool // revisions whose pods never become ready

	start, now time.Time
	gs         *v1alpha1.GinService
	colors     map[v1alpha1.Color]*deployment
	history    []string // the revisions that a Deployment has had, oldest first
	served     []string // those that traffic was sent to, the latest last
	selected   v1alpha1.Color
	both       bool
	preview    rollout.Preview
}

type deployment struct {
	target rollout.Target
	pods   []pod
}

type pod struct {
	revision string
	ready    time.Time // zero for never
}

func newCluster(out io.Writer, start time.Time, ready time.Duration) *cluster {
	return &cluster{out: out, ready: ready, broken: map[string]bool{}, start: start, now: start, colors: map[v1alpha1.Color]*deployment{}}
}

func (c *cluster) say(who, format string, args ...any) {
	d := c.now.Sub(c.start)
	fmt.Fprintf(c.out, "%4d:%04.1f  %-8s  %s\n", int(d.Minutes()), (d - d.Truncate(time.Minute)).Seconds(), who, fmt.Sprintf(format, args...))
}

// apply takes the spec and the annotations of a manifest, and keeps what the operator and the autoscaler have written.
func (c *cluster) apply(gs *v1alpha1.GinService) {
	if c.gs != nil {
		gs.Status = c.gs.Status
		if gs.Spec.Replicas == nil {
			gs.Spec.Replicas = c.gs.Spec.Replicas
		}
	}
	c.gs = gs
}

// wanted returns the revision that is wanted: that of spec, maybe with new pods, or the one that an annotation holds in its place.
func (c *cluster) wanted() (string, error) {
	if held := c.gs.Annotations[v1alpha1.AnnotationRollback]; held != "" {
		if !slices.Contains(c.history, held) && held != resources.RevisionOf(c.gs.Spec.WorkloadSpec).Name {
			return "", fmt.Errorf("the annotation %s names revision %s, which no manifest before has: remove it, or name one of %s",
				v1alpha1.AnnotationRollback, held, strings.Join(c.history, ", "))
		}
		return held, nil
	}
	serving, other, record := c.revisionOf(c.selected), c.revisionOf(c.selected.Other()), c.gs.Status.Rollout
	revision := resources.RevisionOf(c.gs.Spec.WorkloadSpec)
	switch at := c.gs.Annotations[v1alpha1.AnnotationRestartedAt]; {
	case record != nil && rollout.Stopped(record.Step) && resources.SameWorkload(record.Revision, revision.Name) && !resources.SameWorkload(serving, revision.Name):
		return record.Revision, nil // it has come to nothing, and a restart is no retry
	case at != "":
		return revision.Restarted(at).Name, nil
	case resources.SameWorkload(serving, revision.Name):
		return serving, nil
	case resources.SameWorkload(other, revision.Name):
		return other, nil
	default:
		return revision.Name, nil
	}
}

// revisionOf returns what a colour's Deployment holds, or "" where there is none.
func (c *cluster) revisionOf(color v1alpha1.Color) string {
	if live := c.colors[color]; live != nil {
		return live.target.Revision
	}
	return ""
}

func (c *cluster) suspended() bool { return c.gs.Spec.Suspend != nil && *c.gs.Spec.Suspend }

// play lets everybody do what they do until nothing changes any more.
func (c *cluster) play(actions []action) error {
	began := c.now
	actions = slices.Clone(actions)
	slices.SortStableFunc(actions, func(a, b action) int { return int(a.after - b.after) })
	for pass := range 10_000 {
		for pass > 0 && len(actions) > 0 && !c.now.Before(began.Add(actions[0].after)) { // the operator has seen the manifest before
			if err := c.act(actions[0]); err != nil {
				return err
			}
			actions = actions[1:]
		}
		next, changed, err := c.pass()
		if err != nil {
			return err
		}
		if changed || pass == 0 {
			continue
		}
		if len(actions) > 0 {
			next = earliest(next, began.Add(actions[0].after))
		}
		next = earliest(next, c.nextPod())
		if next.IsZero() || next.Sub(began) > longest {
			c.conclude(next)
			return nil
		}
		c.now = next
	}
	return errors.New("the rollout never comes to rest: please report this, with the manifests")
}

// conclude says what is left to somebody.
func (c *cluster) conclude(next time.Time) {
	record := c.gs.Status.Rollout
	switch {
	case c.suspended():
		c.say("", "nothing more happens until spec.suspend is taken away")
	case record.Step == v1alpha1.StepCompleted:
	case next.IsZero():
		c.say("", "nothing more happens until somebody does something")
	default:
		c.say("", "the next thing happens after more than %d days", int(longest.Hours()/24))
	}
}

func (c *cluster) act(a action) error {
	record := c.gs.Status.Rollout
	if record == nil && a.what != "scale" {
		return fmt.Errorf("%s: there is no rollout yet, because spec.suspend is true", a.what)
	}
	annotate := func(key, value string) {
		if c.gs.Annotations == nil {
			c.gs.Annotations = map[string]string{}
		}
		c.gs.Annotations[key] = value
		c.say("you", "set the annotation %s: %s", key, value)
	}
	switch a.what {
	case "promote":
		annotate(v1alpha1.AnnotationPromote, record.Revision)
	case "abort":
		annotate(v1alpha1.AnnotationAbort, record.Revision)
	case "retry":
		delete(c.gs.Annotations, v1alpha1.AnnotationAbort)
		annotate(v1alpha1.AnnotationRetry, rollout.NextRetry(record))
	case "restart":
		annotate(v1alpha1.AnnotationRestartedAt, c.now.Format(time.RFC3339))
	case "rollback":
		if a.revision == "" && len(c.served) < 2 {
			return errors.New("rollback: nothing served before: name a manifest more, or a revision")
		}
		if a.revision == "" {
			a.revision = c.served[len(c.served)-2]
		}
		annotate(v1alpha1.AnnotationRollback, a.revision)
	case "scale":
		c.gs.Spec.Replicas = new(a.value)
		c.say("you", "scale to %d", a.value)
	}
	return nil
}

// pass is one pass of the operator and what the cluster makes of it at once. It returns when the operator looks again.
func (c *cluster) pass() (time.Time, bool, error) {
	observed, err := c.observe()
	if err != nil || c.suspended() {
		return time.Time{}, c.suspended() && c.manageAll(), err
	}
	plan := rollout.Compute(observed)
	if c.gs.Spec.Replicas == nil {
		c.gs.Spec.Replicas = new(plan.Serving)
	}
	changed := c.deploy(plan)
	if c.preview != plan.Preview {
		c.preview, changed = plan.Preview, true
		c.say("operator", "points the preview Service at %s, revision %s", plan.Preview.Color, plan.Preview.Revision)
	}
	if c.selected != plan.Active || c.both != plan.Both {
		c.selected, c.both, changed = plan.Active, plan.Both, true
		if plan.Both {
			c.say("operator", "SENDS TRAFFIC TO BOTH COLOURS")
		} else {
			c.say("operator", "SENDS ALL TRAFFIC TO %s", strings.ToUpper(string(plan.Active)))
		}
	}
	if serves := plan.Colors[plan.Active].Revision; len(c.served) == 0 || c.served[len(c.served)-1] != serves {
		c.served = append(c.served, serves)
	}
	changed = c.report(plan) || changed
	changed = c.manageAll() || changed
	if plan.After == 0 {
		return time.Time{}, changed, nil
	}
	return c.now.Add(plan.After), changed, nil
}

// deploy makes the Deployments what they are planned to be, and reports whether they were anything else.
func (c *cluster) deploy(plan rollout.Plan) bool {
	changed := false
	for _, target := range plan.Colors {
		if !slices.Contains(c.history, target.Revision) {
			c.history = append(c.history, target.Revision)
		}
	}
	for _, color := range []v1alpha1.Color{plan.Active, plan.Active.Other()} {
		target, planned := plan.Colors[color]
		live := c.colors[color]
		switch {
		case !planned || live != nil && live.target == target:
			continue
		case live == nil:
			c.colors[color] = &deployment{target: target}
			c.say("operator", "creates %s with %s of revision %s", color, podCount(target.Replicas), target.Revision)
		case live.target.Revision != target.Revision:
			c.say("operator", "gives %s revision %s and %s", color, target.Revision, podCount(target.Replicas))
			live.target = target
		default:
			c.say("operator", "scales %s from %d to %d", color, live.target.Replicas, target.Replicas)
			live.target = target
		}
		changed = true
	}
	return changed
}

// manageAll does for both colours what their Deployments' controller does.
func (c *cluster) manageAll() (changed bool) {
	for color := range c.colors {
		changed = c.managePods(color) || changed
	}
	return changed
}

// report writes status, and says what is new in it.
func (c *cluster) report(plan rollout.Plan) bool {
	before := c.gs.Status.Rollout
	c.gs.Status.Rollout, c.gs.Status.ActiveColor, c.gs.Status.ActiveRevision = plan.Rollout, plan.Active, plan.Colors[plan.Active].Revision
	isNew := before == nil || before.Step != plan.Rollout.Step || before.Revision != plan.Rollout.Revision
	if isNew || before.Message != plan.Rollout.Message {
		c.say("status", "%s: %s", plan.Rollout.Step, plan.Rollout.Message)
	}
	for _, told := range plan.Transitions {
		c.say("event", "%s: %s", told.Reason, told.Message)
	}
	return isNew || len(plan.Transitions) > 0
}

func (c *cluster) observe() (rollout.Observed, error) {
	wanted, err := c.wanted()
	if err != nil {
		return rollout.Observed{}, err
	}
	o := rollout.Observed{
		Now: c.now, Spec: c.gs.Spec.DeepCopy(), Wanted: wanted, Rollout: c.gs.Status.Rollout.DeepCopy(),
		Approved: c.gs.Annotations[v1alpha1.AnnotationPromote], Aborted: c.gs.Annotations[v1alpha1.AnnotationAbort],
		Retry: c.gs.Annotations[v1alpha1.AnnotationRetry], LastActive: c.gs.Status.ActiveColor, LastRevision: c.gs.Status.ActiveRevision,
		Selected: c.selected, Both: c.both, Previewed: c.preview, Colors: map[v1alpha1.Color]rollout.Color{},
		ActiveEndpoints: map[v1alpha1.Color]int32{}, PreviewEndpoints: map[v1alpha1.Color]int32{},
	}
	held := c.gs.Annotations[v1alpha1.AnnotationRollback] != ""
	serving := c.revisionOf(c.selected)
	o.Restart = serving != wanted && resources.SameWorkload(serving, wanted) && !held
	if held || resources.Names(o.Approved, wanted) {
		o.Approved = wanted
	}
	if resources.Names(o.Aborted, wanted) {
		o.Aborted = wanted
	}
	for color, live := range c.colors {
		seen := rollout.Color{Revision: live.target.Revision, Replicas: live.target.Replicas, Settled: true}
		for _, p := range live.pods {
			seen.Current++
			if p.revision == live.target.Revision {
				seen.Updated++
			}
			if c.isAvailable(p) {
				seen.Available++
			}
			if !p.isReady(c.now) {
				continue
			}
			if color == c.selected || c.both {
				o.ActiveEndpoints[color]++
			}
			if color == c.preview.Color && p.revision == c.preview.Revision {
				o.PreviewEndpoints[color]++
			}
		}
		o.Colors[color] = seen
	}
	return o, nil
}

func (p pod) isReady(now time.Time) bool { return !p.ready.IsZero() && !now.Before(p.ready) }

// isAvailable reports whether a pod has been ready for as long as the Deployment waits.
func (c *cluster) isAvailable(p pod) bool {
	return pod{ready: c.availableAt(p)}.isReady(c.now)
}

// availableAt returns when a pod becomes available, or zero for never.
func (c *cluster) availableAt(p pod) time.Time {
	if wait := c.gs.Spec.MinReadySeconds; wait != nil && !p.ready.IsZero() {
		return p.ready.Add(time.Duration(*wait) * time.Second)
	}
	return p.ready
}

// managePods does for a colour what a Deployment's controller does, and says so where pods of another revision go.
func (c *cluster) managePods(color v1alpha1.Color) bool {
	live := c.colors[color]
	want := int(live.target.Replicas)
	surge, unavailable := c.rollingLimits(want)
	before := slices.Clone(live.pods)
	fresh := slices.DeleteFunc(slices.Clone(live.pods), func(p pod) bool { return p.revision != live.target.Revision })
	stale := slices.DeleteFunc(slices.Clone(live.pods), func(p pod) bool { return p.revision == live.target.Revision })
	fresh = fresh[:min(len(fresh), want)]
	for len(fresh) < want && len(fresh)+len(stale) < want+surge {
		p := pod{revision: live.target.Revision}
		if !c.broken[p.revision] {
			p.ready = c.now.Add(c.ready)
		}
		fresh = append(fresh, p)
	}
	available := func(pods []pod) (n int) {
		for _, p := range pods {
			if c.isAvailable(p) {
				n++
			}
		}
		return n
	}
	for len(stale) > 0 && (!c.isAvailable(stale[0]) || available(fresh)+available(stale) > want-unavailable) {
		stale = stale[1:]
	}
	live.pods = slices.Concat(fresh, stale)
	if slices.Equal(before, live.pods) {
		return false
	}
	if len(before) > 0 && len(stale) > 0 {
		c.say("cluster", "%s: %s of revision %s, and %s of the one before", color, podCount(len(fresh)), live.target.Revision, podCount(len(stale)))
	}
	return true
}

// rollingLimits returns how many pods there may be beyond those that are wanted, and how many may be missing.
func (c *cluster) rollingLimits(want int) (surge, unavailable int) {
	maxSurge, maxUnavailable := resources.RollingLimits(c.gs.Spec.Strategy)
	surge, _ = intstr.GetScaledValueFromIntOrPercent(&maxSurge, want, true)
	unavailable, _ = intstr.GetScaledValueFromIntOrPercent(&maxUnavailable, want, false)
	if surge+unavailable == 0 {
		unavailable = 1 // as Kubernetes does
	}
	return surge, unavailable
}

// nextPod returns when the next pod becomes ready, or available.
func (c *cluster) nextPod() (next time.Time) {
	for _, live := range c.colors {
		for _, p := range live.pods {
			for _, moment := range []time.Time{p.ready, c.availableAt(p)} {
				if moment.After(c.now) {
					next = earliest(next, moment)
				}
			}
		}
	}
	return next
}

// earliest returns the earlier of two times, where zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func podCount[T int | int32](n T) string {
	if n == 1 {
		return "1 pod"
	}
	return fmt.Sprintf("%d pods", n)
}
