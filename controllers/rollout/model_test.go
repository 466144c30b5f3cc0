package rollout_test

import (
	"flag"
	"fmt"
	"hash/maphash"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

var (
	modelChanges     = flag.Int("model.changes", 1, "how often users change their minds on each way through the model")
	modelFaults      = flag.Int("model.faults", 0, "how much goes wrong on each way through the model")
	modelSettingsToo = flag.Bool("model.settings", false, "users may also change their minds about the strategy, the cutover and autoscaling, or restart pods")
)

// tick is the step of the model's clock. All timers are a few of them.
const tick = 30 * time.Second

// modelSettings are what does not change on a way through the model.
var modelSettings = map[string]func(w *world){
	"automatic":                           func(*world) {},
	"automatic after a while, autoscaled": func(w *world) { w.blueGreen().AutoPromotionSeconds = new(int32(30)); autoscaled(w) },
	"both colours serve for a while":      func(w *world) { overlapping(w, tick) },
	"pods are replaced one by one":        rolling,
	"a preview is measured without end": func(w *world) {
		w.blueGreen().Analysis = &v1alpha1.Analysis{}
		measureAll(w)
	},
	"what serves is measured": func(w *world) {
		w.blueGreen().PostPromotionAnalysis = &v1alpha1.AnalysisRun{}
		measureAll(w)
	},
	"manual, with a small preview that expires": func(w *world) {
		manual(w)
		w.blueGreen().PreviewReplicas, w.blueGreen().PreviewTTLSeconds = new(int32(1)), new(int32(60))
	},
}

// measureAll has an analysis of all that may come after v1, which says nothing yet.
func measureAll(w *world) {
	for _, revision := range []string{"v2", "v1" + again, "v2" + again} {
		w.verdicts[revision] = rollout.Analyzing
	}
}

// TestModel tries everything that anybody can do in every state that can be reached with so many changes and faults, in every order, and
// checks the invariants on the way. From every state, with no more faults, the world has to come to the end that it should. By default
// there is one change: `make model` goes further.
func TestModel(t *testing.T) {
	t.Parallel()
	states, edges, violations := 0, 0, 0
	for _, name := range slices.Sorted(maps.Keys(modelSettings)) {
		m := explore(t, modelSettings[name])
		t.Logf("%s: %d states, %d edges", name, len(m.states), m.edges)
		for _, violation := range m.violations {
			t.Errorf("%s: %s", name, violation)
		}
		states, edges, violations = states+len(m.states), edges+m.edges, violations+len(m.violations)
	}
	fmt.Fprintf(os.Stdout, "model: %d states, %d edges, %d violations\n", states, edges, violations)
	if states < 1000 {
		t.Error("the model has hardly any states: something keeps it from moving")
	}
}

// model is what has been found so far.
type model struct {
	settings   func(*world)
	moves      []move
	states     []state
	known      map[uint64]bool
	seed       maphash.Seed
	edges      int
	violations []string
}

// state is how a state was reached first. The worlds of states are kept only until they are explored.
type state struct {
	from  int32 // -1 for the first
	move  int16
	world *world
}

// kind is whose move it is.
type kind int

const (
	controllers kind = iota
	users
	mishaps
)

type move struct {
	name string
	kind kind
	// make makes the move, and reports whether there was one to make.
	make func(w *world) bool
}

// broken is what the checks of a world in the model panic with.
type broken struct{ what string }

// referee is the test that a world in the model fails.
type referee struct{ testing.TB }

func (referee) Helper() {}

func (referee) Fatalf(format string, args ...any) { panic(broken{fmt.Sprintf(format, args...)}) }

// atOnce is how many states are left before what they lead to is put together: enough to keep all cores at work.
const atOnce = 1024

// left is what was found in leaving a state.
type left struct {
	steps      []step
	complaints []complaint
}

// step is a move, and the world that it led to.
type step struct {
	move  int
	key   uint64
	world *world
}

// complaint is what a check said after a move; -1 stands for coming to the end.
type complaint struct {
	move int
	what string
}

func explore(t *testing.T, settings func(*world)) *model {
	t.Helper()
	m := &model{settings: settings, moves: allMoves(), known: map[uint64]bool{}, seed: maphash.MakeSeed()}
	first := m.begin()
	m.add(-1, step{key: m.key(first), world: first})
	for from := 0; from < len(m.states) && len(m.violations) < 3; {
		batch := m.states[from:min(from+atOnce, len(m.states))]
		// What is found first stays what it would be if states were left one by one.
		for i, found := range m.leaveAll(batch) {
			for _, c := range found.complaints {
				m.report(from+i, c.move, c.what)
			}
			m.edges += len(found.steps)
			for _, s := range found.steps {
				m.add(from+i, s)
			}
		}
		from += len(batch)
	}
	return m
}

// leaveAll leaves states by all moves, on all cores. Their worlds are not needed any more.
func (m *model) leaveAll(states []state) []left {
	found := make([]left, len(states))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(states); i = int(next.Add(1)) - 1 {
				found[i] = m.leave(states[i].world)
				states[i].world = nil
			}
		})
	}
	workers.Wait()
	return found
}

func (m *model) leave(w *world) (found left) {
	for i, next := range m.moves {
		if next.kind == users && w.changes == 0 || next.kind == mishaps && w.mishaps == 0 {
			continue
		}
		branch := w.fork()
		var moved bool
		if what := attempt(func() { moved = next.make(branch) }); what != "" {
			found.complaints = append(found.complaints, complaint{i, what})
			continue
		}
		if !moved {
			continue
		}
		switch next.kind {
		case users:
			branch.changes--
		case mishaps:
			branch.mishaps--
		case controllers:
		}
		found.steps = append(found.steps, step{move: i, key: m.key(branch), world: branch})
	}
	if what := attempt(func() { w.fork().finish() }); what != "" {
		found.complaints = append(found.complaints, complaint{-1, what})
	}
	return found
}

// begin returns the world in which each way begins: a service that has served for a while.
func (m *model) begin() *world {
	w := newWorld(referee{})
	w.spec.Replicas = new(int32(1))
	w.spec.ProgressDeadlineSeconds = new(int32(2 * tick / time.Second))
	m.settings(w)
	served(w, "v1")
	w.changes, w.mishaps, w.silent = *modelChanges, *modelFaults, true
	w.mayFail = true // the clock may run out before anybody else moves
	return w
}

func (m *model) add(from int, s step) {
	if !m.known[s.key] {
		m.known[s.key] = true
		m.states = append(m.states, state{from: int32(from), move: int16(s.move), world: s.world})
	}
}

// key tells worlds apart: of a million states, two have the same 64 bits once in ten million runs.
func (m *model) key(w *world) uint64 { return maphash.String(m.seed, w.key()) }

// attempt returns what a check complained of, or "".
func attempt(what func()) (complaint string) {
	defer func() {
		if failed, ok := recover().(broken); ok {
			complaint = failed.what
		}
	}()
	what()
	return ""
}

// report tells the whole way to a violation: to a state, and a move from there, or the end that it should come to.
func (m *model) report(at, last int, what string) {
	var way []int
	if last >= 0 {
		way = append(way, last)
	}
	for i := at; m.states[i].from >= 0; i = int(m.states[i].from) {
		way = append(way, int(m.states[i].move))
	}
	w := m.begin()
	w.silent = false
	story := attempt(func() {
		for _, index := range slices.Backward(way) {
			m.moves[index].make(w)
		}
		w.finish()
	})
	if story == "" {
		story = what
	}
	m.violations = append(m.violations, story)
}

func always(do func(w *world)) func(*world) bool {
	return func(w *world) bool { do(w); return true }
}

// again is what tells the revision of a restart from the one whose code it has.
const again = "-again"

// other returns what a user changes a setting to that has two values.
func other[T comparable](is, one, two T) T {
	if is == one {
		return two
	}
	return one
}

func allMoves() []move {
	moves := []move{
		{"the operator passes", controllers, func(w *world) bool { before := w.writesDone; w.pass(); return w.writesDone != before }},
		{"the endpoint controller sees the active Service", controllers, func(w *world) bool { return w.endpoints(w.active) }},
		{"the endpoint controller sees the preview Service", controllers, func(w *world) bool { return w.endpoints(w.preview) }},
		{"time passes", controllers, always(func(w *world) { w.elapse(tick) })},
		{"a user takes the abort back", users, func(w *world) bool { return w.aborted != "" && always(func(w *world) { w.abort("") })(w) }},
		{"a user approves", users, func(w *world) bool {
			return w.approved != w.wanted && always(func(w *world) { w.approve(w.wanted) })(w)
		}},
		{"a user aborts", users, func(w *world) bool { return w.aborted != w.wanted && always(func(w *world) { w.abort(w.wanted) })(w) }},
		{"a user tries again", users, always(func(w *world) { w.tryAgain(retryOf(w)) })},
		{"a user suspends", users, func(w *world) bool { return !w.suspended() && always(func(w *world) { w.suspend(true) })(w) }},
		{"a user suspends no longer", users, func(w *world) bool { return w.suspended() && always(func(w *world) { w.suspend(false) })(w) }},
		{"the status is lost", mishaps, always((*world).loseStatus)},
		{"the active Service is deleted", mishaps, func(w *world) bool { return w.active != nil && always((*world).deleteActiveService)(w) }},
		{"the preview Service is deleted", mishaps, func(w *world) bool { return w.preview != nil && always((*world).deletePreviewService)(w) }},
		{"somebody moves the selector", mishaps, func(w *world) bool { return w.active != nil && always((*world).moveSelector)(w) }},
	}
	for _, revision := range []string{"v1", "v2"} {
		moves = append(moves,
			move{"a user wants " + revision, users, func(w *world) bool {
				return w.wanted != revision && always(func(w *world) { w.image(revision) })(w)
			}},
			move{revision + " breaks", mishaps, func(w *world) bool {
				return !w.faulty[revision] && always(func(w *world) { w.breakRevision(revision) })(w)
			}},
		)
	}
	for _, replicas := range []int32{0, 1, 2} {
		moves = append(moves, move{fmt.Sprintf("a user wants %d pods", replicas), users, func(w *world) bool {
			return *w.spec.Replicas != replicas && always(func(w *world) { w.scale(replicas) })(w)
		}})
	}
	for _, outcome := range []rollout.Outcome{rollout.Analyzing, rollout.Rejected} {
		moves = append(moves, move{"an analysis says of v2: " + string(outcome), users, func(w *world) bool {
			return w.verdicts["v2"] != outcome && always(func(w *world) { w.analyze("v2", outcome) })(w)
		}})
	}
	if *modelSettingsToo {
		moves = append(moves, settingMoves()...)
	}
	return slices.Concat(moves, colorMoves(), cutOffs())
}

// settingMoves change how a rollout goes, and not what it leads to.
func settingMoves() []move {
	return []move{
		{"a user changes the strategy", users, always(func(w *world) {
			w.strategy(other(w.spec.Strategy.Type, v1alpha1.StrategyRollingUpdate, v1alpha1.StrategyBlueGreen))
		})},
		{"a user changes the cutover", users, always(func(w *world) {
			w.cutover(other(w.blueGreen().Cutover, v1alpha1.CutoverOverlap, v1alpha1.CutoverAtomic))
		})},
		{"a user switches autoscaling", users, always(func(w *world) { w.autoscale(w.spec.Autoscaling == nil) })},
		{"a user restarts the pods", users, func(w *world) bool {
			return !strings.HasSuffix(w.wanted, again) && always(func(w *world) { w.image(w.wanted + again) })(w)
		}},
	}
}

// colorMoves are those of the Deployments and of their pods.
func colorMoves() (moves []move) {
	for _, color := range colors {
		moves = append(moves,
			move{"a pod of " + string(color) + " comes or goes", controllers, func(w *world) bool { return w.managePods(color) && always((*world).moved)(w) }},
			move{"a pod of " + string(color) + " is ready", controllers, func(w *world) bool { return w.startPod(color) && always((*world).moved)(w) }},
			move{string(color) + " is reported", controllers, func(w *world) bool { return w.report(color) && always((*world).moved)(w) }},
			move{"the Deployment of " + string(color) + " is deleted", mishaps, func(w *world) bool {
				return w.deployments[color] != nil && always(func(w *world) { w.deleteDeployment(color) })(w)
			}},
			move{"the pods of " + string(color) + " restart", mishaps, func(w *world) bool {
				return w.deployments[color] != nil && always(func(w *world) { w.restartPods(color) })(w)
			}},
		)
	}
	return moves
}

// cutOffs are the passes of an operator that can't do all it wants to.
func cutOffs() (moves []move) {
	for which := range 4 {
		moves = append(moves, move{fmt.Sprintf("write %d is refused", which), mishaps, func(w *world) bool {
			if w.suspended() || which >= len(w.writes(rollout.Compute(w.observe()))) {
				return false
			}
			w.refuse(which)
			return true
		}})
	}
	for after := range 6 {
		moves = append(moves, move{fmt.Sprintf("the operator dies after %d writes", after), mishaps, func(w *world) bool {
			if w.suspended() || after >= len(w.writes(rollout.Compute(w.observe()))) {
				return false
			}
			w.interrupt(after)
			return true
		}})
	}
	return moves
}

// retryOf returns what the message of a rollout that came to nothing tells people to set.
func retryOf(w *world) string {
	if w.status.rollout == nil {
		return w.wanted
	}
	return rollout.NextRetry(w.status.rollout)
}

// fork returns a copy that goes its own way.
func (w *world) fork() *world {
	c := *w
	c.spec = *w.spec.DeepCopy()
	pods := map[*pod]*pod{}
	copyOf := func(all []*pod) []*pod {
		var copies []*pod
		for _, p := range all {
			if pods[p] == nil {
				pods[p] = new(*p)
			}
			copies = append(copies, pods[p])
		}
		return copies
	}
	c.deployments = map[v1alpha1.Color]*deployment{}
	for color, d := range w.deployments {
		c.deployments[color] = new(*d)
		c.deployments[color].pods = copyOf(d.pods)
	}
	if w.active != nil {
		c.active = new(*w.active)
		c.active.slices = copyOf(w.active.slices)
	}
	if w.preview != nil {
		c.preview = new(*w.preview)
		c.preview.slices = copyOf(w.preview.slices)
	}
	c.status.rollout = w.status.rollout.DeepCopy()
	c.faulty, c.approvals, c.verdicts = maps.Clone(w.faulty), maps.Clone(w.approvals), maps.Clone(w.verdicts)
	// What was told is a matter of one way, and not of a state.
	c.told, c.lines = map[string]int{}, nil
	return &c
}

// key describes all of a state that makes a difference to what can happen from there. Times are as long ago as any timer can tell.
func (w *world) key() string {
	var b strings.Builder
	age := func(t *metav1.MicroTime) int {
		if t == nil {
			return -1
		}
		return min(int(w.now.Sub(t.Time)/tick), 4)
	}
	fmt.Fprint(&b, w.changes, w.mishaps, w.wanted, w.approved, w.aborted, w.retry, *w.spec.Replicas, w.suspended(), w.verdicts["v2"], w.spec.Strategy.Type, w.blueGreen().Cutover, w.spec.Autoscaling != nil, "|", w.served, w.excused, w.unknown, w.mayFail, w.mayAbort, w.mustHeal, w.quiet, w.rolled)
	for _, revision := range []string{"v1", "v2"} {
		fmt.Fprint(&b, w.faulty[revision], w.approvals[revision], w.approvals[revision+again])
	}
	position := map[*pod]int{}
	for _, color := range colors {
		d := w.deployments[color]
		if d == nil {
			fmt.Fprint(&b, "|-")
			continue
		}
		fmt.Fprint(&b, "|", d.want, d.reported, d.seen == d.changes, d.served)
		for i, p := range d.pods {
			position[p] = i + 1
			fmt.Fprint(&b, p.revision, p.ready)
		}
	}
	for _, s := range []*service{w.active, w.preview} {
		if s == nil {
			fmt.Fprint(&b, "|-")
			continue
		}
		fmt.Fprint(&b, "|", s.selects, s.sliceOf)
		for _, p := range s.slices {
			fmt.Fprint(&b, p.color, position[p])
		}
	}
	fmt.Fprint(&b, "|", w.status.color, w.status.revision)
	if r := w.status.rollout; r != nil {
		fmt.Fprint(&b, r.Revision, r.Step, r.Rollback, r.Retry, r.ReplacedRevision, r.WarmRevision, age(r.Since), age(r.StartedAt), age(r.ReadyAt), age(r.DownAt), age(r.ApprovedAt), age(r.SwitchedAt), age(r.EndedAt), age(r.OverlapAt))
		if r.HeldReplicas != nil && r.WantedReplicas != nil {
			fmt.Fprint(&b, *r.HeldReplicas, *r.WantedReplicas)
		}
		if r.OverlapReplicas != nil {
			fmt.Fprint(&b, "o", *r.OverlapReplicas)
		}
	}
	return b.String()
}
