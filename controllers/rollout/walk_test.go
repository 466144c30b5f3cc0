package rollout_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// chooser makes the choices of a walk.
type chooser interface {
	// choose returns one of 0 … n-1.
	choose(n int) int
	// done reports whether there are no more choices to make.
	done() bool
}

type seeded struct {
	*rand.Rand

	left int
}

func random(seed, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, stream)) //nolint:gosec // a walk that fails has to be walked again
}

func (s *seeded) choose(n int) int { s.left--; return s.IntN(n) }
func (s *seeded) done() bool       { return s.left <= 0 }

// scripted takes its choices from bytes, and the first of each kind when there are no more.
type scripted struct{ script []byte }

func (s *scripted) done() bool { return len(s.script) == 0 }

func (s *scripted) choose(n int) int {
	if s.done() {
		return 0
	}
	next := int(s.script[0]) % n
	s.script = s.script[1:]
	return next
}

// walk lets everybody move in the order that the chooser says, with users who change their minds and, if it is to be a rough one, with
// all that can go wrong. When the choices are used up, nothing more is asked for and nothing more goes wrong, and the world has to come
// to the end that it should.
func walk(w *world, c chooser, rough bool) {
	w.t.Helper()
	setUp(w, c)
	longWait := 15 * time.Minute
	if w.mayFail = rough; !rough {
		longWait, w.spec.ProgressDeadlineSeconds = 5*time.Minute, new(int32(604800)) // nothing is late then
	}
	if c.choose(4) > 0 {
		w.finish()
	}
	for !c.done() {
		switch n := c.choose(32); {
		case n < 9:
			w.pass()
		case n < 23:
			neighbour(w, c)
		case n < 26:
			w.elapse([]time.Duration{time.Second, 20 * time.Second, 40 * time.Second, longWait}[c.choose(4)])
		case n < 30 || !rough:
			change(w, c)
		default:
			disturb(w, c)
		}
	}
	w.log("", "from here on nothing is asked for, and nothing goes wrong")
	w.finish()
}

// setUp chooses the settings.
func setUp(w *world, c chooser) {
	blueGreen := w.blueGreen()
	if c.choose(2) == 0 {
		manual(w)
	} else {
		blueGreen.AutoPromotionSeconds = []*int32{nil, new(int32(0)), new(int32(10)), new(int32(700))}[c.choose(4)]
	}
	if c.choose(2) == 0 {
		autoscaled(w)
	}
	if blueGreen.AutoPromotionSeconds == nil {
		blueGreen.PreviewTTLSeconds = []*int32{nil, nil, new(int32(30))}[c.choose(3)]
	}
	if c.choose(2) == 0 {
		overlapping(w, 30*time.Second)
	}
	if c.choose(4) == 0 {
		rolling(w)
	}
	blueGreen.PreviewReplicas = []*int32{nil, new(int32(1)), new(int32(5))}[c.choose(3)]
	blueGreen.ScaleDownDelaySeconds = new(int32(30 * c.choose(2)))
	blueGreen.AbortScaleDownDelaySeconds = new(int32(30 * c.choose(2)))
	w.setReplicas(int32(1 + c.choose(3)))
}

// neighbour is one small move of a controller or of the kubelet.
func neighbour(w *world, c chooser) {
	w.t.Helper()
	color := colors[c.choose(2)]
	switch c.choose(5) {
	case 0:
		if w.managePods(color) {
			w.log("pods", "%s: a pod comes or goes", color)
		}
	case 1:
		if w.startPod(color) {
			w.log("pods", "%s: a pod is ready", color)
		}
	case 2:
		if w.report(color) {
			w.log("pods", "%s: %+v is reported", color, w.deployments[color].reported)
		}
	case 3:
		w.pods(color)
	default:
		w.endpoints([]*service{w.active, w.preview}[c.choose(2)])
	}
	w.moved()
}

// change is what a user or the autoscaler does.
func change(w *world, c chooser) {
	w.t.Helper()
	switch c.choose(11) {
	case 9:
		which := c.choose(2)
		w.blueGreen().PostPromotionAnalysis, w.blueGreen().Analysis = &v1alpha1.AnalysisRun{}, []*v1alpha1.Analysis{nil, {}}[which]
		w.analyze([]string{w.wanted, "v2"}[which], []rollout.Outcome{rollout.Analyzing, rollout.Passed, rollout.Rejected}[c.choose(3)])
	case 10:
		w.suspend(c.choose(2) == 0)
	case 8:
		w.strategy([]v1alpha1.StrategyType{v1alpha1.StrategyBlueGreen, v1alpha1.StrategyRollingUpdate}[c.choose(2)])
	case 6:
		w.abort([]string{"", w.wanted, "v1", "v2"}[c.choose(4)])
	case 7:
		w.tryAgain([]string{w.wanted, w.wanted + ".2", w.wanted + ".3", "v1"}[c.choose(4)])
	case 0, 1:
		w.image([]string{"v1", "v2", "v3", "v4", "v1-again", "v2-again"}[c.choose(6)])
	case 2:
		w.approve([]string{"", w.wanted, "v1", "v2"}[c.choose(4)])
	case 3:
		w.image(fmt.Sprintf("v%d", 1+c.choose(4)))
		w.scale(int32(1 + c.choose(5)))
	case 4:
		w.scale(int32(c.choose(4)))
	default:
		w.approve(w.wanted)
	}
}

// disturb is what goes wrong.
func disturb(w *world, c chooser) {
	w.t.Helper()
	switch c.choose(12) {
	case 0, 1:
		w.interrupt(c.choose(5))
	case 2:
		w.loseStatus()
	case 3:
		w.breakRevision(fmt.Sprintf("v%d", 1+c.choose(4)))
	case 4:
		w.heal(fmt.Sprintf("v%d", 1+c.choose(4)))
	case 5:
		w.restartPods(colors[c.choose(2)])
	case 6:
		w.deleteDeployment(colors[c.choose(2)])
	case 7:
		w.deleteActiveService()
	case 8:
		w.deletePreviewService()
	case 9:
		w.moveSelector()
	case 10:
		if !w.suspended() {
			w.refuse(c.choose(4))
		}
	default:
		if w.suspended() {
			return // the operator fills nothing in then
		}
		w.user("removes spec.replicas, and the operator fills it in")
		w.spec.Replicas = nil
		serving := w.pass().Serving
		if d := w.deployments[w.active.selects.Color]; serving != d.want.Replicas {
			w.fail("spec.replicas vanishes, and %d are to serve instead of %d", serving, d.want.Replicas)
		}
		w.quiet = false
		w.setReplicas(serving)
	}
}

// TestWalks tries interleavings that nobody has thought of. A walk that fails prints all of its story.
func TestWalks(t *testing.T) {
	t.Parallel()
	for name, rough := range map[string]bool{"users and controllers": false, "with faults": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := map[v1alpha1.RolloutStep]int{}
			for seed := range uint64(300) {
				w := newWorld(t)
				w.log("", "seed %d", seed)
				walk(w, &seeded{random(seed, 1), 250}, rough)
				steps[w.status.rollout.Step]++
			}
			for _, step := range []v1alpha1.RolloutStep{v1alpha1.StepCompleted, v1alpha1.StepCancelled, v1alpha1.StepWaitingForPromotion} {
				if steps[step] == 0 {
					t.Errorf("no walk ends in %s: they don't go far enough: %v", step, steps)
				}
			}
		})
	}
}

// FuzzWalk lets the fuzzer choose who moves.
func FuzzWalk(f *testing.F) {
	for seed := range byte(8) {
		choices := random(uint64(seed), 2)
		script := make([]byte, 200)
		for i := range script {
			script[i] = byte(choices.IntN(256))
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1000 {
			t.Skip("more of the same")
		}
		walk(newWorld(t), &scripted{script}, true)
	})
}
