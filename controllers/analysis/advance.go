package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// The defaults below are those of the API. Most are in the CRD too, and count where a GinService was stored before a field existed.
const (
	defaultInterval         = 5 * time.Second
	defaultCount            = 6
	defaultWindow           = 15 * time.Second
	defaultMinimumSamples   = 10
	defaultProgressDeadline = 600 * time.Second
)

// begin returns the status of an analysis that begins now.
func begin(run *v1alpha1.AnalysisRun, now time.Time) *v1alpha1.AnalysisStatus {
	status := &v1alpha1.AnalysisStatus{Outcome: v1alpha1.AnalysisRunning, StartedAt: &metav1.MicroTime{Time: now}}
	status.Metrics = inOrder(run, nil)
	status.Message = summary(run, status)
	return status
}

// untilDue returns how long it is until the next measurement. One that was made at tried without result counts as made.
func untilDue(run *v1alpha1.AnalysisRun, status *v1alpha1.AnalysisStatus, tried, now time.Time) time.Duration {
	last := measuresFrom(run, status)
	if status.MeasuredAt != nil && status.MeasuredAt.After(last) {
		last = status.MeasuredAt.Time
	}
	if tried.After(last) {
		last = tried
	}
	return max(0, last.Add(seconds(run.IntervalSeconds, defaultInterval)).Sub(now))
}

// measuresFrom returns when the analysis begins to look at what happens.
func measuresFrom(run *v1alpha1.AnalysisRun, status *v1alpha1.AnalysisStatus) time.Time {
	if status.StartedAt == nil {
		return time.Time{}
	}
	return status.StartedAt.Add(seconds(run.InitialDelaySeconds, 0))
}

// windowOf returns how far back a measurement looks.
func windowOf(run *v1alpha1.AnalysisRun, status *v1alpha1.AnalysisStatus, now time.Time) time.Duration {
	return min(seconds(run.WindowSeconds, defaultWindow), now.Sub(measuresFrom(run, status)))
}

// renewed returns the status of an analysis by a spec that may have been changed since: the same where nothing has been that its results depend on.
// What has failed stays so: its rollout is aborted by then.
func renewed(run *v1alpha1.AnalysisRun, before *v1alpha1.AnalysisStatus) *v1alpha1.AnalysisStatus {
	results := inOrder(run, before.Metrics)
	if before.Outcome == v1alpha1.AnalysisFailed || equality.Semantic.DeepEqual(results, before.Metrics) {
		return before
	}
	after := before.DeepCopy()
	after.Metrics = results
	conclude(run, after)
	return after
}

// absence is why nobody can be asked, and what becomes of a measurement then, whatever onNoData says.
type absence struct {
	why    string
	policy v1alpha1.NoDataPolicy
}

// advance returns the status of an analysis after a measurement, of which there is a reading for each metric by its name. The status is the same
// where nothing of it counts and nothing new is known of why.
func advance(run *v1alpha1.AnalysisRun, before *v1alpha1.AnalysisStatus, readings map[string]Reading, now time.Time) *v1alpha1.AnalysisStatus {
	return advanceBy(run, before, now, func(metric *v1alpha1.AnalysisMetric, result *v1alpha1.AnalysisMetricStatus) bool {
		reading, measured := readings[result.Name]
		return measured && count(run, metric, reading, result)
	})
}

// advanceWithout is advance where nobody can be asked.
func advanceWithout(run *v1alpha1.AnalysisRun, before *v1alpha1.AnalysisStatus, nobody *absence, now time.Time) *v1alpha1.AnalysisStatus {
	return advanceBy(run, before, now, func(_ *v1alpha1.AnalysisMetric, result *v1alpha1.AnalysisMetricStatus) bool {
		return countNothing(run, nobody.why, nobody.policy, result)
	})
}

// advanceBy counts a measurement of each metric that has not ended yet. counts adds it to the result, and reports whether it counts.
func advanceBy(
	run *v1alpha1.AnalysisRun, before *v1alpha1.AnalysisStatus, now time.Time,
	counts func(metric *v1alpha1.AnalysisMetric, result *v1alpha1.AnalysisMetricStatus) bool,
) *v1alpha1.AnalysisStatus {
	after := before.DeepCopy()
	after.Metrics = inOrder(run, before.Metrics)
	for i := range run.Metrics {
		if result := &after.Metrics[i]; !ended(result.Outcome) && counts(&run.Metrics[i], result) {
			after.MeasuredAt = &metav1.MicroTime{Time: now}
		}
	}
	conclude(run, after)
	return after
}

// inOrder returns the results of the metrics of a spec, which may have been changed since. What is new in it, or has become another metric or got other
// bounds, begins at zero; and what has passed goes on where there are to be more measurements.
func inOrder(run *v1alpha1.AnalysisRun, before []v1alpha1.AnalysisMetricStatus) []v1alpha1.AnalysisMetricStatus {
	results := make([]v1alpha1.AnalysisMetricStatus, len(run.Metrics))
	for i := range run.Metrics {
		metric, result := &run.Metrics[i], &results[i]
		*result = v1alpha1.AnalysisMetricStatus{Name: metric.Name, Measure: measureOf(metric), Threshold: threshold(metric)}
		for j := range before {
			if had := &before[j]; had.Name == result.Name && had.Measure == result.Measure && had.Threshold == result.Threshold {
				*result = *had
			}
		}
		result.Outcome = outcome(run, result)
	}
	return results
}

// measureOf says what a metric is the measure of, apart from its bounds.
func measureOf(metric *v1alpha1.AnalysisMetric) string {
	words := []string{string(metric.Type)}
	if metric.Metric != "" {
		words = append(words, metric.Metric)
	}
	if share := quantile(metric); share != 0 {
		words = append(words, strconv.FormatFloat(share, 'f', -1, 64))
	}
	return strings.Join(words, " ")
}

// outcome returns what the measurements of a metric come to.
func outcome(run *v1alpha1.AnalysisRun, result *v1alpha1.AnalysisMetricStatus) v1alpha1.AnalysisOutcome {
	switch {
	case result.Failed > valueOr(run.FailureLimit, 0):
		return v1alpha1.AnalysisFailed
	case result.Measurements >= valueOr(run.Count, defaultCount):
		return v1alpha1.AnalysisSuccessful
	default:
		return v1alpha1.AnalysisRunning
	}
}

// count adds a reading to the result of a metric, and reports whether it counts.
func count(run *v1alpha1.AnalysisRun, metric *v1alpha1.AnalysisMetric, reading Reading, result *v1alpha1.AnalysisMetricStatus) bool {
	problem := lacking(run, metric, reading)
	switch {
	case reading.comes():
		return false
	case reading.Value.Pending, reading.Active.Pending:
		return countNothing(run, problem, v1alpha1.NoDataInconclusive, result)
	}
	if problem == "" {
		tally(run, judge(metric, reading, result), result)
		return true
	}
	policy := cmp.Or(run.OnNoData, v1alpha1.NoDataInconclusive)
	switch policy {
	case v1alpha1.NoDataFail:
		problem += ", which counts as failed (onNoData)"
	case v1alpha1.NoDataPass:
		problem += ", which counts as passed (onNoData)"
	case v1alpha1.NoDataInconclusive:
	}
	return countNothing(run, problem, policy, result)
}

// countNothing adds a measurement without data to the result of a metric, and reports whether it counts.
func countNothing(run *v1alpha1.AnalysisRun, why string, policy v1alpha1.NoDataPolicy, result *v1alpha1.AnalysisMetricStatus) bool {
	result.Value, result.ActiveValue, result.Message = "", "", shorten(why, maxMetricMessage)
	if policy == v1alpha1.NoDataInconclusive {
		return false
	}
	tally(run, policy == v1alpha1.NoDataFail, result)
	return true
}

// tally counts a measurement.
func tally(run *v1alpha1.AnalysisRun, failed bool, result *v1alpha1.AnalysisMetricStatus) {
	result.Measurements++
	if failed {
		result.Failed++
	}
	result.Outcome = outcome(run, result)
}

// judge puts a reading into the result of a metric, and reports whether it is outside of the bounds.
func judge(metric *v1alpha1.AnalysisMetric, reading Reading, result *v1alpha1.AnalysisMetricStatus) bool {
	value := reading.Value.Value
	result.Value, result.ActiveValue, result.Message = rounded(value), "", ""
	said := result.Value
	if reading.Value.Beyond {
		said = fmt.Sprintf("more than %s (the highest bucket of the histogram)", said)
	}
	if !within(metric.ThresholdRange, value, reading.Value.Beyond) {
		result.Message = fmt.Sprintf("%s has to be %s", said, result.Threshold)
	}
	if metric.RatioToActive != nil {
		result.ActiveValue = rounded(reading.Active.Value)
		if !within(metric.RatioToActive, ratio(value, reading.Active.Value), reading.Value.Beyond) {
			result.Message = fmt.Sprintf("%s, where the version that serves has %s, has to be %s", said, result.ActiveValue, result.Threshold)
		}
	}
	return result.Message != ""
}

// conclude says what the results come to.
func conclude(run *v1alpha1.AnalysisRun, status *v1alpha1.AnalysisStatus) {
	successful := 0
	for i := range status.Metrics {
		switch result := &status.Metrics[i]; result.Outcome {
		case v1alpha1.AnalysisFailed:
			status.Outcome = v1alpha1.AnalysisFailed
			why := result.Name
			if result.Message != "" { // there is none where the limit was lowered after a measurement that is within the bounds
				why += ": " + result.Message
			}
			status.Message = shorten(fmt.Sprintf("%s: %d of %d measurements failed, and failureLimit is %d",
				why, result.Failed, result.Measurements, valueOr(run.FailureLimit, 0)), maxMessage)
			return
		case v1alpha1.AnalysisSuccessful:
			successful++
		case v1alpha1.AnalysisRunning, v1alpha1.AnalysisInconclusive:
		}
	}
	status.Outcome = v1alpha1.AnalysisRunning
	if successful == len(status.Metrics) {
		status.Outcome = v1alpha1.AnalysisSuccessful
	}
	status.Message = summary(run, status)
}

// summary says how far an analysis has come that has not failed.
func summary(run *v1alpha1.AnalysisRun, status *v1alpha1.AnalysisStatus) string {
	made, wanted := valueOr(run.Count, defaultCount), valueOr(run.Count, defaultCount)
	var values []string
	for i := range status.Metrics {
		result := &status.Metrics[i]
		made = min(made, result.Measurements)
		switch {
		case waits(*result):
			values = append(values, fmt.Sprintf("%s waits for data, because %s", result.Name, result.Message))
		case result.Value != "":
			values = append(values, fmt.Sprintf("%s is %s (%s)", result.Name, result.Value, result.Threshold))
		}
	}
	text := fmt.Sprintf("%d of %d measurements made", made, wanted)
	if status.Outcome == v1alpha1.AnalysisSuccessful {
		text = fmt.Sprintf("passed %d measurements", wanted)
	}
	return shorten(strings.Join(append([]string{text}, values...), ", "), maxMessage)
}

// giveUp ends an analysis of what serves that has waited for data for longer than a new version may take to become ready. The old colour's pods
// can't be kept for ever.
func giveUp(run *v1alpha1.AnalysisRun, status *v1alpha1.AnalysisStatus, deadline time.Duration, began, now time.Time) *v1alpha1.AnalysisStatus {
	took := time.Duration(valueOr(run.Count, defaultCount)) * seconds(run.IntervalSeconds, defaultInterval)
	from := measuresFrom(run, status).Add(took)
	if began.After(from) {
		from = began
	}
	if ended(status.Outcome) || now.Before(from.Add(deadline)) {
		return status
	}
	status = status.DeepCopy()
	status.Outcome = v1alpha1.AnalysisInconclusive
	status.Message = shorten(fmt.Sprintf("given up, because there was no data for %s (progressDeadlineSeconds): %s", deadline, status.Message), maxMessage)
	return status
}

// noteWarmUp notes what became of the requests of a warm-up: with the measurements, or where it fails the analysis, or where all are sent and yet there
// is no data.
func noteWarmUp(run *v1alpha1.AnalysisRun, settings *v1alpha1.WarmUp, before, after *v1alpha1.AnalysisStatus, result *v1alpha1.WarmUpStatus) {
	fails := result.Failed > valueOr(settings.FailureLimit, 0)
	dry := result.Sent >= valueOr(settings.MaxRequests, defaultWarmUpMost) && slices.ContainsFunc(after.Metrics, waits)
	if !fails && !dry && before.MeasuredAt.Equal(after.MeasuredAt) && before.Outcome == after.Outcome {
		return
	}
	after.WarmUp = result.DeepCopy()
	switch {
	case after.Outcome == v1alpha1.AnalysisFailed:
	case fails:
		after.Outcome = v1alpha1.AnalysisFailed
		after.Message = shorten(fmt.Sprintf("warmUp: %s: %d of %d requests failed, and failureLimit is %d",
			result.Message, result.Failed, result.Sent, valueOr(settings.FailureLimit, 0)), maxMessage)
	case dry:
		// Not after the summary, which can be too long for more.
		after.Message = shorten(fmt.Sprintf("all %d requests of the warm-up (maxRequests) are sent: %s", result.Sent, summary(run, after)), maxMessage)
	}
}

// waits reports whether a metric waits for data.
func waits(result v1alpha1.AnalysisMetricStatus) bool {
	return result.Outcome == v1alpha1.AnalysisRunning && result.Value == "" && result.Message != ""
}

func ended(outcome v1alpha1.AnalysisOutcome) bool {
	return outcome != "" && outcome != v1alpha1.AnalysisRunning
}
