package main

import (
	"cmp"
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
	broken string // the revision whose pods never become ready, also those of a restart

	start, now time.Time
	gs         *v1alpha1.GinService
	written    *v1alpha1.GinServiceSpec // that the Deployments were last written from
	wanted     string                   // the revision of spec, or the one that is held in its place
	held       string                   // the revision of spec, where another one is held in its place
	trouble    string                   // why the revision to hold can't be had
	remarked   string
	history    []string // the revisions that can be had, oldest first
	served     []string // those that traffic went to, one after another
	colors     map[v1alpha1.Color]*deployment
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
	return &cluster{out: out, ready: ready, start: start, now: start, colors: map[v1alpha1.Color]*deployment{}}
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

// play lets everybody do what they do until nothing changes any more.
func (c *cluster) play(actions []action) error {
	began := c.now
	actions = slices.Clone(actions)
	slices.SortStableFunc(actions, func(a, b action) int { return int(a.after - b.after) })
	for range 10_000 {
		next, changed := c.pass() // before anybody acts, so that an action names the rollout of what was just applied
		for len(actions) > 0 && !c.now.Before(began.Add(actions[0].after)) {
			c.act(actions[0])
			actions, changed = actions[1:], true
		}
		if changed {
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
	return fmt.Errorf("the rollout of revision %s never comes to rest: please report this, with the manifests", c.wanted)
}

// conclude says what is left to somebody.
func (c *cluster) conclude(next time.Time) {
	record := c.gs.Status.Rollout
	switch {
	case c.suspended():
		c.say("", "nothing more happens until spec.suspend is taken away")
	case c.trouble == "" && record.Step == v1alpha1.StepCompleted:
	case next.IsZero():
		c.say("", "nothing more happens until somebody does something")
	default:
		c.say("", "the next thing happens after more than %d days", int(longest.Hours()/24))
	}
}

func (c *cluster) act(a action) {
	record := c.gs.Status.Rollout
	if record == nil && (a.what == "promote" || a.what == "abort" || a.what == "retry") {
		c.say("you", "find no rollout to %s", a.what)
		return
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
		if revision := cmp.Or(a.revision, c.lastServed()); revision != "" {
			annotate(v1alpha1.AnnotationRollback, revision)
		} else {
			c.say("you", "find no revision to roll back to")
		}
	case "scale":
		c.gs.Spec.Replicas = new(a.value)
		c.say("you", "scale to %d", a.value)
	}
}

// pass is one pass of the operator and what the cluster makes of it at once. It returns when the operator looks again.
func (c *cluster) pass() (time.Time, bool) {
	observed := c.observe()
	c.remark(observed)
	if c.suspended() || c.trouble != "" && len(c.colors) == 0 {
		return time.Time{}, c.managePods() // and the operator holds everything as it is
	}
	plan := rollout.Compute(observed)
	c.written = c.gs.Spec.DeepCopy()
	if c.gs.Spec.Replicas == nil {
		c.gs.Spec.Replicas = new(plan.Serving)
	}
	c.remember(plan)
	changed := false
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
	changed = c.report(plan) || changed
	changed = c.managePods() || changed
	if plan.After == 0 {
		return time.Time{}, changed
	}
	return c.now.Add(plan.After), changed
}

// report writes status, and says what is new in it.
func (c *cluster) report(plan rollout.Plan) bool {
	before, serves := c.gs.Status.Rollout, plan.Colors[plan.Active].Revision
	if serves != c.gs.Status.ActiveRevision {
		c.served = append(c.served, serves)
	}
	c.gs.Status.Rollout, c.gs.Status.ActiveColor, c.gs.Status.ActiveRevision = plan.Rollout, plan.Active, serves
	isNew := before == nil || before.Step != plan.Rollout.Step || before.Revision != plan.Rollout.Revision
	if isNew || before.Message != plan.Rollout.Message {
		c.say("status", "%s: %s", plan.Rollout.Step, plan.Rollout.Message)
	}
	for _, told := range plan.Transitions {
		c.say("event", "%s: %s", told.Reason, told.Message)
	}
	return isNew || len(plan.Transitions) > 0
}

func (c *cluster) observe() rollout.Observed {
	o := rollout.Observed{
		Now: c.now, Spec: c.gs.Spec.DeepCopy(), Rollout: c.gs.Status.Rollout.DeepCopy(),
		Approved: c.gs.Annotations[v1alpha1.AnnotationPromote], Aborted: c.gs.Annotations[v1alpha1.AnnotationAbort],
		Retry: c.gs.Annotations[v1alpha1.AnnotationRetry], LastActive: c.gs.Status.ActiveColor, LastRevision: c.gs.Status.ActiveRevision,
		Selected: c.selected, Both: c.both, Previewed: c.preview, Colors: map[v1alpha1.Color]rollout.Color{},
		ActiveEndpoints: map[v1alpha1.Color]int32{}, PreviewEndpoints: map[v1alpha1.Color]int32{},
		Verdict: rollout.Verdict{Promoted: true}, // these pods have no metrics
	}
	for color, live := range c.colors {
		seen := rollout.Color{Revision: live.target.Revision, Replicas: live.target.Replicas, Settled: true}
		for _, p := range live.pods {
			seen.Current++
			if p.revision == live.target.Revision {
				seen.Updated++
			}
			if c.available(p) {
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
	c.want(&o)
	return o
}

func (p pod) isReady(now time.Time) bool { return !p.ready.IsZero() && !now.Before(p.ready) }

// available reports whether a pod has been ready for minReadySeconds. The EndpointSlices don't wait for that; Deployments do.
func (c *cluster) available(p pod) bool { return p.isReady(c.now) && !c.now.Before(c.availableAt(p)) }

func (c *cluster) availableAt(p pod) time.Time {
	if seconds := c.written.MinReadySeconds; seconds != nil {
		return p.ready.Add(time.Duration(*seconds) * time.Second)
	}
	return p.ready
}

// managePods lets the pods of both colours come and go, and reports whether any did.
func (c *cluster) managePods() (changed bool) {
	for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
		if live, exists := c.colors[color]; exists {
			changed = c.manage(color, live) || changed
		}
	}
	return changed
}

// manage does for a colour what a Deployment's controller does, and says so where pods of another revision go.
func (c *cluster) manage(color v1alpha1.Color, live *deployment) bool {
	want := int(live.target.Replicas)
	surge, unavailable := c.rollingLimits(want)
	before := slices.Clone(live.pods)
	fresh := slices.DeleteFunc(slices.Clone(live.pods), func(p pod) bool { return p.revision != live.target.Revision })
	stale := slices.DeleteFunc(slices.Clone(live.pods), func(p pod) bool { return p.revision == live.target.Revision })
	fresh = fresh[:min(len(fresh), want)]
	for len(fresh) < want && len(fresh)+len(stale) < want+surge {
		p := pod{revision: live.target.Revision}
		if !resources.SameWorkload(p.revision, c.broken) {
			p.ready = c.now.Add(c.ready)
		}
		fresh = append(fresh, p)
	}
	healthy := 0
	for _, p := range fresh {
		if c.available(p) {
			healthy++
		}
	}
	// Those that are not available go first, but they count: Kubernetes keeps as many pods as it has to, and not as many that work.
	slices.SortStableFunc(stale, func(a, b pod) int {
		switch isA, isB := c.available(a), c.available(b); {
		case isA == isB:
			return 0
		case isA:
			return 1
		default:
			return -1
		}
	})
	stale = stale[min(len(stale), max(0, healthy+len(stale)-(want-unavailable))):]
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
	maxSurge, maxUnavailable := resources.RollingLimits(c.written.Strategy)
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
			if p.ready.IsZero() {
				continue
			}
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
