package rollout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// world is a cluster with one GinService. Nothing in it happens by itself: a test says who makes the next move, the operator, the
// Deployment controller, the kubelet, the endpoint controller, a user, or chance. What one of them has done, the others see only once
// they have moved too.
type world struct {
	t   testing.TB
	now time.Time

	spec     v1alpha1.GinServiceSpec
	wanted   string
	approved string
	aborted  string
	retry    string
	verdicts map[string]rollout.Outcome // what an analysis says of revisions

	deployments map[v1alpha1.Color]*deployment
	active      *service // nil while it is missing
	preview     *service // nil while it is missing
	status      status

	faulty   map[string]bool // revisions whose pods never become ready
	podsMade int

	journal // what was seen, for the checks and for the reader
}

// deployment is a colour: what is wanted of it, its pods, and what the Deployment controller has last reported.
type deployment struct {
	color    v1alpha1.Color
	want     rollout.Target
	pods     []*pod
	reported rollout.Color
	changes  int  // what was wanted has changed so often
	seen     int  // the last of these that the report knows of
	served   bool // the active Service has selected it since it has this template and pods
}

type pod struct {
	color    v1alpha1.Color
	revision string
	ready    bool
	gone     bool
}

// service is a Service and what its EndpointSlices show: the pods that were ready when the endpoint controller last looked, for what
// the selector was then. The active Service selects a colour, of whatever revision.
type service struct {
	selects selector
	slices  []*pod
	sliceOf selector
}

// selector is what a Service selects: the colour, or both with the one that served before.
type selector struct {
	rollout.Preview

	both bool
}

func (s selector) colors() []v1alpha1.Color {
	if s.both {
		return colors
	}
	return []v1alpha1.Color{s.Color}
}

// status is what the operator keeps in the status of the GinService.
type status struct {
	rollout  *v1alpha1.RolloutStatus
	color    v1alpha1.Color
	revision string
}

var epoch = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// newWorld returns a world with a GinService that was just created: three pods, automatic promotion, 10 minutes to become ready, and
// 30 seconds for whatever is left behind.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		t: t, now: epoch, wanted: "v1", faulty: map[string]bool{},
		verdicts:    map[string]rollout.Outcome{},
		deployments: map[v1alpha1.Color]*deployment{},
		journal:     journal{approvals: map[string]bool{}, told: map[string]int{}, crashBefore: -1, forgetBefore: -1},
	}
	w.spec.Replicas = new(int32(3))
	w.spec.ProgressDeadlineSeconds = new(int32(600))
	w.blueGreen().Promotion = v1alpha1.PromotionAutomatic
	w.blueGreen().ScaleDownDelaySeconds = new(int32(30))
	w.blueGreen().AbortScaleDownDelaySeconds = new(int32(30))
	return w
}

func (w *world) blueGreen() *v1alpha1.BlueGreen { return &w.spec.Strategy.BlueGreen }

// observe returns what the operator sees: not the pods, but what is reported of them.
func (w *world) observe() rollout.Observed {
	o := rollout.Observed{
		Now: w.now, Spec: w.spec.DeepCopy(), Wanted: w.wanted, Approved: w.approved, Aborted: w.aborted, Retry: w.retry,
		Rollout: w.status.rollout.DeepCopy(), LastActive: w.status.color, LastRevision: w.status.revision,
		Colors:          map[v1alpha1.Color]rollout.Color{},
		ActiveEndpoints: map[v1alpha1.Color]int32{}, PreviewEndpoints: map[v1alpha1.Color]int32{},
	}
	if record := w.status.rollout; record != nil && !rollout.Ended(record) {
		o.Verdict = rollout.Verdict{
			Outcome: w.verdicts[record.Revision], Message: "5 % of requests fail; 1 % may",
			Promoted: w.blueGreen().PostPromotionAnalysis != nil && record.ApprovedAt != nil,
		}
		if w.blueGreen().PostPromotionAnalysis != nil && w.blueGreen().Analysis == nil && record.ApprovedAt == nil {
			o.Verdict = rollout.Verdict{} // only what serves is measured
		}
	}
	for color, d := range w.deployments {
		seen := d.reported
		seen.Settled = d.seen == d.changes
		seen.Revision, seen.Replicas = d.want.Revision, d.want.Replicas
		o.Colors[color] = seen
	}
	if w.active != nil {
		o.Selected, o.Both = w.active.selects.Color, w.active.selects.both
		for _, p := range w.active.slices {
			o.ActiveEndpoints[p.color]++
		}
	}
	if w.preview != nil {
		o.Previewed = w.preview.selects.Preview
		// The labels of a slice tell which selector it was made for.
		if w.preview.sliceOf == w.preview.selects {
			o.PreviewEndpoints[w.preview.selects.Color] = int32(len(w.preview.slices))
		}
	}
	if serving := w.deployments[o.Active()]; serving != nil {
		o.Restart = serving.want.Revision != w.wanted && resources.SameWorkload(serving.want.Revision, w.wanted)
	}
	return o
}

// managePods is one move of the Deployment controller: a pod created or removed. It reports whether there was any to make.
func (w *world) managePods(color v1alpha1.Color) bool {
	d := w.deployments[color]
	if d == nil {
		return false
	}
	total, ready := int32(len(d.pods)), w.count(d, func(p *pod) bool { return p.ready })
	// A rolling update takes no pod away that leaves fewer ready ones than are wanted.
	stale := slices.IndexFunc(d.pods, func(p *pod) bool { return p.revision != d.want.Revision && (!p.ready || ready > d.want.Replicas) })
	fresh := w.count(d, func(p *pod) bool { return p.revision == d.want.Revision })
	switch {
	case fresh < d.want.Replicas && total <= d.want.Replicas:
		w.podsMade++
		d.pods = append(d.pods, &pod{color: color, revision: d.want.Revision})
	case stale >= 0:
		w.removePod(d, stale)
	case fresh > d.want.Replicas:
		// As in Kubernetes: those that are not ready go first, then the youngest.
		surplus := slices.IndexFunc(d.pods, func(p *pod) bool { return !p.ready })
		if surplus < 0 {
			surplus = len(d.pods) - 1
		}
		w.removePod(d, surplus)
	default:
		return false
	}
	return true
}

func (*world) removePod(d *deployment, i int) {
	d.pods[i].gone, d.pods[i].ready = true, false
	d.pods = slices.Delete(d.pods, i, i+1)
}

// startPod is one move of the kubelet: a pod becomes ready.
func (w *world) startPod(color v1alpha1.Color) bool {
	if d := w.deployments[color]; d != nil {
		for _, p := range d.pods {
			if !p.ready && !w.faulty[p.revision] {
				p.ready = true
				return true
			}
		}
	}
	return false
}

// report is the Deployment controller's status write.
func (w *world) report(color v1alpha1.Color) bool {
	d := w.deployments[color]
	if d == nil {
		return false
	}
	now := rollout.Color{
		Current:   int32(len(d.pods)),
		Updated:   w.count(d, func(p *pod) bool { return p.revision == d.want.Revision }),
		Available: w.count(d, func(p *pod) bool { return p.ready }),
	}
	changed := now != d.reported || d.seen != d.changes
	d.reported, d.seen = now, d.changes
	return changed
}

// syncSlices is a move of the endpoint controller: the EndpointSlices of a Service show what it selects now.
func (w *world) syncSlices(s *service) bool {
	if s == nil {
		return false
	}
	var ready []*pod
	for _, color := range s.selects.colors() {
		if d := w.deployments[color]; d != nil {
			for _, p := range d.pods {
				if p.ready && (s.selects.Revision == "" || p.revision == s.selects.Revision) {
					ready = append(ready, p)
				}
			}
		}
	}
	if s == w.active && len(ready) > 0 && !slices.ContainsFunc(ready, func(p *pod) bool { return p.revision != w.deployments[p.color].want.Revision }) {
		w.rolled = false
	}
	changed := s.sliceOf != s.selects || !slices.Equal(s.slices, ready)
	s.slices, s.sliceOf = ready, s.selects
	return changed
}

func (*world) count(d *deployment, which func(*pod) bool) (n int32) {
	if d == nil {
		return 0
	}
	for _, p := range d.pods {
		if which(p) {
			n++
		}
	}
	return n
}

// reachable returns the number of pods that a client of the active Service reaches: those that its EndpointSlices show, as far as they
// are still there and ready. Where a Deployment replaces pods, it does not wait for the EndpointSlices: that those which end answer until
// the others are known is the pods' own part, by their drain.
func (w *world) reachable() (n int) {
	if w.active == nil {
		return 0
	}
	if w.rolled {
		return int(w.count(w.deployments[w.active.selects.Color], func(p *pod) bool { return p.ready }))
	}
	for _, p := range w.active.slices {
		if p.ready && !p.gone {
			n++
		}
	}
	return n
}

// write is one call of the API by the operator.
type write struct {
	what string
	do   func()
}

// writes returns what it takes to make a plan true, in the order in which the operator does it.
func (w *world) writes(plan rollout.Plan) []write {
	var writes []write
	for _, color := range []v1alpha1.Color{plan.Active, plan.Active.Other()} {
		target, planned := plan.Colors[color]
		d := w.deployments[color]
		switch {
		case !planned || d != nil && d.want == target:
		case d == nil:
			writes = append(writes, write{fmt.Sprintf("creates %s: %d pods of %s", color, target.Replicas, target.Revision), func() {
				w.deployments[color] = &deployment{color: color, want: target, changes: 1}
			}})
		default:
			writes = append(writes, write{describeChange(color, d.want, target), func() {
				before := w.status.rollout
				if w.spec.Strategy.Type == v1alpha1.StrategyRollingUpdate || plan.Rollout.ReplacedRevision != "" ||
					before != nil && before.ReplacedRevision == target.Revision {
					w.approvals[target.Revision], w.rolled = true, true // it needs none
				}
				d.served = d.served && d.want.Revision == target.Revision && (target.Replicas > 0 || target.Revision == w.wanted)
				d.want, d.changes = target, d.changes+1
			}})
		}
	}
	if w.preview == nil || w.preview.selects.Preview != plan.Preview {
		writes = append(writes, write{fmt.Sprintf("the preview Service selects %s %s", plan.Preview.Color, plan.Preview.Revision), func() {
			selectPods(&w.preview, selector{Preview: plan.Preview})
		}})
	}
	if active := (selector{rollout.Preview{Color: plan.Active}, plan.Both}); w.active == nil || w.active.selects != active {
		what := strings.ToUpper(string(plan.Active))
		if plan.Both {
			what = fmt.Sprintf("BOTH COLOURS (%s served before)", plan.Active)
		}
		writes = append(writes, write{"THE ACTIVE SERVICE SELECTS " + what, func() {
			selectPods(&w.active, active)
		}})
	}
	next := status{rollout: plan.Rollout, color: plan.Active, revision: w.status.revision}
	if target, planned := plan.Colors[plan.Active]; planned {
		next.revision = target.Revision
	}
	if !same(w.status, next) {
		writes = append(writes, write{"status: " + describeRecord(next.rollout), func() {
			before := w.status
			w.status = next
			w.hear(before, plan.Transitions)
		}})
	}
	return writes
}

func selectPods(s **service, what selector) {
	if *s == nil {
		*s = &service{}
	}
	(*s).selects = what
}

func describeChange(color v1alpha1.Color, from, to rollout.Target) string {
	switch {
	case from.Revision != to.Revision:
		return fmt.Sprintf("gives %s the template of %s, with %d pods", color, to.Revision, to.Replicas)
	default:
		return fmt.Sprintf("scales %s from %d to %d", color, from.Replicas, to.Replicas)
	}
}

func describeRecord(r *v1alpha1.RolloutStatus) string {
	if r == nil {
		return "no rollout"
	}
	rollback := ""
	if r.Rollback {
		rollback = " (rollback)"
	}
	held := ""
	if r.HeldReplicas != nil {
		held = fmt.Sprintf(" (holding %d)", *r.HeldReplicas)
	}
	return fmt.Sprintf("%s %s%s%s: %s", r.Revision, r.Step, rollback, held, r.Message)
}
