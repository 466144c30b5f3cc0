package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Analysis measures a preview before it may take traffic. The rollout is aborted where it fails. It belongs to no revision: a change of it
// counts at once, also where it has passed and the preview still waits for its promotion, and taking it away lets the preview go on without. A metric
// that is new, or measures something else, or has other bounds, begins at zero; the results of all others stay.
type Analysis struct {
	// AnalysisRun is what is measured, and how often.
	AnalysisRun `json:",inline"`

	// warmUp are requests that the operator sends to the pods of the preview while it is measured, so that there is something to measure where
	// nobody else uses it. Default: none.
	// +optional
	WarmUp *WarmUp `json:"warmUp,omitempty"`
}

// AnalysisRun is a series of measurements. It passes when each metric has been measured count times, and fails when one of them is outside of its
// bounds more often than failureLimit allows.
//
// +kubebuilder:validation:XValidation:rule="(has(self.failureLimit) ? self.failureLimit : 0) < (has(self.count) ? self.count : 6)",message="analysis.failureLimit: must be less than count, or no measurement could make the analysis fail"
type AnalysisRun struct {
	// metrics are what is measured. All of them have to be within their bounds.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Metrics []AnalysisMetric `json:"metrics,omitempty"`

	// intervalSeconds is the time, in seconds, from one measurement to the next, and from the start to the first one. Default: 5.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	IntervalSeconds *int32 `json:"intervalSeconds,omitempty"`

	// count is how often each metric is measured. Measurements without data don't count, unless onNoData says so. Default: 6.
	// +optional
	// +kubebuilder:default=6
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Count *int32 `json:"count,omitempty"`

	// failureLimit is how many measurements of a metric may be outside of its bounds: one more fails the analysis. Default: 0.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=999
	FailureLimit *int32 `json:"failureLimit,omitempty"`

	// windowSeconds is how far back, in seconds, a measurement looks, though not further than to the start of the analysis. With Prometheus,
	// make it at least twice as long as its scrape interval. Default: 15.
	// +optional
	// +kubebuilder:default=15
	// +kubebuilder:validation:Minimum=5
	// +kubebuilder:validation:Maximum=600
	WindowSeconds *int32 `json:"windowSeconds,omitempty"`

	// minimumSamples is how many requests, or observations of a histogram, a success rate or a quantile takes: with fewer, there is no data.
	// Default: 10.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MinimumSamples *int32 `json:"minimumSamples,omitempty"`

	// onNoData says what becomes of a measurement without data. Inconclusive waits for data: the preview is not promoted until there is some, or
	// until strategy.blueGreen.previewTTLSeconds have passed; after the promotion, the analysis is given up when progressDeadlineSeconds have
	// passed. Fail counts it as outside of the bounds, and Pass as within. Two things are not for it to say: after the promotion, a measurement is
	// outside of the bounds while no pod of the version is ready and some of the old colour are; and nothing counts while the service is scaled to
	// zero. Default: Inconclusive.
	// +optional
	// +kubebuilder:default=Inconclusive
	OnNoData NoDataPolicy `json:"onNoData,omitempty"`

	// initialDelaySeconds is how long, in seconds, nothing is measured at first: from when the preview is ready, or after the promotion from when
	// the new version alone serves. What happens in that time is not looked at. Default: 0.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	InitialDelaySeconds *int32 `json:"initialDelaySeconds,omitempty"`
}

// AnalysisMetric is one thing that is measured, over all ready pods of the version together.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'Metric') == has(self.metric)",message="analysis.metrics: type Metric needs metric, the name of a metric that the pods expose, and no other type has it"
// +kubebuilder:validation:XValidation:rule="self.type in ['Latency', 'Metric'] || !has(self.quantile)",message="analysis.metrics: only types Latency and Metric have a quantile: remove it"
// +kubebuilder:validation:XValidation:rule="has(self.thresholdRange) || has(self.ratioToActive)",message="analysis.metrics: needs a thresholdRange, a ratioToActive, or both"
// +kubebuilder:validation:XValidation:rule="self.type != 'SuccessRate' || !has(self.thresholdRange) || (!has(self.thresholdRange.min) || !isQuantity(self.thresholdRange.min) || quantity(self.thresholdRange.min).compareTo(quantity('1')) <= 0) && (!has(self.thresholdRange.max) || !isQuantity(self.thresholdRange.max) || quantity(self.thresholdRange.max).compareTo(quantity('1')) <= 0)",message="analysis.metrics: a SuccessRate is a share from 0 to 1: write 99 % as \"0.99\""
type AnalysisMetric struct {
	// name tells the metric from the others: status and messages speak of it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9]([-_a-zA-Z0-9]*[a-zA-Z0-9])?$')",message="analysis.metrics.name: must be letters, digits, '-' and '_', and begin and end with a letter or digit"
	Name string `json:"name,omitempty"`

	// type is what is measured. SuccessRate is the share, from 0 to 1, of requests that were not answered with a status of 500 or more. Latency is
	// the time, in seconds, that a share of the requests did not exceed. RequestRate is the number of requests per second. These three need
	// the metrics of ginkit, or others by the same OpenTelemetry names. Metric is any other metric that the pods expose.
	// +required
	Type AnalysisMetricType `json:"type,omitempty"`

	// quantile is that share, for type Latency; for type Metric it makes the metric that quantile of a histogram. Default: 0.99 for Latency,
	// none for Metric.
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:XValidation:rule="self.matches('^0?[.][0-9]*[1-9][0-9]*$')",message="analysis.metrics.quantile: must be a share between 0 and 1, such as \"0.99\""
	Quantile string `json:"quantile,omitempty"`

	// metric is the name of the metric as the pods expose it, for type Metric: a counter, or the _count or _sum of a histogram, is measured as its
	// rate per second, and a gauge as it is; each summed over the pods. With a quantile it is the name of a histogram, without a suffix.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z_:][a-zA-Z0-9_:]*$')",message="analysis.metrics.metric: must be the name of a metric: letters, digits, '_' and ':', not beginning with a digit"
	// +kubebuilder:validation:XValidation:rule="!self.endsWith('_bucket')",message="analysis.metrics.metric: must not be the buckets of a histogram: leave out _bucket, and set quantile"
	Metric string `json:"metric,omitempty"`

	// thresholdRange are the bounds of the value. Default: none; ratioToActive is needed then.
	// +optional
	ThresholdRange *ThresholdRange `json:"thresholdRange,omitempty"`

	// ratioToActive are the bounds of the value divided by that of the version that serves, measured at the same time. Only analysis has it:
	// after the promotion, nobody uses the other version any more. Default: none; thresholdRange is needed then.
	// +optional
	RatioToActive *ThresholdRange `json:"ratioToActive,omitempty"`
}

// AnalysisMetricType is a kind of measurement.
// +kubebuilder:validation:Enum=SuccessRate;Latency;RequestRate;Metric
type AnalysisMetricType string

const (
	// AnalysisSuccessRate is the share of requests that were not answered with a status of 500 or more.
	AnalysisSuccessRate AnalysisMetricType = "SuccessRate"
	// AnalysisLatency is a quantile of the duration of requests.
	AnalysisLatency AnalysisMetricType = "Latency"
	// AnalysisRequestRate is the number of requests per second.
	AnalysisRequestRate AnalysisMetricType = "RequestRate"
	// AnalysisMetricNamed is a metric that the pods expose, by its name.
	AnalysisMetricNamed AnalysisMetricType = "Metric"
)

// ThresholdRange are bounds, which a value may equal.
//
// +kubebuilder:validation:XValidation:rule="has(self.min) || has(self.max)",message="analysis.metrics: thresholdRange and ratioToActive need a min, a max, or both"
// +kubebuilder:validation:XValidation:rule="!has(self.min) || !has(self.max) || !isQuantity(self.min) || !isQuantity(self.max) || quantity(self.min).compareTo(quantity(self.max)) <= 0",message="analysis.metrics: min must not be greater than max, or no value could be within"
type ThresholdRange struct {
	// min is the least that the value may be. Default: no bound.
	// +optional
	Min Bound `json:"min,omitempty"`

	// max is the most that the value may be. Default: no bound.
	// +optional
	Max Bound `json:"max,omitempty"`
}

// Bound is a quantity such as "0.99", "250m" or "10k", not below 0. It is a string, in quotes: a number with a fraction is no value that every client
// keeps as it is.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=24
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,12}([.][0-9]{1,9})?|[.][0-9]{1,9})[numkMG]?$')",message="analysis.metrics: a bound must be a quantity such as \"0.99\", \"250m\" or \"10k\", not below 0"
type Bound string

// NoDataPolicy says what becomes of a measurement without data.
// +kubebuilder:validation:Enum=Inconclusive;Fail;Pass
type NoDataPolicy string

const (
	// NoDataInconclusive does not count it, and waits for data.
	NoDataInconclusive NoDataPolicy = "Inconclusive"
	// NoDataFail counts it as outside of the bounds.
	NoDataFail NoDataPolicy = "Fail"
	// NoDataPass counts it as within the bounds.
	NoDataPass NoDataPolicy = "Pass"
)

// WarmUp are requests to the http port of the preview's pods, which take turns. They are GET requests, count in the metrics of the pods as any
// others do, and are sent until the analysis ends. A redirect is an answer like another, and not followed.
type WarmUp struct {
	// requests are what is asked for, in turns.
	// +required
	// +listType=map
	// +listMapKey=path
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Requests []WarmUpRequest `json:"requests,omitempty"`

	// requestsPerSecond is how many are sent in a second, to all pods together. Default: 10.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	RequestsPerSecond *int32 `json:"requestsPerSecond,omitempty"`

	// maxRequests is how many are sent in all, at most. Where all are sent before the analysis has ended, and nobody else sends any, it has no data
	// from then on. Default: 100000, which last for almost three hours at 10 per second.
	// +optional
	// +kubebuilder:default=100000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaxRequests *int32 `json:"maxRequests,omitempty"`

	// failureLimit is how many of them may be answered otherwise than expected: one more fails the analysis. Default: 0.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	FailureLimit *int32 `json:"failureLimit,omitempty"`
}

// WarmUpRequest is a request and the answer that it should get.
type WarmUpRequest struct {
	// path is the path, with a query if there is one, such as "/users?limit=1".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^/[!-~]*$') && !self.startsWith('//') && !self.contains('#')",message="analysis.warmUp.requests.path: must begin with one '/' and be printable ASCII without white space and '#'"
	Path string `json:"path,omitempty"`

	// expectedStatus is the status of the answer. Default: 200.
	// +optional
	// +kubebuilder:default=200
	// +kubebuilder:validation:Minimum=200
	// +kubebuilder:validation:Maximum=599
	ExpectedStatus *int32 `json:"expectedStatus,omitempty"`
}

// AnalysisOutcome is what an analysis, or a metric of it, has come to.
// +kubebuilder:validation:Enum=Running;Successful;Failed;Inconclusive
type AnalysisOutcome string

const (
	// AnalysisRunning goes on.
	AnalysisRunning AnalysisOutcome = "Running"
	// AnalysisSuccessful has ended, and nothing speaks against the version.
	AnalysisSuccessful AnalysisOutcome = "Successful"
	// AnalysisFailed has ended: the version must not serve.
	AnalysisFailed AnalysisOutcome = "Failed"
	// AnalysisInconclusive has been given up: there was no data, or nobody could be reached any more.
	AnalysisInconclusive AnalysisOutcome = "Inconclusive"
)

// AnalysisStatus is how far an analysis has come. It holds all that a new operator needs to go on with it.
type AnalysisStatus struct {
	// outcome is what it has come to.
	// +required
	Outcome AnalysisOutcome `json:"outcome,omitempty"`

	// message says in one sentence why.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// startedAt is when it began. initialDelaySeconds count from here.
	// +optional
	StartedAt *metav1.MicroTime `json:"startedAt,omitempty"`

	// measuredAt is when the latest measurement was made that counts.
	// +optional
	MeasuredAt *metav1.MicroTime `json:"measuredAt,omitempty"`

	// metrics are the results.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Metrics []AnalysisMetricStatus `json:"metrics,omitempty"`

	// warmUp is what became of the requests of the operator.
	// +optional
	WarmUp *WarmUpStatus `json:"warmUp,omitempty"`
}

// AnalysisMetricStatus is the result of one metric so far.
type AnalysisMetricStatus struct {
	// name is that of the metric in spec.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// outcome is what it has come to.
	// +required
	Outcome AnalysisOutcome `json:"outcome,omitempty"`

	// value is the latest value, rounded.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Value string `json:"value,omitempty"`

	// activeValue is that of the version that serves, where both are compared.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	ActiveValue string `json:"activeValue,omitempty"`

	// measure is what the value is of: the type of the metric, followed by its metric and its quantile where it has them.
	// +optional
	// +kubebuilder:validation:MaxLength=320
	Measure string `json:"measure,omitempty"`

	// threshold is what the value has to be.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Threshold string `json:"threshold,omitempty"`

	// measurements is how many measurements have counted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Measurements int32 `json:"measurements"`

	// failed is how many of them were outside of the bounds.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failed int32 `json:"failed"`

	// message says why there is no data, or what was outside of the bounds.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// WarmUpStatus is what became of the requests of the operator.
type WarmUpStatus struct {
	// sent is how many were sent, as of the latest measurement.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Sent int32 `json:"sent"`

	// failed is how many of them were answered otherwise than expected.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failed int32 `json:"failed"`

	// message is the first of these answers.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}
