package analysis

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// pass is a pass of the operator: it asks the runner, and writes what the record is to say.
func (w *world) pass(t *testing.T, gs *v1alpha1.GinService) rollout.Verdict {
	t.Helper()
	verdict, err := w.Judge(t.Context(), gs, w.serving)
	if err != nil {
		t.Fatal(err)
	}
	if verdict.Analysis != nil {
		gs.Status.Rollout.Analysis = stored(verdict.Analysis)
	}
	if verdict.PostPromotionAnalysis != nil {
		gs.Status.Rollout.PostPromotionAnalysis = stored(verdict.PostPromotionAnalysis)
	}
	return verdict
}

// stored returns a status as the API server gives it back: its times have no nanoseconds.
func stored(status *v1alpha1.AnalysisStatus) *v1alpha1.AnalysisStatus {
	status = status.DeepCopy()
	for _, t := range []*metav1.MicroTime{status.StartedAt, status.MeasuredAt} {
		if t != nil {
			t.Time = t.Truncate(time.Microsecond)
		}
	}
	return status
}

// both returns the children of a GinService with two ready pods in each colour, of which serving is behind the active Service.
func both(gs *v1alpha1.GinService, serving v1alpha1.Color) []client.Object {
	pods := map[v1alpha1.Color][]*corev1.Pod{
		v1alpha1.Blue:  {podOfColor(gs, v1alpha1.Blue, "b2222", "10.0.0.2"), podOfColor(gs, v1alpha1.Blue, "b1111", "10.0.0.1")},
		v1alpha1.Green: {podOfColor(gs, v1alpha1.Green, "g2222", "10.0.1.2"), podOfColor(gs, v1alpha1.Green, "g1111", "10.0.1.1")},
	}
	objects := []client.Object{
		slice(gs, "hello", pods[serving]...), slice(gs, "hello-preview", pods[v1alpha1.Green]...),
	}
	for _, some := range pods {
		for _, pod := range some {
			objects = append(objects, pod)
		}
	}
	return objects
}

var good, bad = Sample{Value: 1, Count: 100}, Sample{Value: 0.5, Count: 100}

func TestAPreviewIsPromotedOnceItHasPassed(t *testing.T) {
	t.Parallel()
	gs := previewed()
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, good)
	got := w.pass(t, gs)
	if got.Outcome != rollout.Analyzing || got.After != 5*time.Second || got.Promoted || gs.Status.Rollout.Analysis == nil {
		t.Fatalf("%+v", got)
	}
	if want := []string{"hello-green-6d4cf56db6-g1111", "hello-green-6d4cf56db6-g2222"}; !slices.Equal(w.source.watched, want) {
		t.Errorf("watches %q, want %q", w.source.watched, want)
	}
	w.elapse(4 * time.Second)
	if got := w.pass(t, gs); got.After != time.Second || got.Analysis != nil {
		t.Errorf("too early: %+v", got)
	}
	for i := range 3 {
		w.elapse(time.Second)
		got = w.pass(t, gs)
		if got.Analysis == nil || got.Analysis.Metrics[0].Measurements != int32(i+1) {
			t.Fatalf("measurement %d: %+v", i+1, got)
		}
		w.elapse(4 * time.Second)
	}
	if got.Outcome != rollout.Passed || got.After != 0 {
		t.Errorf("%+v", got)
	}
	if got := w.pass(t, gs); got.Outcome != rollout.Passed || got.Analysis != nil {
		t.Errorf("while it waits for somebody: %+v", got)
	}
	if want := []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second}; !slices.Equal(w.source.windows(), want) {
		t.Errorf("looked back for %v, want %v", w.source.windows(), want)
	}
	if w.lists != 1 {
		t.Errorf("pods were listed %d times", w.lists)
	}
}

func TestABadPreviewIsRejected(t *testing.T) {
	t.Parallel()
	gs := previewed()
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, bad)
	w.pass(t, gs)
	w.elapse(5 * time.Second)
	got := w.pass(t, gs)
	if got.Outcome != rollout.Rejected || got.Analysis.Outcome != v1alpha1.AnalysisFailed || !strings.Contains(got.Message, "0.5 has to be at least 0.99") {
		t.Errorf("%+v", got)
	}
	if again := w.pass(t, gs); again.Outcome != rollout.Rejected || again.Message != got.Message {
		t.Errorf("where the record could not be written: %+v", again)
	}
}

func TestAPreviewIsComparedWithWhatServes(t *testing.T) {
	t.Parallel()
	gs := previewed()
	gs.Spec.Strategy.BlueGreen.Analysis.Metrics = only(compared(v1alpha1.ThresholdRange{Max: "1.5"})).Metrics
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, Sample{Value: 0.4, Count: 100})
	w.source.say(v1alpha1.Blue, Sample{Value: 0.2, Count: 100})
	w.pass(t, gs)
	if len(w.source.watched) != 4 {
		t.Errorf("watches %q", w.source.watched)
	}
	w.elapse(5 * time.Second)
	if got := w.pass(t, gs); got.Outcome != rollout.Rejected || got.Analysis.Metrics[0].ActiveValue != "0.2" {
		t.Errorf("%+v", got)
	}
}

// A new operator has only the status, and no scrapes.
func TestANewOperatorGoesOn(t *testing.T) {
	t.Parallel()
	gs := previewed()
	gs.Spec.Strategy.BlueGreen.Analysis.OnNoData = v1alpha1.NoDataFail
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, good)
	w.pass(t, gs)
	for range 2 {
		w.elapse(5 * time.Second)
		w.pass(t, gs)
	}
	w.start(t)
	w.source.say(v1alpha1.Green, Sample{Pending: true})
	w.elapse(5 * time.Second)
	if got := w.pass(t, gs); got.Outcome != rollout.Analyzing || got.After != pendingRetry || got.Analysis != nil {
		t.Errorf("before it has measured for long enough: %+v", got)
	}
	w.source.say(v1alpha1.Green, good)
	w.elapse(time.Second)
	if got := w.pass(t, gs); got.Outcome != rollout.Passed || got.Analysis.Metrics[0].Measurements != 3 {
		t.Errorf("%+v", got)
	}
}

// Nobody may be asked, or written to, more often because there is no data.
func TestWaitingForDataWritesNothing(t *testing.T) {
	t.Parallel()
	gs := previewed()
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, Sample{Problem: "nobody answers"})
	w.pass(t, gs)
	w.elapse(5 * time.Second)
	if got := w.pass(t, gs); got.Analysis == nil || !strings.Contains(got.Message, "nobody answers") {
		t.Fatalf("%+v", got)
	}
	for range 10 {
		if got := w.pass(t, gs); got.Analysis != nil || got.After != 5*time.Second {
			t.Fatalf("%+v", got)
		}
		w.elapse(5 * time.Second)
	}
	if got := len(w.source.windows()); got != 10 {
		t.Errorf("%d measurements", got)
	}
}

// A pass must not wait for a Prometheus that is slow.
func TestAMeasurementThatTakesLongIsLookedAtLater(t *testing.T) {
	t.Parallel()
	gs := previewed()
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, good)
	w.pass(t, gs)
	w.source.hangs = make(chan struct{})
	w.elapse(5 * time.Second)
	for range 3 {
		if got := w.pass(t, gs); got.Outcome != rollout.Analyzing || got.After != lookAgain || got.Analysis != nil {
			t.Fatalf("%+v", got)
		}
	}
	close(w.source.hangs)
	eventually(t, "measurement", func() bool { return w.pass(t, gs).Analysis != nil })
	if got := len(w.source.windows()); got != 1 {
		t.Errorf("it was measured %d times", got)
	}
}

func TestWhatServesIsAnalysedWhileTheOldColourIsWarm(t *testing.T) {
	t.Parallel()
	gs := draining()
	w := newWorld(t, both(gs, v1alpha1.Green)...)
	w.source.say(v1alpha1.Green, good)
	w.source.say(v1alpha1.Blue, bad) // nobody asks for it
	got := w.pass(t, gs)
	if got.Outcome != rollout.Analyzing || !got.Promoted || got.PostPromotionAnalysis == nil || got.Analysis != nil {
		t.Fatalf("%+v", got)
	}
	w.elapse(5 * time.Second)
	w.pass(t, gs)
	w.source.say(v1alpha1.Green, bad)
	w.elapse(5 * time.Second)
	if got := w.pass(t, gs); got.Outcome != rollout.Rejected || !got.Promoted || got.PostPromotionAnalysis.Outcome != v1alpha1.AnalysisFailed {
		t.Errorf("%+v", got)
	}
}

// A pass whose record is lost is followed by one in which the preview serves, and nobody is there to compare it with.
func TestAPreviewThatServesIsNotMeasuredAsOne(t *testing.T) {
	t.Parallel()
	gs := previewed()
	analysis := gs.Spec.Strategy.BlueGreen.Analysis
	analysis.Metrics, analysis.OnNoData = only(compared(v1alpha1.ThresholdRange{Max: "1.5"})).Metrics, v1alpha1.NoDataFail
	w := newWorld(t, both(gs, v1alpha1.Green)...)
	w.source.say(v1alpha1.Green, good)
	w.source.say(v1alpha1.Blue, Sample{Problem: "no pod is ready"})
	w.serving = "v1"
	w.pass(t, gs)
	before := gs.Status.Rollout.Analysis
	w.serving = "v2"
	w.elapse(5 * time.Second)
	if diff := cmp.Diff(rollout.Verdict{Promoted: true}, w.pass(t, gs)); diff != "" || gs.Status.Rollout.Analysis != before {
		t.Errorf("where nothing is measured after the promotion: %s", diff)
	}
	gs.Spec.Strategy.BlueGreen.PostPromotionAnalysis = only(success(v1alpha1.ThresholdRange{Min: "0.99"}))
	if diff := cmp.Diff(rollout.Verdict{Outcome: rollout.Analyzing}, w.pass(t, gs)); diff != "" {
		t.Errorf("where that comes next: %s", diff)
	}
}

func TestTheOldColourIsNotKeptForEver(t *testing.T) {
	t.Parallel()
	gs := draining()
	gs.Spec.ProgressDeadlineSeconds = new(int32(60))
	w := newWorld(t, both(gs, v1alpha1.Green)...)
	w.source.say(v1alpha1.Green, Sample{Problem: "no requests"})
	w.pass(t, gs)
	w.elapse(74 * time.Second)
	if got := w.pass(t, gs); got.Outcome != rollout.Analyzing {
		t.Errorf("%+v", got)
	}
	w.elapse(time.Second)
	if got := w.pass(t, gs); got.Outcome != rollout.Passed || got.PostPromotionAnalysis.Outcome != v1alpha1.AnalysisInconclusive {
		t.Errorf("%+v", got)
	}
}

// TestStages says when there is anything to measure.
func TestStages(t *testing.T) {
	t.Parallel()
	type row struct {
		given   func(gs *v1alpha1.GinService)
		want    rollout.Verdict
		watches int
	}
	begins, nothing := rollout.Verdict{Outcome: rollout.Analyzing}, rollout.Verdict{Promoted: true}
	after := func(gs *v1alpha1.GinService) {
		gs.Spec.Strategy.BlueGreen.PostPromotionAnalysis, gs.Spec.Strategy.BlueGreen.Analysis = &gs.Spec.Strategy.BlueGreen.Analysis.AnalysisRun, nil
	}
	for name, tc := range map[string]row{
		"the preview is not ready yet": {func(gs *v1alpha1.GinService) { gs.Status.Rollout.ReadyAt = nil }, begins, 0},
		"a preview is ready": {func(*v1alpha1.GinService) {}, rollout.Verdict{
			Outcome: rollout.Analyzing, Message: "0 of 3 measurements made", After: 5 * time.Second, Analysis: &v1alpha1.AnalysisStatus{
				Outcome: v1alpha1.AnalysisRunning, Message: "0 of 3 measurements made", StartedAt: &metav1.MicroTime{Time: epoch},
				Metrics: []v1alpha1.AnalysisMetricStatus{{Name: "success", Outcome: v1alpha1.AnalysisRunning, Measure: "SuccessRate", Threshold: "at least 0.99"}},
			},
		}, 2},
		"only what serves is to be analysed, and this is a preview": {after, rollout.Verdict{}, 0},
		"only what serves is to be analysed, and the preview is not ready yet": {
			func(gs *v1alpha1.GinService) { after(gs); gs.Status.Rollout.ReadyAt = nil }, rollout.Verdict{}, 0,
		},
		"traffic is about to move": {func(gs *v1alpha1.GinService) {
			after(gs)
			gs.Status.Rollout.ApprovedAt, gs.Status.Rollout.Step = gs.Status.Rollout.ReadyAt, v1alpha1.StepScalingUp
		}, begins, 0},
		"only the preview is to be analysed, and it was": {func(gs *v1alpha1.GinService) { gs.Status.Rollout.ApprovedAt = gs.Status.Rollout.ReadyAt }, nothing, 0},
		"no analysis at all":                             {func(gs *v1alpha1.GinService) { gs.Spec.Strategy.BlueGreen.Analysis = nil }, nothing, 0},
		"a rolling update":                               {func(gs *v1alpha1.GinService) { gs.Spec.Strategy.Type = v1alpha1.StrategyRollingUpdate }, nothing, 0},
		"a service without pods":                         {func(gs *v1alpha1.GinService) { gs.Spec.Replicas = new(int32(0)) }, nothing, 0},
		"what was warm comes back":                       {func(gs *v1alpha1.GinService) { gs.Status.Rollout.Rollback = true }, nothing, 0},
		"somebody rolls back":                            {func(gs *v1alpha1.GinService) { gs.Annotations = map[string]string{v1alpha1.AnnotationRollback: "v2"} }, nothing, 0},
		"what replaces broken pods": {func(gs *v1alpha1.GinService) {
			gs.Status.Rollout.ReadyAt, gs.Status.Rollout.ApprovedAt = nil, gs.Status.Rollout.StartedAt
		}, nothing, 0},
		"what replaces broken pods, while another colour is warm": {func(gs *v1alpha1.GinService) {
			after(gs)
			gs.Status.Rollout.Step, gs.Status.Rollout.WarmRevision = v1alpha1.StepDraining, "v1"
			gs.Status.Rollout.ReadyAt, gs.Status.Rollout.ApprovedAt = nil, gs.Status.Rollout.StartedAt
		}, rollout.Verdict{
			Outcome: rollout.Analyzing, Message: "0 of 3 measurements made", After: 5 * time.Second, Promoted: true, PostPromotionAnalysis: &v1alpha1.AnalysisStatus{
				Outcome: v1alpha1.AnalysisRunning, Message: "0 of 3 measurements made", StartedAt: &metav1.MicroTime{Time: epoch},
				Metrics: []v1alpha1.AnalysisMetricStatus{{Name: "success", Outcome: v1alpha1.AnalysisRunning, Measure: "SuccessRate", Threshold: "at least 0.99"}},
			},
		}, 2},
		"a rollback to something else": {
			func(gs *v1alpha1.GinService) {
				after(gs)
				gs.Annotations = map[string]string{v1alpha1.AnnotationRollback: "v1"}
			}, rollout.Verdict{}, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gs := previewed()
			tc.given(gs)
			w := newWorld(t, both(gs, v1alpha1.Blue)...)
			if diff := cmp.Diff(tc.want, w.pass(t, gs)); diff != "" {
				t.Error(diff)
			}
			if len(w.source.watched) != tc.watches {
				t.Errorf("watches %q", w.source.watched)
			}
		})
	}
}

// Nothing is dialled but pods that a Deployment of the GinService made, at the address that the kubelet reported, on the ports of its container.
func TestPodOf(t *testing.T) {
	t.Parallel()
	gs := previewed()
	for name, tc := range map[string]struct {
		given         func(pod *corev1.Pod)
		http, metrics string
	}{
		"as it is made": {func(*corev1.Pod) {}, "10.0.1.1:8080", "10.0.1.1:9090"},
		"without a port for metrics": {
			func(pod *corev1.Pod) { pod.Spec.Containers[1].Ports = pod.Spec.Containers[1].Ports[:1] }, "10.0.1.1:8080", "10.0.1.1:8080",
		},
		"with an address of IPv6":    {func(pod *corev1.Pod) { pod.Status.PodIP = "fd00::1" }, "[fd00::1]:8080", "[fd00::1]:9090"},
		"without an address":         {func(pod *corev1.Pod) { pod.Status.PodIP = "" }, "", ""},
		"on the machine that asks":   {func(pod *corev1.Pod) { pod.Status.PodIP = "127.0.0.1" }, "", ""},
		"there by another spelling":  {func(pod *corev1.Pod) { pod.Status.PodIP = "::ffff:127.0.0.1" }, "", ""},
		"where a cloud has secrets":  {func(pod *corev1.Pod) { pod.Status.PodIP = "169.254.169.254" }, "", ""},
		"on the link":                {func(pod *corev1.Pod) { pod.Status.PodIP = "fe80::1" }, "", ""},
		"for many":                   {func(pod *corev1.Pod) { pod.Status.PodIP = "224.0.0.1" }, "", ""},
		"anywhere":                   {func(pod *corev1.Pod) { pod.Status.PodIP = "0.0.0.0" }, "", ""},
		"with a name for an address": {func(pod *corev1.Pod) { pod.Status.PodIP = "localhost" }, "", ""},
		"on the network of its node": {func(pod *corev1.Pod) { pod.Spec.HostNetwork = true }, "", ""},
		"made by somebody":           {func(pod *corev1.Pod) { pod.OwnerReferences = nil }, "", ""},
		"made by another Deployment": {func(pod *corev1.Pod) { pod.OwnerReferences[0].Name = "other-6d4cf56db6" }, "", ""},
		"of no colour":               {func(pod *corev1.Pod) { delete(pod.Labels, v1alpha1.LabelColor) }, "", ""},
		"about to go":                {func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: epoch} }, "", ""},
		"without a port":             {func(pod *corev1.Pod) { pod.Spec.Containers = pod.Spec.Containers[:1] }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := podOfColor(gs, v1alpha1.Green, "g1111", "10.0.1.1")
			tc.given(pod)
			got, ok := podOf(gs, pod)
			if ok != (tc.http != "") {
				t.Fatalf("%+v, %t", got, ok)
			}
			if ok && (got.HTTP.String() != tc.http || got.Metrics.String() != tc.metrics) {
				t.Errorf("requests to %s, metrics from %s", got.HTTP, got.Metrics)
			}
		})
	}
}

// A pod that the EndpointSlices show before the API server's cache has it is looked for again, though not in each pass.
func TestAPodThatIsNotKnownYet(t *testing.T) {
	t.Parallel()
	gs := previewed()
	objects := both(gs, v1alpha1.Blue)
	w := newWorld(t, objects...)
	late := podOfColor(gs, v1alpha1.Green, "g2222", "10.0.1.2")
	if err := w.client.Delete(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := w.pass(t, gs); got.After != listInterval || len(w.source.watched) != 1 {
			t.Fatalf("%+v, watches %q", got, w.source.watched)
		}
	}
	if w.lists != 1 {
		t.Errorf("%d lists", w.lists)
	}
	if err := w.client.Create(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	w.elapse(time.Second)
	if got := w.pass(t, gs); got.After != 4*time.Second || len(w.source.watched) != 2 || w.lists != 2 {
		t.Errorf("%+v, watches %q, %d lists", got, w.source.watched, w.lists)
	}
	w.elapse(knownFor)
	if w.pass(t, gs); w.lists != 3 {
		t.Errorf("%d lists", w.lists)
	}
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	gs, broken := previewed(), errors.New("the API server is gone")
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.options.Live = interceptor.NewClient(w.client, interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return broken },
	})
	if _, err := w.Judge(t.Context(), gs, w.serving); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// What has been begun for a rollout ends with it.
func TestAWarmUpLastsForARollout(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	pod := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(pod.Close)
	gs := previewed()
	gs.Spec.Strategy.BlueGreen.Analysis.WarmUp = &v1alpha1.WarmUp{RequestsPerSecond: new(int32(100)), Requests: []v1alpha1.WarmUpRequest{{Path: "/"}}}
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.source.say(v1alpha1.Green, good)
	w.Runner = NewRunner(Options{Client: w.client, Live: w.client, Clock: w.clock, Source: w.source, Dial: dialAlways(pod.Listener.Addr().String())})
	t.Cleanup(w.end)
	w.pass(t, gs)
	eventually(t, "requests", func() bool { return requests.Load() > 3 })
	key := client.ObjectKeyFromObject(gs)
	first := w.runs[key].warmUp
	w.elapse(5 * time.Second)
	if w.pass(t, gs); gs.Status.Rollout.Analysis.WarmUp.Sent == 0 || w.runs[key].warmUp != first {
		t.Errorf("%+v", gs.Status.Rollout.Analysis)
	}
	gs.Spec.Strategy.BlueGreen.Analysis.WarmUp.Requests[0].Path = "/other"
	if w.pass(t, gs); w.runs[key].warmUp == first {
		t.Error("it goes on with the old settings")
	}
	gs.Spec.Strategy.BlueGreen.Analysis.WarmUp = nil
	if w.pass(t, gs); w.runs[key].warmUp != nil {
		t.Error("it goes on although the spec asks for none")
	}
	w.Forget(key)
	if len(w.runs) != 0 || w.source.forgotten != 1 {
		t.Errorf("%v, forgotten %d times", w.runs, w.source.forgotten)
	}
	w.Forget(key)
	if w.source.forgotten != 1 {
		t.Error("what is not there is forgotten")
	}
}

func TestAnotherRolloutBeginsAnew(t *testing.T) {
	t.Parallel()
	gs := previewed()
	w := newWorld(t, both(gs, v1alpha1.Blue)...)
	w.pass(t, gs)
	first := w.runs[client.ObjectKeyFromObject(gs)]
	gs.Status.Rollout.StartedAt = &metav1.MicroTime{Time: epoch.Add(time.Minute)}
	if w.pass(t, gs); w.runs[client.ObjectKeyFromObject(gs)] == first {
		t.Error("it goes on with that of another rollout")
	}
}
