package podmetrics

import "fmt"

// Reason says in one word why there is no value. Those of a scrape are also a label of the scraper's own metrics.
type Reason string

// Why a scrape failed. All metrics of the pod lack a sample of it.
const (
	// ReasonTimeout says that the answer was not there, or not whole, in time.
	ReasonTimeout Reason = "Timeout"
	// ReasonUnreachable says that there was no connection, or that it broke.
	ReasonUnreachable Reason = "Unreachable"
	// ReasonStatus says that the answer had another status than 200.
	ReasonStatus Reason = "Status"
	// ReasonRedirect says that the answer was a redirect, which is not followed.
	ReasonRedirect Reason = "Redirect"
	// ReasonContentType says that the answer was something else than metrics as text.
	ReasonContentType Reason = "ContentType"
	// ReasonTooLarge says that the answer was larger than Options.MaxBytes.
	ReasonTooLarge Reason = "TooLarge"
	// ReasonMalformed says that the answer could not be understood, or was cut off.
	ReasonMalformed Reason = "Malformed"
)

// Why one metric has no sample, although the pod was scraped.
const (
	// ReasonNoMetric says that the pod exposes nothing by that name.
	ReasonNoMetric Reason = "NoMetric"
	// ReasonNoSeries says that no series of the metric has the labels that the selector asks for.
	ReasonNoSeries Reason = "NoSeries"
	// ReasonTooManySeries says that more series match than Options.MaxSeries, or than there is room for within Options.MaxTotal.
	ReasonTooManySeries Reason = "TooManySeries"
	// ReasonWrongType says that the metric is of a type that the query can't be answered from.
	ReasonWrongType Reason = "WrongType"
	// ReasonBadValue says that a series was NaN, infinite or close to that, there twice, or a negative counter.
	ReasonBadValue Reason = "BadValue"
)

// Why there is no value, although there may be samples.
const (
	// ReasonNotScraped says that the pod is no target, or that the query was not among those that its target was set with.
	ReasonNotScraped Reason = "NotScraped"
	// ReasonTooFewSamples says that the pod has not been scraped often enough yet: a rate takes two samples.
	ReasonTooFewSamples Reason = "TooFewSamples"
	// ReasonStale says that the newest sample is too old, and that no scrape has failed since.
	ReasonStale Reason = "Stale"
	// ReasonNoRequests says that nothing was counted in the window that a ratio or a quantile could be taken of.
	ReasonNoRequests Reason = "NoRequests"
)

// Error says why there is no value of a pod.
type Error struct {
	// Reason is the cause in one word.
	Reason Reason
	// Pod is the pod that has no value; only its UID is set where no such target is known. It is empty where several pods together have none.
	Pod Pod
	// Message says what is wrong with the pod, and where there is one, the way out.
	Message string
}

// Error names the pod, if it is about one, and says what is wrong.
func (e *Error) Error() string {
	if e.Pod == (Pod{}) {
		return e.Message
	}
	return fmt.Sprintf("pod %s: %s", e.Pod, e.Message)
}

// failure returns an Error that has yet to learn which pod it is about.
func failure(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// of returns a copy that is about a pod.
func (e *Error) of(pod Pod) *Error { return &Error{Reason: e.Reason, Pod: pod, Message: e.Message} }
