package analysis

import (
	"strings"
	"testing"
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// Somebody who approves a revision approves it by what the spec asks for by then.
func TestAMetricThatComesAfterThePassIsMeasured(t *testing.T) {
	t.Parallel()
	gs := previewed()
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, Sample{Value: 0.995, Count: 100})
	w.pass(t, gs)
	for range 3 {
		w.elapse(5 * time.Second)
		w.pass(t, gs)
	}
	if got := w.pass(t, gs); got.Outcome != rollout.Passed {
		t.Fatalf("%+v", got)
	}
	w.elapse(time.Hour)
	gs.Spec.Strategy.BlueGreen.Analysis.Metrics[0].ThresholdRange.Min = "0.999"
	got := w.pass(t, gs)
	if got.Outcome != rollout.Rejected || !strings.Contains(got.Message, "0.995 has to be at least 0.999: 1 of 1 measurements failed") {
		t.Errorf("%+v", got)
	}
}

// An analysis that takes the place of another one has none of its results.
func TestAnotherAnalysisBeginsAnew(t *testing.T) {
	t.Parallel()
	gs := previewed()
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, good)
	w.pass(t, gs)
	for range 3 {
		w.elapse(5 * time.Second)
		w.pass(t, gs)
	}
	analysis := gs.Spec.Strategy.BlueGreen.Analysis
	gs.Spec.Strategy.BlueGreen.Analysis = nil
	if got := w.pass(t, gs); got.Outcome != rollout.NotAnalyzed {
		t.Fatalf("%+v", got)
	}
	analysis.Metrics = only(v1alpha1.AnalysisMetric{Name: "traffic", Type: v1alpha1.AnalysisRequestRate, ThresholdRange: &min99}).Metrics
	gs.Spec.Strategy.BlueGreen.Analysis = analysis
	w.source.say(v1alpha1.Green, Sample{Pending: true})
	if got := w.pass(t, gs); got.Outcome != rollout.Analyzing || got.Analysis == nil || got.Message != "0 of 3 measurements made" {
		t.Errorf("%+v", got)
	}
}

// What is under way for a metric says nothing of another one that has got its name meanwhile.
func TestAMeasurementOfWhatTheMetricWasIsDropped(t *testing.T) {
	t.Parallel()
	gs := previewed()
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, bad)
	w.pass(t, gs)
	w.source.hangs = make(chan struct{})
	w.elapse(5 * time.Second)
	w.pass(t, gs)
	// A gauge of 0.5 would be well within.
	gs.Spec.Strategy.BlueGreen.Analysis.Metrics = only(v1alpha1.AnalysisMetric{
		Name: "success", Type: v1alpha1.AnalysisMetricNamed, Metric: "queue", ThresholdRange: &v1alpha1.ThresholdRange{Max: "1"},
	}).Metrics
	w.pass(t, gs)
	w.source.say(v1alpha1.Green, Sample{Value: 0.25})
	close(w.source.hangs)
	eventually(t, "measurement", func() bool {
		w.pass(t, gs)
		return gs.Status.Rollout.Analysis.Metrics[0].Measurements > 0
	})
	if got := gs.Status.Rollout.Analysis.Metrics[0]; got.Value != "0.25" || len(w.source.windows()) != 2 {
		t.Errorf("%+v, measured %d times", got, len(w.source.windows()))
	}
}
