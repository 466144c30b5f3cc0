package analysis

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

var epoch = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func success(bounds v1alpha1.ThresholdRange) v1alpha1.AnalysisMetric {
	return v1alpha1.AnalysisMetric{Name: "success", Type: v1alpha1.AnalysisSuccessRate, ThresholdRange: &bounds}
}

func compared(bounds v1alpha1.ThresholdRange) v1alpha1.AnalysisMetric {
	return v1alpha1.AnalysisMetric{Name: "latency", Type: v1alpha1.AnalysisLatency, RatioToActive: &bounds}
}

// only returns an analysis of three measurements of some metrics.
func only(metrics ...v1alpha1.AnalysisMetric) *v1alpha1.AnalysisRun {
	return &v1alpha1.AnalysisRun{Metrics: metrics, Count: new(int32(3)), MinimumSamples: new(int32(10))}
}

// value is what many requests say.
func value(v float64) Reading { return Reading{Value: Sample{Value: v, Count: 100}} }

func against(v, active float64) Reading {
	return Reading{Value: Sample{Value: v, Count: 100}, Active: Sample{Value: active, Count: 100}}
}

// beyond is a quantile above the highest bucket.
func beyond(bound float64) Reading {
	return Reading{Value: Sample{Value: bound, Count: 100, Beyond: true}}
}

func none(why string) Reading { return Reading{Value: Sample{Problem: why}} }

// result is what a story about measurements is compared by.
type result struct {
	Outcome              v1alpha1.AnalysisOutcome
	Value                string
	Measurements, Failed int32
}

var min99, atMost = v1alpha1.ThresholdRange{Min: "0.99"}, v1alpha1.ThresholdRange{Max: "1.5"}

func policy(run *v1alpha1.AnalysisRun, policy v1alpha1.NoDataPolicy) *v1alpha1.AnalysisRun {
	run.OnNoData = policy
	return run
}

// course is an analysis of one metric that is measured again and again.
type course struct {
	run      *v1alpha1.AnalysisRun
	readings []Reading
	want     result
	says     string // of the message of the analysis
}

// judged are those with data.
var judged = map[string]course{
	"all is well": {
		only(success(min99)),
		[]Reading{value(1), value(0.999), value(0.99)},
		result{v1alpha1.AnalysisSuccessful, "0.99", 3, 0},
		"passed 3 measurements, success is 0.99 (at least 0.99)",
	},
	"it goes on": {
		only(success(min99)),
		[]Reading{value(1), value(0.99876543)},
		result{v1alpha1.AnalysisRunning, "0.9988", 2, 0},
		"2 of 3 measurements made, success is 0.9988 (at least 0.99)",
	},
	"one measurement too many is outside": {
		only(success(min99)),
		[]Reading{value(1), value(0.95), value(1)},
		result{v1alpha1.AnalysisFailed, "0.95", 2, 1},
		"success: 0.95 has to be at least 0.99: 1 of 2 measurements failed, and failureLimit is 0",
	},
	"as many are outside as may be": {
		func() *v1alpha1.AnalysisRun {
			run := only(success(min99))
			run.FailureLimit = new(int32(1))
			return run
		}(),
		[]Reading{value(0.95), value(1), value(1)},
		result{v1alpha1.AnalysisSuccessful, "1", 3, 1},
		"passed",
	},
	"too much": {
		only(v1alpha1.AnalysisMetric{Name: "queue", Type: v1alpha1.AnalysisMetricNamed, Metric: "queue_length", ThresholdRange: &v1alpha1.ThresholdRange{Min: "1", Max: "2k"}}),
		[]Reading{value(2000.1)},
		result{v1alpha1.AnalysisFailed, "2000", 1, 1},
		"2000 has to be from 1 to 2k",
	},
	"a gauge is not made of samples": {
		only(v1alpha1.AnalysisMetric{Name: "queue", Type: v1alpha1.AnalysisMetricNamed, Metric: "queue_length", ThresholdRange: &v1alpha1.ThresholdRange{Max: "5"}}),
		[]Reading{{Value: Sample{Value: 3}}},
		result{v1alpha1.AnalysisRunning, "3", 1, 0},
		"1 of 3",
	},
	"a value below zero is at most five": {
		only(v1alpha1.AnalysisMetric{Name: "offset", Type: v1alpha1.AnalysisMetricNamed, Metric: "clock_offset", ThresholdRange: &v1alpha1.ThresholdRange{Max: "5"}}),
		[]Reading{value(-0.2), value(-1e9), value(0)},
		result{v1alpha1.AnalysisSuccessful, "0", 3, 0},
		"passed",
	},
	"a value below zero is not at least zero": {
		only(v1alpha1.AnalysisMetric{Name: "offset", Type: v1alpha1.AnalysisMetricNamed, Metric: "clock_offset", ThresholdRange: &v1alpha1.ThresholdRange{Min: "0"}}),
		[]Reading{value(-0.2)},
		result{v1alpha1.AnalysisFailed, "-0.2", 1, 1},
		"-0.2 has to be at least 0",
	},
	"beyond the highest bucket is not at most its bound": {
		only(v1alpha1.AnalysisMetric{Name: "latency", Type: v1alpha1.AnalysisLatency, ThresholdRange: &v1alpha1.ThresholdRange{Max: "500m"}}),
		[]Reading{beyond(0.5)},
		result{v1alpha1.AnalysisFailed, "0.5", 1, 1},
		"more than 0.5 (the highest bucket of the histogram) has to be at most 500m",
	},
	"beyond the highest bucket is at least its bound": {
		only(v1alpha1.AnalysisMetric{Name: "latency", Type: v1alpha1.AnalysisLatency, ThresholdRange: &v1alpha1.ThresholdRange{Min: "500m"}}),
		[]Reading{beyond(0.5)},
		result{v1alpha1.AnalysisRunning, "0.5", 1, 0},
		"1 of 3",
	},
	"beyond the highest bucket, where what serves is not": {
		only(compared(atMost)),
		[]Reading{{Value: beyond(0.5).Value, Active: Sample{Value: 0.4, Count: 100}}},
		result{v1alpha1.AnalysisFailed, "0.5", 1, 1},
		"more than 0.5 (the highest bucket of the histogram), where the version that serves has 0.4, has to be at most 1.5 times",
	},
	"a rate of nothing is a rate": {
		only(v1alpha1.AnalysisMetric{Name: "traffic", Type: v1alpha1.AnalysisRequestRate, ThresholdRange: &v1alpha1.ThresholdRange{Min: "1"}}),
		[]Reading{{}},
		result{v1alpha1.AnalysisFailed, "0", 1, 1},
		"0 has to be at least 1",
	},
}

// lackingData are those where some of it is missing.
var lackingData = map[string]course{
	"no data: waits": {
		only(success(min99)),
		[]Reading{value(1), none("nobody answers"), none("nobody answers")},
		result{v1alpha1.AnalysisRunning, "", 1, 0},
		"1 of 3 measurements made, success waits for data, because nobody answers",
	},
	"no data for a while": {
		only(success(min99)),
		[]Reading{value(1), none("nobody answers"), value(1), value(1)},
		result{v1alpha1.AnalysisSuccessful, "1", 3, 0},
		"passed",
	},
	"no data: fails": {
		policy(only(success(min99)), v1alpha1.NoDataFail),
		[]Reading{value(1), none("nobody answers")},
		result{v1alpha1.AnalysisFailed, "", 2, 1},
		"success: nobody answers, which counts as failed (onNoData): 1 of 2 measurements failed",
	},
	"no data: passes": {
		policy(only(success(min99)), v1alpha1.NoDataPass),
		[]Reading{none("nobody answers"), none("nobody answers"), none("nobody answers")},
		result{v1alpha1.AnalysisSuccessful, "", 3, 0},
		"passed",
	},
	"nobody has measured for long enough, and no data would fail": {
		policy(only(success(min99)), v1alpha1.NoDataFail),
		[]Reading{{Value: Sample{Pending: true}}, {Value: Sample{Pending: true}}},
		result{v1alpha1.AnalysisRunning, "", 0, 0},
		"0 of 3 measurements made",
	},
	"not enough pods are measured, and no data would fail": {
		policy(only(success(min99)), v1alpha1.NoDataFail),
		[]Reading{{Value: Sample{Pending: true, Problem: "1 of 3 pods"}}},
		result{v1alpha1.AnalysisRunning, "", 0, 0},
		"0 of 3 measurements made, success waits for data, because 1 of 3 pods",
	},
	"not enough pods of the old version are measured, and no data would pass": {
		policy(only(compared(atMost)), v1alpha1.NoDataPass),
		[]Reading{{Value: Sample{Value: 1, Count: 100}, Active: Sample{Pending: true, Problem: "1 of 3 pods"}}},
		result{v1alpha1.AnalysisRunning, "", 0, 0},
		"waits for data, because of the version that serves: 1 of 3 pods",
	},
	"the old version is not measured for long enough yet": {
		policy(only(compared(atMost)), v1alpha1.NoDataFail),
		[]Reading{{Value: Sample{Value: 1, Count: 100}, Active: Sample{Pending: true}}},
		result{v1alpha1.AnalysisRunning, "", 0, 0},
		"0 of 3",
	},
	"beyond the highest bucket, as what serves": {
		only(compared(atMost)),
		[]Reading{{Value: beyond(0.5).Value, Active: beyond(0.5).Value}},
		result{v1alpha1.AnalysisRunning, "", 0, 0},
		"both versions are above 0.5, the highest bucket of the histogram, so that they can't be compared: give it higher ones",
	},
	"not a number": {
		only(success(min99)),
		[]Reading{value(math.NaN())},
		result{v1alpha1.AnalysisRunning, "", 0, 0},
		"waits for data, because the value is no number",
	},
	"without end": {
		policy(only(success(min99)), v1alpha1.NoDataFail),
		[]Reading{value(math.Inf(1))},
		result{v1alpha1.AnalysisFailed, "", 1, 1},
		"the value is no number",
	},
	"too few requests": {
		only(success(min99)),
		[]Reading{{Value: Sample{Value: 0.5, Count: 9}}},
		result{v1alpha1.AnalysisRunning, "", 0, 0},
		"fewer than 10 requests or observations (minimumSamples) in 15s (windowSeconds)",
	},
	"just enough requests": {
		only(success(min99)),
		[]Reading{{Value: Sample{Value: 1, Count: 10}}},
		result{v1alpha1.AnalysisRunning, "1", 1, 0},
		"1 of 3",
	},
}

// comparedCourses are those in which two versions are compared.
var comparedCourses = map[string]course{
	"as slow as the old version": {
		only(compared(atMost)),
		[]Reading{against(0.3, 0.2)},
		result{v1alpha1.AnalysisRunning, "0.3", 1, 0},
		"latency is 0.3 (at most 1.5 times that of the version that serves)",
	},
	"slower than the old version": {
		only(compared(atMost)),
		[]Reading{against(0.4, 0.2)},
		result{v1alpha1.AnalysisFailed, "0.4", 1, 1},
		"0.4, where the version that serves has 0.2, has to be at most 1.5 times that of the version that serves",
	},
	"the old version has none": {
		only(compared(atMost)),
		[]Reading{against(0.1, 0)},
		result{v1alpha1.AnalysisFailed, "0.1", 1, 1},
		"has 0",
	},
	"neither has any": {
		only(compared(atMost)),
		[]Reading{against(0, 0)},
		result{v1alpha1.AnalysisRunning, "0", 1, 0},
		"1 of 3",
	},
	"the old version has too few requests": {
		only(compared(atMost)),
		[]Reading{{Value: Sample{Value: 1, Count: 100}, Active: Sample{Value: 1, Count: 3}}},
		result{v1alpha1.AnalysisRunning, "", 0, 0},
		"of the version that serves: there were fewer than 10",
	},
}

func TestAdvance(t *testing.T) {
	t.Parallel()
	courses := maps.Clone(judged)
	maps.Copy(courses, lackingData)
	maps.Copy(courses, comparedCourses)
	for name, tc := range courses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status := begin(tc.run, epoch)
			for i, reading := range tc.readings {
				if !ended(status.Outcome) {
					status = advance(tc.run, status, map[string]Reading{tc.run.Metrics[0].Name: reading}, epoch.Add(time.Duration(i+1)*time.Second))
				}
			}
			m := status.Metrics[0]
			if diff := cmp.Diff(tc.want, result{status.Outcome, m.Value, m.Measurements, m.Failed}); diff != "" {
				t.Error(diff)
			}
			if m.Outcome != status.Outcome || !strings.Contains(status.Message, tc.says) {
				t.Errorf("the metric is %s, the analysis %s: %q; want %q in it", m.Outcome, status.Outcome, status.Message, tc.says)
			}
		})
	}
}

// Each has its own number of measurements, and all have to pass.
func TestAdvanceWithSeveralMetrics(t *testing.T) {
	t.Parallel()
	run := only(success(v1alpha1.ThresholdRange{Min: "0.99"}), compared(v1alpha1.ThresholdRange{Max: "2"}))
	status := begin(run, epoch)
	step := func(latency Reading) {
		status = advance(run, status, map[string]Reading{"success": value(1), "latency": latency}, epoch)
	}
	for range 3 {
		step(none("no requests"))
	}
	if status.Outcome != v1alpha1.AnalysisRunning || status.Metrics[0].Outcome != v1alpha1.AnalysisSuccessful {
		t.Fatalf("%+v", status)
	}
	done := status.Metrics[0]
	for range 3 {
		step(against(1, 1))
	}
	if status.Outcome != v1alpha1.AnalysisSuccessful {
		t.Errorf("%+v", status)
	}
	if diff := cmp.Diff(done, status.Metrics[0]); diff != "" {
		t.Errorf("a metric goes on after it has passed: %s", diff)
	}
}

// Status holds all that another operator needs, and changes with what counts alone.
func TestAnAnalysisGoesOnFromItsStatus(t *testing.T) {
	t.Parallel()
	run := only(success(v1alpha1.ThresholdRange{Min: "0.99"}))
	run.InitialDelaySeconds = new(int32(60))
	status := begin(run, epoch)
	if got := untilDue(run, status, time.Time{}, epoch.Add(time.Second)); got != 64*time.Second {
		t.Errorf("the first measurement is made in %s", got)
	}
	now := epoch.Add(65 * time.Second)
	if got := windowOf(run, status, now); untilDue(run, status, time.Time{}, now) != 0 || got != 5*time.Second {
		t.Errorf("it looks back for %s", got)
	}
	status = advance(run, status, map[string]Reading{"success": value(1)}, now)
	now = now.Add(2 * time.Second)
	if got := untilDue(run, status, time.Time{}, now); got != 3*time.Second {
		t.Errorf("the second measurement is made in %s", got)
	}
	waits := advance(run, status, map[string]Reading{"success": none("no requests")}, now)
	again := advance(run, waits, map[string]Reading{"success": none("no requests")}, now.Add(time.Hour))
	if diff := cmp.Diff(waits, again); diff != "" || !waits.MeasuredAt.Equal(status.MeasuredAt) {
		t.Errorf("status changes while nothing does: %s", diff)
	}
	tried := now.Add(time.Hour)
	if got := untilDue(run, waits, tried, tried.Add(time.Second)); got != 4*time.Second {
		t.Errorf("it tries again in %s", got)
	}
}

// counting returns an analysis of so many measurements, of which so many may fail.
func counting(count, failureLimit int32, metrics ...v1alpha1.AnalysisMetric) *v1alpha1.AnalysisRun {
	run := only(metrics...)
	run.Count, run.FailureLimit = &count, &failureLimit
	return run
}

// A spec may change in the middle, and after all has passed: what is new in it was never measured.
func TestWhatChangesInTheSpecIsMeasured(t *testing.T) {
	t.Parallel()
	named := func(m v1alpha1.AnalysisMetric, name string) v1alpha1.AnalysisMetric {
		m.Name = name
		return m
	}
	gauge := func(metric, quantile string) v1alpha1.AnalysisMetric {
		return v1alpha1.AnalysisMetric{Name: "it", Type: v1alpha1.AnalysisMetricNamed, Metric: metric, Quantile: quantile, ThresholdRange: &min99}
	}
	latency := func(quantile string) v1alpha1.AnalysisMetric {
		return v1alpha1.AnalysisMetric{Name: "it", Type: v1alpha1.AnalysisLatency, Quantile: quantile, ThresholdRange: &min99}
	}
	it := named(success(min99), "it")
	// What has passed: three measurements, one of which was outside.
	passes := []Reading{value(0.5), value(1), value(1)}
	kept, anew := result{v1alpha1.AnalysisSuccessful, "1", 3, 1}, result{v1alpha1.AnalysisRunning, "", 0, 0}
	for name, tc := range map[string]struct {
		before, after v1alpha1.AnalysisMetric
		run           *v1alpha1.AnalysisRun // or that of after alone
		readings      []Reading             // or passes
		want          result
		outcome       v1alpha1.AnalysisOutcome // of the analysis
		says          string
	}{
		"nothing":              {it, it, nil, nil, kept, v1alpha1.AnalysisSuccessful, "passed 3"},
		"the least of it":      {it, named(success(v1alpha1.ThresholdRange{Min: "0.999"}), "it"), nil, nil, anew, v1alpha1.AnalysisRunning, "0 of 3 measurements made"},
		"the type":             {it, named(v1alpha1.AnalysisMetric{Type: v1alpha1.AnalysisRequestRate, ThresholdRange: &min99}, "it"), nil, nil, anew, v1alpha1.AnalysisRunning, "0 of 3"},
		"the quantile":         {latency("0.9"), latency("0.95"), nil, nil, anew, v1alpha1.AnalysisRunning, "0 of 3"},
		"how it is written":    {latency(""), latency(".990"), nil, nil, kept, v1alpha1.AnalysisSuccessful, "passed 3"},
		"the name of a metric": {gauge("a", ""), gauge("b", ""), nil, nil, anew, v1alpha1.AnalysisRunning, "0 of 3"},
		"that it is a histogram": {
			gauge("a", ""), gauge("a", "0.5"), nil, nil, anew, v1alpha1.AnalysisRunning, "0 of 3",
		},
		"another one comes in": {
			it, it, counting(3, 1, it, compared(atMost)), nil, kept, v1alpha1.AnalysisRunning, "0 of 3 measurements made, it is 1",
		},
		"another one takes its name, and it another's": {
			it, named(compared(atMost), "it"), counting(3, 1, named(compared(atMost), "it"), named(success(min99), "other")), nil, anew, v1alpha1.AnalysisRunning, "0 of 3",
		},
		"more measurements are to be made": {
			it, it, counting(5, 1, it), nil, result{v1alpha1.AnalysisRunning, "1", 3, 1}, v1alpha1.AnalysisRunning, "3 of 5 measurements made",
		},
		"fewer measurements are to be made": {
			it, it, counting(2, 1, it), []Reading{value(0.5), value(1)}, result{v1alpha1.AnalysisSuccessful, "1", 2, 1}, v1alpha1.AnalysisSuccessful, "passed 2",
		},
		"fewer may fail": {
			it, it, counting(3, 0, it), nil, result{v1alpha1.AnalysisFailed, "1", 3, 1}, v1alpha1.AnalysisFailed, "it: 1 of 3 measurements failed, and failureLimit is 0",
		},
		"more may fail, and it is too late": {
			it, it, counting(3, 2, it), []Reading{value(0.5), value(0.4)}, result{v1alpha1.AnalysisFailed, "0.4", 2, 2}, v1alpha1.AnalysisFailed, "2 of 2 measurements failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := counting(3, 1, tc.before)
			before := begin(run, epoch)
			if tc.readings == nil {
				tc.readings = passes
			}
			for _, reading := range tc.readings {
				before = advance(run, before, map[string]Reading{"it": reading}, epoch)
			}
			if tc.run == nil {
				tc.run = counting(3, 1, tc.after)
			}
			after := renewed(tc.run, before)
			m := after.Metrics[0]
			if diff := cmp.Diff(tc.want, result{m.Outcome, m.Value, m.Measurements, m.Failed}); diff != "" {
				t.Error(diff)
			}
			if after.Outcome != tc.outcome || !strings.Contains(after.Message, tc.says) {
				t.Errorf("it is %s: %q, want %s, and %q in it", after.Outcome, after.Message, tc.outcome, tc.says)
			}
			if again := renewed(tc.run, after); again != after {
				t.Errorf("it changes although nothing does: %s", cmp.Diff(after, again))
			}
			if want := threshold(&tc.after); tc.outcome != v1alpha1.AnalysisFailed && m.Threshold != want {
				t.Errorf("beside the value is %q, want %q", m.Threshold, want)
			}
		})
	}
}

// What was given up is no better for being asked about again, unless there is something new to measure.
func TestWhatWasGivenUpStaysSo(t *testing.T) {
	t.Parallel()
	run := only(success(min99))
	given := giveUp(run, advance(run, begin(run, epoch), map[string]Reading{"success": none("nobody answers")}, epoch), time.Minute, epoch, epoch.Add(time.Hour))
	if got := renewed(run, given); got != given || got.Outcome != v1alpha1.AnalysisInconclusive {
		t.Errorf("%+v", got)
	}
	if got := renewed(only(success(min99), compared(atMost)), given); got.Outcome != v1alpha1.AnalysisRunning {
		t.Errorf("with a new metric: %+v", got)
	}
}

func TestAdvanceWithout(t *testing.T) {
	t.Parallel()
	run := policy(only(success(min99), compared(atMost)), v1alpha1.NoDataPass)
	run.FailureLimit = new(int32(1))
	now := epoch.Add(time.Minute)
	for policy, want := range map[v1alpha1.NoDataPolicy]result{
		v1alpha1.NoDataInconclusive: {v1alpha1.AnalysisRunning, "", 1, 0},
		v1alpha1.NoDataFail:         {v1alpha1.AnalysisRunning, "", 2, 1},
	} {
		before := advance(run, begin(run, epoch), map[string]Reading{"success": value(1), "latency": against(1, 1)}, epoch)
		after := advanceWithout(run, before, &absence{"nobody is there", policy}, now)
		for _, m := range after.Metrics {
			if diff := cmp.Diff(want, result{m.Outcome, m.Value, m.Measurements, m.Failed}); diff != "" || m.Message != "nobody is there" {
				t.Errorf("%s: %s: %q %s", policy, m.Name, m.Message, diff)
			}
		}
		if counts := after.MeasuredAt.Time.Equal(now); counts != (policy == v1alpha1.NoDataFail) {
			t.Errorf("%s: it was measured at %s", policy, after.MeasuredAt)
		}
		again := advanceWithout(run, after, &absence{"nobody is there", policy}, now)
		if ended := again.Outcome == v1alpha1.AnalysisFailed; ended != (policy == v1alpha1.NoDataFail) {
			t.Errorf("%s: %s", policy, again.Message)
		}
	}
}

func TestGiveUp(t *testing.T) {
	t.Parallel()
	run := only(success(v1alpha1.ThresholdRange{Min: "0.99"}))
	status := advance(run, begin(run, epoch), map[string]Reading{"success": none("nobody answers")}, epoch)
	if got := giveUp(run, status, time.Minute, epoch, epoch.Add(74*time.Second)); got != status {
		t.Errorf("too early: %+v", got)
	}
	// The operator was away for longer than that, and has only begun to look again.
	if got := giveUp(run, status, time.Minute, epoch.Add(time.Hour), epoch.Add(time.Hour+59*time.Second)); got != status {
		t.Errorf("too early after an outage: %+v", got)
	}
	got := giveUp(run, status, time.Minute, epoch, epoch.Add(75*time.Second))
	if got.Outcome != v1alpha1.AnalysisInconclusive || !strings.Contains(got.Message, "no data for 1m0s (progressDeadlineSeconds)") || !strings.Contains(got.Message, "nobody answers") {
		t.Errorf("%+v", got)
	}
}

// A warm-up that has come to its end is why there is no data, where nobody else sends requests.
func TestNoteWarmUpThatHasRunDry(t *testing.T) {
	t.Parallel()
	run, settings := only(success(min99)), &v1alpha1.WarmUp{MaxRequests: new(int32(500))}
	waiting := func() *v1alpha1.AnalysisStatus {
		return advance(run, begin(run, epoch), map[string]Reading{"success": none("nothing was counted")}, epoch)
	}
	goesOn := advance(run, begin(run, epoch), map[string]Reading{"success": value(1)}, epoch)
	const dry = "all 500 requests of the warm-up (maxRequests) are sent: 0 of 3 measurements made, success waits for data, because nothing was counted"
	for name, tc := range map[string]struct {
		given    *v1alpha1.AnalysisStatus
		settings *v1alpha1.WarmUp
		sent     int32
		want     string
	}{
		"it waits for data":                    {waiting(), settings, 500, dry},
		"it waits for data, and some are left": {waiting(), settings, 499, waiting().Message},
		"there is data":                        {goesOn, settings, 500, goesOn.Message},
		"the default":                          {waiting(), &v1alpha1.WarmUp{}, 99_999, waiting().Message},
		"all of the default": {
			waiting(), &v1alpha1.WarmUp{}, 100_000, strings.Replace(dry, "500", "100000", 1),
		},
	} {
		before, after := tc.given, tc.given.DeepCopy()
		// The second time is a pass in which nothing is measured.
		for range 2 {
			noteWarmUp(run, tc.settings, before, after, &v1alpha1.WarmUpStatus{Sent: tc.sent})
			if after.Message != tc.want || after.Outcome != v1alpha1.AnalysisRunning {
				t.Errorf("%s: %s: %q, want %q", name, after.Outcome, after.Message, tc.want)
			}
			if said := after.WarmUp != nil && after.WarmUp.Sent == tc.sent; said != (tc.want != tc.given.Message) {
				t.Errorf("%s: %+v", name, after.WarmUp)
			}
			before, after = after, after.DeepCopy()
		}
	}
}

// The API server refuses a status that does not fit.
func TestMessagesFit(t *testing.T) {
	t.Parallel()
	run := &v1alpha1.AnalysisRun{OnNoData: v1alpha1.NoDataFail}
	readings := map[string]Reading{}
	for i := range 8 {
		m := success(v1alpha1.ThresholdRange{Min: "0.99"})
		m.Name = fmt.Sprintf("%d-%s", i, strings.Repeat("n", 61))
		run.Metrics = append(run.Metrics, m)
		readings[m.Name] = none(strings.Repeat("ä", 2000))
	}
	for _, policy := range []v1alpha1.NoDataPolicy{v1alpha1.NoDataFail, v1alpha1.NoDataInconclusive} {
		run.OnNoData = policy
		status := advance(run, begin(run, epoch), readings, epoch)
		if n := len([]rune(status.Message)); n > maxMessage {
			t.Errorf("a message of %d characters", n)
		}
		if n := len([]rune(status.Metrics[0].Message)); n > maxMetricMessage {
			t.Errorf("a message of %d characters for one metric", n)
		}
	}
}
