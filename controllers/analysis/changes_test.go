package analysis

import (
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// shows has the EndpointSlice of a Service show these pods ready, by the ends of their names, and no others.
func (w *world) shows(t *testing.T, gs *v1alpha1.GinService, service string, color v1alpha1.Color, suffixes ...string) {
	t.Helper()
	shown := slice(gs, service)
	if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: gs.Namespace, Name: shown.Name}, shown); err != nil {
		t.Fatal(err)
	}
	shown.Endpoints = []discoveryv1.Endpoint{}
	for _, suffix := range suffixes {
		shown.Endpoints = append(shown.Endpoints, slice(gs, service, podOfColor(gs, color, suffix, "")).Endpoints...)
	}
	if err := w.client.Update(t.Context(), shown); err != nil {
		t.Fatal(err)
	}
}

// withAvailable sets what status says of the pods of both colours.
func withAvailable(gs *v1alpha1.GinService, blue, green int32) {
	gs.Status.Colors = []v1alpha1.ColorStatus{{Color: v1alpha1.Blue, Ready: blue}, {Color: v1alpha1.Green, Ready: green}}
}

// Somebody who approves a revision approves it by what the spec asks for by then.
func TestAMetricThatComesAfterThePassIsMeasured(t *testing.T) {
	t.Parallel()
	gs := previewed()
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, Sample{Value: 0.995, Count: 100})
	w.measuresThrice(t, gs)
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
	w.measuresThrice(t, gs)
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

// TestNobodyIsLeftOfWhatServes says when a version whose pods are all gone goes back, whatever onNoData says, and what a source makes up of the past.
func TestNobodyIsLeftOfWhatServes(t *testing.T) {
	t.Parallel()
	const failed = "success: no pod of green is ready, and blue has pods that are: 1 of 2 measurements failed, and failureLimit is 0"
	for name, tc := range map[string]struct {
		given func(gs *v1alpha1.GinService)
		want  rollout.Outcome
		says  string
	}{
		"what served before is there": {func(gs *v1alpha1.GinService) { withAvailable(gs, 2, 0) }, rollout.Rejected, failed},
		"and no data would pass": {func(gs *v1alpha1.GinService) {
			withAvailable(gs, 1, 0)
			gs.Spec.Strategy.BlueGreen.PostPromotionAnalysis.OnNoData = v1alpha1.NoDataPass
		}, rollout.Rejected, failed},
		"there is nothing to go back to":          {func(gs *v1alpha1.GinService) { withAvailable(gs, 0, 0) }, rollout.Analyzing, "success waits for data, because nobody"},
		"somebody has deleted the active Service": {func(gs *v1alpha1.GinService) { withAvailable(gs, 2, 2) }, rollout.Analyzing, "success waits for data, because nobody"},
		"status does not say yet what there is":   {func(gs *v1alpha1.GinService) { gs.Status.Colors = nil }, rollout.Analyzing, "success waits for data, because nobody"},
		"one may fail": {func(gs *v1alpha1.GinService) {
			withAvailable(gs, 2, 0)
			gs.Spec.Strategy.BlueGreen.PostPromotionAnalysis.FailureLimit = new(int32(1))
		}, rollout.Analyzing, "2 of 3 measurements made, success waits for data, because no pod of green is ready"},
		"it is scaled to zero": {func(gs *v1alpha1.GinService) {
			withAvailable(gs, 2, 0)
			gs.Spec.Replicas = new(int32(0))
		}, rollout.Analyzing, "1 of 3 measurements made, success waits for data, because the service is scaled to zero"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gs := draining()
			withAvailable(gs, 2, 2)
			w := newWorld(t, both(gs, v1alpha1.Green)...)
			w.source.say(v1alpha1.Green, good)
			w.pass(t, gs)
			w.elapse(5 * time.Second)
			w.pass(t, gs)
			tc.given(gs)
			w.shows(t, gs, "hello", v1alpha1.Green)
			w.source.say(v1alpha1.Green, Sample{Problem: "nobody"})
			w.elapse(5 * time.Second)
			if got := w.pass(t, gs); got.Outcome != tc.want || !strings.Contains(got.Message, tc.says) || !got.Promoted {
				t.Errorf("%+v, want %s, and %q in it", got, tc.want, tc.says)
			}
		})
	}
}

// A preview without pods is in nobody's way.
func TestNobodyIsLeftOfAPreview(t *testing.T) {
	t.Parallel()
	gs := previewed()
	withAvailable(gs, 2, 0)
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, Sample{Problem: "no pod is ready"})
	w.shows(t, gs, "hello-preview", v1alpha1.Green)
	w.pass(t, gs)
	w.elapse(5 * time.Second)
	if got := w.pass(t, gs); got.Outcome != rollout.Analyzing || !strings.Contains(got.Message, "waits for data, because no pod is ready") {
		t.Errorf("%+v", got)
	}
}

// What an analysis has begun to measure is not promoted because it sleeps, and nothing is held against it while it wakes.
func TestAnAnalysisOutlastsScalingToZero(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		made    func() *v1alpha1.GinService
		service string
		serving v1alpha1.Color
	}{
		"of a preview":   {previewed, "hello-preview", v1alpha1.Blue},
		"of what serves": {draining, "hello", v1alpha1.Green},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gs := tc.made()
			run := gs.Spec.Strategy.BlueGreen.PostPromotionAnalysis
			if run == nil {
				run = &gs.Spec.Strategy.BlueGreen.Analysis.AnalysisRun
			}
			run.OnNoData = v1alpha1.NoDataFail
			withAvailable(gs, 2, 2)
			w := newWorld(t, both(gs, tc.serving)...)
			w.source.say(v1alpha1.Green, good)
			w.pass(t, gs)
			w.elapse(5 * time.Second)
			w.pass(t, gs)
			waits := func(why string) {
				t.Helper()
				for range 2 {
					w.elapse(5 * time.Second)
					got := w.pass(t, gs)
					if want := "1 of 3 measurements made, success waits for data, because " + why; got.Outcome != rollout.Analyzing || got.Message != want || got.After != 5*time.Second {
						t.Fatalf("%+v, want %q", got, want)
					}
				}
			}

			gs.Spec.Replicas = new(int32(0)) // the pods of green go after that
			w.source.say(v1alpha1.Green, Sample{Problem: "no pod is ready"})
			waits("the service is scaled to zero")
			w.shows(t, gs, tc.service, v1alpha1.Green)
			withAvailable(gs, 2, 0)
			waits("the service is scaled to zero")
			gs.Spec.Replicas = new(int32(1))
			waits("no pod is ready yet since the service was scaled to zero")
			w.shows(t, gs, tc.service, v1alpha1.Green, "g1111")
			withAvailable(gs, 2, 1)
			w.source.say(v1alpha1.Green, good)
			w.elapse(5 * time.Second)
			if got := w.pass(t, gs); got.Message != "2 of 3 measurements made, success is 1 (at least 0.99)" {
				t.Fatalf("%+v", got)
			}
			if windows := len(w.source.windows()); windows != 2 {
				t.Errorf("it was measured %d times", windows)
			}

			// Once it has been there again, that it is not is no longer because it was scaled to zero.
			w.shows(t, gs, tc.service, v1alpha1.Green)
			withAvailable(gs, 2, 0)
			w.source.say(v1alpha1.Green, Sample{Problem: "no pod is ready"})
			w.elapse(5 * time.Second)
			if got := w.pass(t, gs); got.Outcome != rollout.Rejected {
				t.Errorf("%+v", got)
			}
		})
	}
}

// The old colour is kept no longer for a service that sleeps than for one without data.
func TestAnAnalysisOfAServiceScaledToZeroIsGivenUp(t *testing.T) {
	t.Parallel()
	gs := draining()
	gs.Spec.ProgressDeadlineSeconds = new(int32(60))
	w := newWorld(t, both(gs, v1alpha1.Green)...)
	w.source.say(v1alpha1.Green, good)
	w.pass(t, gs)
	gs.Spec.Replicas = new(int32(0))
	w.elapse(74 * time.Second)
	if got := w.pass(t, gs); got.Outcome != rollout.Analyzing || got.After == 0 {
		t.Errorf("%+v", got)
	}
	w.elapse(time.Second)
	got := w.pass(t, gs)
	if got.Outcome != rollout.Passed || gs.Status.Rollout.PostPromotionAnalysis.Outcome != v1alpha1.AnalysisInconclusive {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(got.Message, "the service is scaled to zero") {
		t.Errorf("%q", got.Message)
	}
}

// A preview that is compared wakes with what it is compared with.
func TestAComparisonWaitsForBothToWake(t *testing.T) {
	t.Parallel()
	gs := previewed()
	analysis := gs.Spec.Strategy.BlueGreen.Analysis
	analysis.Metrics, analysis.OnNoData = only(compared(atMost)).Metrics, v1alpha1.NoDataFail
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, good)
	w.source.say(v1alpha1.Blue, Sample{Problem: "no pod is ready"})
	w.pass(t, gs)
	gs.Spec.Replicas = new(int32(0))
	w.pass(t, gs)
	gs.Spec.Replicas = new(int32(2))
	w.shows(t, gs, "hello", v1alpha1.Blue)
	w.elapse(5 * time.Second)
	if got := w.pass(t, gs); got.Outcome != rollout.Analyzing || !strings.Contains(got.Message, "no pod is ready yet") {
		t.Errorf("%+v", got)
	}
	w.shows(t, gs, "hello", v1alpha1.Blue, "b1111")
	w.source.say(v1alpha1.Blue, good)
	w.elapse(5 * time.Second)
	if got := w.pass(t, gs); got.Message != "1 of 3 measurements made, latency is 1 (at most 1.5 times that of the version that serves)" {
		t.Errorf("%+v", got)
	}
}

// TestStagesOfAServiceScaledToZero says what scaling to zero lets through.
func TestStagesOfAServiceScaledToZero(t *testing.T) {
	t.Parallel()
	status := func(run *v1alpha1.AnalysisRun, values ...float64) *v1alpha1.AnalysisStatus {
		s := begin(run, epoch)
		for _, v := range values {
			s = advance(run, s, map[string]Reading{"success": value(v)}, epoch)
		}
		return s
	}
	for name, tc := range map[string]struct {
		made  func() *v1alpha1.GinService
		given func(gs *v1alpha1.GinService)
		want  rollout.Outcome
	}{
		"nothing has begun":                {previewed, func(*v1alpha1.GinService) {}, rollout.NotAnalyzed},
		"nothing has begun of what serves": {draining, func(*v1alpha1.GinService) {}, rollout.NotAnalyzed},
		"it has begun": {previewed, func(gs *v1alpha1.GinService) {
			gs.Status.Rollout.Analysis = status(&gs.Spec.Strategy.BlueGreen.Analysis.AnalysisRun, 1)
		}, rollout.Analyzing},
		"it has begun, and is to become ready anew": {previewed, func(gs *v1alpha1.GinService) {
			gs.Status.Rollout.Analysis = status(&gs.Spec.Strategy.BlueGreen.Analysis.AnalysisRun, 1)
			gs.Status.Rollout.ReadyAt = nil
		}, rollout.Analyzing},
		"it has passed, and is to become ready anew": {previewed, func(gs *v1alpha1.GinService) {
			gs.Status.Rollout.Analysis = status(&gs.Spec.Strategy.BlueGreen.Analysis.AnalysisRun, 1, 1, 1)
			gs.Status.Rollout.ReadyAt = nil
		}, rollout.Passed},
		"it has passed other bounds, and is to become ready anew": {previewed, func(gs *v1alpha1.GinService) {
			gs.Status.Rollout.Analysis = status(only(success(v1alpha1.ThresholdRange{Min: "0.9"})), 1, 1, 1)
			gs.Status.Rollout.ReadyAt = nil
		}, rollout.Analyzing},
		"it has begun, and somebody takes it away": {previewed, func(gs *v1alpha1.GinService) {
			gs.Status.Rollout.Analysis = status(&gs.Spec.Strategy.BlueGreen.Analysis.AnalysisRun, 1)
			gs.Spec.Strategy.BlueGreen.Analysis = nil
		}, rollout.NotAnalyzed},
		"that of the preview has passed, and the next has not begun": {draining, func(gs *v1alpha1.GinService) {
			gs.Status.Rollout.Analysis = status(gs.Spec.Strategy.BlueGreen.PostPromotionAnalysis, 1, 1, 1)
		}, rollout.NotAnalyzed},
		"that of what serves has begun": {draining, func(gs *v1alpha1.GinService) {
			gs.Status.Rollout.PostPromotionAnalysis = status(gs.Spec.Strategy.BlueGreen.PostPromotionAnalysis, 1)
		}, rollout.Analyzing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gs := tc.made()
			tc.given(gs)
			gs.Spec.Replicas = new(int32(0))
			w := newWorld(t, both(gs, v1alpha1.Blue)...)
			if got := w.pass(t, gs); got.Outcome != tc.want {
				t.Errorf("%+v, want %q", got, tc.want)
			}
		})
	}
}

// Status says that a warm-up has come to its end, and what is changed lets it go on.
func TestAWarmUpThatHasRunDry(t *testing.T) {
	t.Parallel()
	gs := previewed()
	analysis := gs.Spec.Strategy.BlueGreen.Analysis
	analysis.WarmUp = &v1alpha1.WarmUp{MaxRequests: new(int32(10)), Requests: []v1alpha1.WarmUpRequest{{Path: "/"}}}
	gs.Status.Rollout.Analysis = begin(&analysis.AnalysisRun, epoch)
	gs.Status.Rollout.Analysis.WarmUp = &v1alpha1.WarmUpStatus{Sent: 10}
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.Runner = NewRunner(Options{Client: w.client, Live: w.client, Clock: w.clock, Source: w.source, Dial: new(dials).dial})
	t.Cleanup(w.end)
	w.source.say(v1alpha1.Green, Sample{Problem: "nothing was counted"})
	w.elapse(5 * time.Second)
	const waits = "0 of 3 measurements made, success waits for data, because nothing was counted"
	if got := w.pass(t, gs); got.Message != "all 10 requests of the warm-up (maxRequests) are sent: "+waits || got.Analysis == nil {
		t.Errorf("%+v", got)
	}
	for range 3 {
		w.elapse(2 * time.Second)
		if got := w.pass(t, gs); got.Analysis != nil {
			t.Errorf("status changes while nothing does: %+v", got.Analysis)
		}
	}
	analysis.WarmUp = nil
	w.elapse(5 * time.Second)
	if got := w.pass(t, gs); got.Message != waits {
		t.Errorf("%+v", got)
	}
}

// What is compared with a version that is broken may be what mends it.
func TestAComparisonWithPodsThatAreGoneIsNoFailure(t *testing.T) {
	t.Parallel()
	gs := previewed()
	analysis := gs.Spec.Strategy.BlueGreen.Analysis
	analysis.Metrics, analysis.OnNoData = only(compared(atMost)).Metrics, v1alpha1.NoDataFail
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, good)
	w.source.say(v1alpha1.Blue, Sample{Problem: "no pod is ready"})
	w.pass(t, gs)
	w.shows(t, gs, "hello", v1alpha1.Blue)
	w.elapse(5 * time.Second)
	if got := w.pass(t, gs); got.Outcome != rollout.Analyzing || !strings.Contains(got.Message, "no pod of blue is ready, which it is to be compared with") {
		t.Errorf("%+v", got)
	}
}
