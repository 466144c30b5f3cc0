package podmetrics

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/labels"
)

// Names that a query may have besides those of metrics. They stand for what ginkit measures, or any other service by the same
// OpenTelemetry names, and come before a metric that has such a name itself.
const (
	// RequestsPerSecond is the rate of finished requests.
	RequestsPerSecond = "http_requests_per_second"
	// RequestsInFlight is the number of requests that are being answered.
	RequestsInFlight = "http_requests_in_flight"
	// RequestDurationP50, P90, P95 and P99 are the time, in seconds, that this share of the requests did not exceed.
	RequestDurationP50 = "http_request_duration_p50"
	RequestDurationP90 = "http_request_duration_p90"
	RequestDurationP95 = "http_request_duration_p95"
	RequestDurationP99 = "http_request_duration_p99"
	// RequestSuccessRatio is the share, from 0 to 1, of finished requests that were not answered with a status of 500 or more.
	RequestSuccessRatio = "http_request_success_ratio"
)

// What ginkit exposes, and the labels that matter.
const (
	durationName = "http_server_request_duration_seconds"
	activeName   = "http_server_active_requests"
	statusLabel  = "http_response_status_code"
	boundLabel   = "le"
	// startName is what every client library of Prometheus exposes on Linux: the time that the process has started.
	startName = "process_start_time_seconds"
)

// Query says what is wanted of a pod.
type Query struct {
	// Name is one of the names above, or that of a metric as it stands in the lines of the answer, such as jobs_done_total or queue_length. A
	// counter, or the _count or _sum of a histogram or summary, gives its rate per second; a gauge its newest value; each summed over the
	// series that the selector leaves. A metric without a type counts as a counter where its name ends in _total, _count or _sum, else
	// as a gauge.
	Name string
	// Quantile, between 0 and 1, makes the query that quantile of the histogram called Name, without a suffix, in its unit. Default: 0, no
	// quantile.
	Quantile float64
	// Selector leaves the series whose labels match. Default: nil, all of them.
	Selector labels.Selector
}

// String returns the name, with the quantile and the selector if there are any.
func (q Query) String() string {
	name := q.Name
	if q.Quantile != 0 {
		name = fmt.Sprintf("quantile %g of %s", q.Quantile, name)
	}
	if q.Selector == nil || q.Selector.Empty() {
		return name
	}
	return name + "{" + q.Selector.String() + "}"
}

// Adds reports whether the values of pods add up: those of rates and gauges do, and ratios and quantiles don't.
func (q Query) Adds() bool {
	p, err := q.plan()
	return err == nil && p.shape == asMetric
}

// Validate returns what is wrong with the query, whichever pod is asked.
func (q Query) Validate() error {
	_, err := q.plan()
	return err
}

// grouping says by what the series of a source are summed.
type grouping int

const (
	byNothing grouping = iota
	// byBound sums the buckets of histograms by their upper bound.
	byBound
	// byFailure sums requests in two slots: what was answered with a status of 500 or more is in the second.
	byFailure
)

// source is what has to be kept of a pod's answers for a query. Queries that need the same share it.
type source struct {
	// sample is the name at the start of the lines.
	sample   string
	group    grouping
	selector labels.Selector
	// witness is a metric that tells, where it is there, that no series means that nothing was counted so far. ginkit makes the series of
	// requests with the first one, and that of the requests in flight at its start.
	witness string
}

// key tells sources apart. An answer for a hundred pods asks for it some hundred times.
func (s *source) key() string {
	return s.sample + " " + strconv.Itoa(int(s.group)) + " " + s.witness + " " + s.selector.String()
}

// shape says how a value is made of what is kept.
type shape int

const (
	// asMetric is a rate of a counter, and the newest value of a gauge.
	asMetric shape = iota
	asRatio
	asQuantile
)

// plan is how a query is answered.
type plan struct {
	source

	shape    shape
	quantile float64
}

// durationQuantiles are the quantiles that have a name.
var durationQuantiles = map[string]float64{RequestDurationP50: 0.5, RequestDurationP90: 0.9, RequestDurationP95: 0.95, RequestDurationP99: 0.99}

// maxName is how long the name of a metric may be.
const maxName = 255

// plan returns how to answer the query, or what is wrong with it.
func (q Query) plan() (plan, error) {
	selector := q.Selector
	if selector == nil {
		selector = labels.Everything()
	}
	// With a selector no series may as well mean that it is misspelt, and a zero would scale the service down.
	witness := ""
	if selector.Empty() {
		witness = activeName
	}
	requests := source{sample: durationName + "_count", group: byFailure, selector: selector, witness: witness}
	quantile, named := durationQuantiles[q.Name]
	switch {
	case len(q.Name) > maxName, !model.LegacyValidation.IsValidMetricName(q.Name):
		return plan{}, fmt.Errorf("%q is no name of a metric: it has to be of letters, digits, _ and :, at most %d of them, and not begin with a digit", q.Name, maxName)
	case named:
		return plan{shape: asQuantile, quantile: quantile, source: source{sample: durationName + "_bucket", group: byBound, selector: selector, witness: witness}}, nil
	case q.Quantile != 0:
		if !(q.Quantile > 0 && q.Quantile < 1) {
			return plan{}, fmt.Errorf("the quantile %g of %s has to be between 0 and 1", q.Quantile, q.Name)
		}
		if q.Name != durationName {
			witness = "" // it tells of requests alone
		}
		return plan{shape: asQuantile, quantile: q.Quantile, source: source{sample: q.Name + "_bucket", group: byBound, selector: selector, witness: witness}}, nil
	case q.Name == RequestsPerSecond:
		return plan{source: requests}, nil
	case q.Name == RequestSuccessRatio:
		return plan{shape: asRatio, source: requests}, nil
	case q.Name == RequestsInFlight:
		return plan{source: source{sample: activeName, selector: selector}}, nil
	case strings.HasSuffix(q.Name, "_bucket"):
		return plan{}, fmt.Errorf("%s are the buckets of a histogram, of which no sum can be taken: ask for a quantile, or for %s",
			q.Name, strings.TrimSuffix(q.Name, "_bucket")+"_count")
	}
	return plan{source: source{sample: q.Name, selector: selector}}, nil
}
