package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

const (
	// maxMessage and maxMetricMessage are what the CRD allows the messages in status, in characters.
	maxMessage       = 1024
	maxMetricMessage = 512
	// digits is how many digits of a value status has: as many as tell 99.95 % from 99.9 %.
	digits = 4
	// tolerance is what a value may be beyond a bound, as a part of it, because of how fractions are stored.
	tolerance = 1e-9
)

// Sample is what the pods of a colour say to one metric.
type Sample struct {
	// Value is the value, in the unit of the metric.
	Value float64
	// Count is how many requests, or observations, it was made of, where it was made of any.
	Count float64
	// Beyond says of a quantile that it is above the highest bucket of the histogram, whose bound Value is.
	Beyond bool
	// Problem says why there is no value, or is "". It is the same for as long as the cause is.
	Problem string
	// Pending says that there is none because nobody has measured for long enough, which takes a few seconds, or not all pods, which Problem says
	// then. It counts neither for nor against a version, whatever onNoData is.
	Pending bool
}

// Reading is one measurement of a metric.
type Reading struct {
	// Value is that of the version under analysis.
	Value Sample
	// Active is that of the version that serves, where the metric compares both.
	Active Sample
}

// comes reports whether there is nothing yet that can be measured in a moment. Where there is a problem, nobody knows.
func (r Reading) comes() bool {
	return r.Value.Pending && r.Value.Problem == "" || r.Active.Pending && r.Active.Problem == ""
}

// lacking returns why a reading has no data to judge by, or "".
func lacking(run *v1alpha1.AnalysisRun, metric *v1alpha1.AnalysisMetric, reading Reading) string {
	if problem := lack(run, metric, reading.Value); problem != "" {
		return problem
	}
	if metric.RatioToActive == nil {
		return ""
	}
	if problem := lack(run, metric, reading.Active); problem != "" {
		return "of the version that serves: " + problem
	}
	if reading.Value.Beyond && reading.Active.Beyond {
		return fmt.Sprintf("both versions are above %s, the highest bucket of the histogram, so that they can't be compared: give it higher ones", rounded(reading.Value.Value))
	}
	return ""
}

func lack(run *v1alpha1.AnalysisRun, metric *v1alpha1.AnalysisMetric, sample Sample) string {
	enough := valueOr(run.MinimumSamples, defaultMinimumSamples)
	switch {
	case sample.Problem != "":
		return sample.Problem
	case math.IsNaN(sample.Value) || math.IsInf(sample.Value, 0):
		return "the value is no number"
	case takesSamples(metric) && sample.Count < float64(enough):
		return fmt.Sprintf("there were fewer than %d requests or observations (minimumSamples) in %s (windowSeconds)",
			enough, seconds(run.WindowSeconds, defaultWindow))
	}
	return ""
}

// takesSamples reports whether a metric says little about few requests. That there are few is what a rate says.
func takesSamples(metric *v1alpha1.AnalysisMetric) bool {
	return metric.Type == v1alpha1.AnalysisSuccessRate || metric.Type == v1alpha1.AnalysisLatency || metric.Quantile != ""
}

// within reports whether a value is within bounds. One beyond the highest bucket may be any that is greater.
func within(bounds *v1alpha1.ThresholdRange, value float64, beyond bool) bool {
	switch {
	case bounds == nil:
		return true
	case bounds.Min != "" && !(value >= (1-tolerance)*number(bounds.Min)):
		return false
	default:
		return bounds.Max == "" || !beyond && value <= (1+tolerance)*number(bounds.Max)
	}
}

// ratio divides a value by that of the version that serves. Nothing and nothing are the same.
func ratio(value, active float64) float64 {
	switch {
	case active != 0:
		return value / active
	case value == 0:
		return 1
	default:
		return math.Inf(1)
	}
}

// number returns the number that a bound stands for: the API takes nothing else.
func number(bound v1alpha1.Bound) float64 {
	quantity, err := resource.ParseQuantity(string(bound))
	if err != nil {
		return math.NaN() // which nothing is within
	}
	return quantity.AsApproximateFloat64()
}

// threshold says what a value has to be.
func threshold(metric *v1alpha1.AnalysisMetric) string {
	var all []string
	if bounds := metric.ThresholdRange; bounds != nil {
		all = append(all, spoken(bounds))
	}
	if bounds := metric.RatioToActive; bounds != nil {
		all = append(all, spoken(bounds)+" times that of the version that serves")
	}
	return strings.Join(all, " and ")
}

func spoken(bounds *v1alpha1.ThresholdRange) string {
	switch {
	case bounds.Max == "":
		return "at least " + string(bounds.Min)
	case bounds.Min == "":
		return "at most " + string(bounds.Max)
	default:
		return fmt.Sprintf("from %s to %s", bounds.Min, bounds.Max)
	}
}

// rounded returns a value as status has it, so that it does not change with what nobody can see.
func rounded(value float64) string {
	short, err := strconv.ParseFloat(strconv.FormatFloat(value, 'g', digits, 64), 64)
	if err != nil {
		return ""
	}
	text := strconv.FormatFloat(short, 'f', -1, 64)
	if len(text) > 20 {
		return strconv.FormatFloat(short, 'g', digits, 64)
	}
	return text
}

// quantile returns the quantile of a metric, or 0 where it has none.
func quantile(metric *v1alpha1.AnalysisMetric) float64 {
	share, err := strconv.ParseFloat(metric.Quantile, 64)
	switch {
	case err == nil:
		return share
	case metric.Type == v1alpha1.AnalysisLatency:
		return 0.99
	default:
		return 0
	}
}

func seconds(value *int32, otherwise time.Duration) time.Duration {
	if value == nil {
		return otherwise
	}
	return time.Duration(*value) * time.Second
}

func valueOr(value *int32, otherwise int32) int32 {
	if value == nil {
		return otherwise
	}
	return *value
}

// shorten cuts a text after a number of characters.
func shorten(text string, limit int) string {
	for i := range text {
		if limit--; limit < 0 {
			return text[:i]
		}
	}
	return text
}
