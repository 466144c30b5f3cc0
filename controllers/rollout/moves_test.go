package rollout_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

var colors = []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green}

// What users do.

func (w *world) user(what string, args ...any) {
	w.quiet = false
	w.log("USER", what, args...)
}

func (w *world) image(revision string) {
	w.user("changes the image: revision %s", revision)
	w.wanted = revision
}

func (w *world) scale(replicas int32) {
	w.user("scales to %d", replicas)
	w.setReplicas(replicas)
}

func (w *world) approve(revision string) {
	w.user("approves %s", revision)
	w.approved = revision
}

func (w *world) abort(revision string) {
	w.user("aborts %s", revision)
	w.aborted, w.mayAbort = revision, true
}

func (w *world) analyze(revision string, outcome rollout.Outcome) {
	w.user("(an analysis) says of %s: %s", revision, outcome)
	w.verdicts[revision], w.mayAbort = outcome, true
}

func (w *world) suspend(suspended bool) {
	w.user("sets suspend to %t", suspended)
	w.spec.Suspend, w.mayFail = &suspended, true // deadlines go on
}

func (w *world) strategy(strategy v1alpha1.StrategyType) {
	w.user("sets the strategy to %s", strategy)
	w.spec.Strategy.Type = strategy
}

func (w *world) cutover(cutover v1alpha1.Cutover) {
	w.user("sets the cutover to %s", cutover)
	w.blueGreen().Cutover = cutover
}

func (w *world) autoscale(on bool) {
	w.user("sets autoscaling to %t", on)
	w.spec.Autoscaling = nil
	if on {
		w.spec.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: new(int32(1)), MaxReplicas: 10}
	}
}

func (w *world) tryAgain(value string) {
	w.user("sets retry to %s", value)
	w.retry = value
}

func (w *world) autoscaler(replicas int32) {
	w.user("(the autoscaler) scales to %d", replicas)
	w.setReplicas(replicas)
}

func (w *world) setReplicas(replicas int32) {
	w.spec.Replicas = &replicas
	if replicas == 0 || w.reachable() == 0 {
		w.excused = true
	}
}

// What goes wrong. Whoever can't be reached after that has an excuse until all is reported, and somebody can be reached again.

func (w *world) chance(what string, args ...any) {
	w.quiet, w.excused, w.mustHeal = false, true, false
	w.log("CHANCE", what, args...)
}

func (w *world) loseStatus() {
	w.quiet, w.mustHeal = false, false // nobody knows any more what served
	w.log("CHANCE", "the status is lost")
	w.status = status{}
	w.unknown = w.unknown || w.active == nil || w.deployments[w.active.selects.Color] == nil
}

func (w *world) deleteActiveService() {
	w.chance("the active Service is deleted")
	w.active = nil
	w.unknown = w.unknown || !w.status.color.Valid()
}

// moveSelector is somebody's hand. Whatever the other colour holds, that hand has let it serve.
func (w *world) moveSelector() {
	if w.active == nil {
		return
	}
	current := w.active.selects.Color
	other := current.Other()
	ready := func(color v1alpha1.Color) int32 {
		return w.count(w.deployments[color], func(p *pod) bool { return p.ready })
	}
	heals := !w.scaledToZero() && ready(other) == 0 && ready(current) > 0 && w.status.color == current && w.status.revision == w.deployments[current].want.Revision
	w.chance("somebody moves the active Service to %s", other)
	selectPods(&w.active, selector{Preview: rollout.Preview{Color: other}})
	w.unknown, w.mustHeal = true, heals
}

func (w *world) deletePreviewService() {
	w.quiet = false
	w.log("CHANCE", "the preview Service is deleted")
	w.preview = nil
}

func (w *world) deleteDeployment(color v1alpha1.Color) {
	w.chance("the Deployment of %s is deleted", color)
	if d := w.deployments[color]; d != nil {
		for len(d.pods) > 0 {
			w.removePod(d, 0)
		}
	}
	delete(w.deployments, color)
	w.unknown = w.unknown || w.active != nil && w.active.selects.Color == color && w.status.revision == ""
}

func (w *world) breakRevision(revision string) {
	w.chance("%s doesn't run any more", revision)
	w.faulty[revision], w.mayFail = true, true
	for _, d := range w.deployments {
		for _, p := range d.pods {
			p.ready = p.ready && p.revision != revision
		}
	}
}

func (w *world) heal(revision string) {
	w.quiet = false
	w.log("CHANCE", "%s runs again", revision)
	delete(w.faulty, revision)
}

func (w *world) restartPods(color v1alpha1.Color) {
	w.chance("the pods of %s restart", color)
	if d := w.deployments[color]; d != nil {
		for _, p := range d.pods {
			p.ready = false
		}
	}
}

// What the others do.

// moved notes a move of somebody else than the operator.
func (w *world) moved() {
	w.t.Helper()
	w.quiet = false
	w.checkWorld()
}

// pods lets the Deployment controller and the kubelet do all they can for a colour.
func (w *world) pods(color v1alpha1.Color) bool {
	w.t.Helper()
	moves := 0
	for w.managePods(color) || w.startPod(color) {
		w.moved()
		if moves++; moves > 1000 {
			w.fail("the pods of %s never come to rest", color)
		}
	}
	if !w.report(color) && moves == 0 {
		return false
	}
	w.moved()
	d := w.deployments[color]
	w.log("pods", "%s: %d of %d pods are available", color, d.reported.Available, d.want.Replicas)
	return true
}

// endpoints lets the endpoint controller look at a Service.
func (w *world) endpoints(s *service) bool {
	w.t.Helper()
	if !w.syncSlices(s) {
		return false
	}
	w.moved()
	name := "active"
	if s == w.preview {
		name = "preview"
	}
	what := strings.TrimSpace(fmt.Sprintf("%s %s", s.selects.Color, s.selects.Revision))
	if s.selects.both {
		what = "both colours"
	}
	w.log("endpoints", "%s: %d pods of %s", name, len(s.slices), what)
	return true
}

// settle lets everybody do what they can until nothing happens any more but that time passes. It returns when the operator wants to
// look again.
func (w *world) settle() time.Duration {
	w.t.Helper()
	for range 100 {
		before := w.writesDone
		plan := w.pass()
		moved := w.writesDone != before
		for _, color := range colors {
			moved = w.pods(color) || moved
		}
		moved = w.endpoints(w.preview) || moved
		moved = w.endpoints(w.active) || moved
		if !moved {
			return plan.After
		}
	}
	w.fail("the world never comes to rest")
	return 0
}

// elapse lets time pass, and nobody sees it.
func (w *world) elapse(d time.Duration) { w.now, w.quiet = w.now.Add(d), false }

// wait lets time pass, in which the operator looks again when it wants to.
func (w *world) wait(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for range 20 {
		after := w.settle()
		if after == 0 || w.now.Add(after).After(end) {
			w.elapse(end.Sub(w.now))
			w.settle()
			return
		}
		w.elapse(after)
	}
	w.fail("the operator looks again and again")
}

// finish lets time pass until the operator wants to look no more. Nobody keeps it suspended for ever.
func (w *world) finish() {
	w.t.Helper()
	if w.suspended() {
		w.suspend(false)
	}
	for range 20 {
		after := w.settle()
		if after == 0 {
			w.checkEnd()
			return
		}
		w.elapse(after)
	}
	w.fail("the operator looks again and again")
}
