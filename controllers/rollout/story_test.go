package rollout_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

// story is what happens to a GinService. Whoever tells it starts with a new world, in which nothing exists.
type story struct {
	// guards is what would hurt users if the story ended in another way.
	guards string
	tell   func(w *world)
	// gated says that the story depends on what only the status knows, so that it may end in another way without it: at an approval.
	gated bool
}

func served(w *world, revision string) {
	w.wanted = revision
	w.settle()
	w.wait(time.Minute)
	w.lines = append(w.lines[:0], revision+" serves as "+string(w.active.selects.Color)+".")
}

func manual(w *world) { w.blueGreen().Promotion = v1alpha1.PromotionManual }

func overlapping(w *world, d time.Duration) {
	w.blueGreen().Cutover, w.blueGreen().OverlapSeconds = v1alpha1.CutoverOverlap, new(int32(d/time.Second))
}

func rolling(w *world) { w.spec.Strategy.Type = v1alpha1.StrategyRollingUpdate }

func autoscaled(w *world) {
	w.spec.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: new(int32(2)), MaxReplicas: 10}
}

// idling has an autoscaler that may take the last pod away.
func idling(w *world) {
	w.spec.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: new(int32(0)), MaxReplicas: 10}
}

// TestStories compares what happens with the golden files. Each reads as a protocol: who did what, and when.
func TestStories(t *testing.T) {
	t.Parallel()
	for name, s := range stories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s.tell(w)
			w.finish()
			got := strings.Join(append([]string{"# " + name, "# Guards: " + s.guards, ""}, w.lines...), "\n") + "\n"
			file := filepath.Join("testdata", strings.ReplaceAll(name, " ", "_")+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the story has changed (-want +got; go test -update writes it anew):\n%s", diff)
			}
		})
	}
}

// TestEveryGoldenFileBelongsToAStory finds what is left of stories that are told no longer.
func TestEveryGoldenFileBelongsToAStory(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*.golden"))
	if err != nil {
		t.Fatal(err)
	}
	all := stories()
	for _, file := range files {
		name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".golden"), "_", " ")
		if _, exists := all[name]; !exists {
			t.Errorf("%s belongs to no story", file)
		}
	}
}

// TestOperatorThatDiesBetweenTwoWritesEndsTheSame kills the operator before each write of each story, and starts it again.
func TestOperatorThatDiesBetweenTwoWritesEndsTheSame(t *testing.T) {
	t.Parallel()
	for name, s := range stories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			undisturbed := newWorld(t)
			s.tell(undisturbed)
			undisturbed.finish()
			for write := range undisturbed.writesDone {
				w := newWorld(t)
				w.crashBefore = write
				s.tell(w)
				w.finish()
				if w.crashBefore >= 0 {
					t.Fatalf("write %d was never tried", write)
				}
				if diff := cmp.Diff(undisturbed.end(), w.end()); diff != "" {
					t.Fatalf("dead before write %d, the story ends in another way (-undisturbed +killed):\n%s\n%s",
						write, diff, strings.Join(w.lines, "\n"))
				}
			}
		})
	}
}

// TestLostStatusIsRebuiltFromTheChildren loses the status before each pass of each story. Traffic and pods end where they would have.
func TestLostStatusIsRebuiltFromTheChildren(t *testing.T) {
	t.Parallel()
	for name, s := range stories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			undisturbed := newWorld(t)
			s.tell(undisturbed)
			undisturbed.finish()
			want := undisturbed.end()
			for pass := range undisturbed.passes {
				w := newWorld(t)
				w.forgetBefore = pass
				s.tell(w)
				w.finish()
				got := w.end()
				if s.gated {
					continue
				}
				got.Record = want.Record // that of another rollout, maybe
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("without a status before pass %d, the story ends in another way (-undisturbed +forgetful):\n%s\n%s",
						pass, diff, strings.Join(w.lines, "\n"))
				}
			}
		})
	}
}
