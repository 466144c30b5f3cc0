package api_test

// analysed returns a spec whose preview is analysed by one metric.
func analysed(metric string) string {
	return `{image: app, strategy: {blueGreen: {analysis: {metrics: [` + metric + `]}}}}`
}

const (
	analysisPath = "spec.strategy.blueGreen.analysis"
	metricPath   = analysisPath + ".metrics[0]"
)

// analysisRefusals are those of what a new version is measured by.
var analysisRefusals = map[string]refusal{
	"an analysis that can't fail": {
		`{image: app, strategy: {blueGreen: {analysis: {count: 3, failureLimit: 3, metrics: [{name: a, type: SuccessRate, thresholdRange: {min: "1"}}]}}}}`,
		analysisPath, "analysis.failureLimit: must be less than count",
	},
	"a named metric without a name": {
		analysed(`{name: a, type: Metric, thresholdRange: {max: "1"}}`),
		metricPath, "analysis.metrics: type Metric needs metric, the name of a metric that the pods expose, and no other type has it",
	},
	"a success rate of a metric": {
		analysed(`{name: a, type: SuccessRate, metric: requests_total, thresholdRange: {max: "1"}}`),
		metricPath, "analysis.metrics: type Metric needs metric",
	},
	"a quantile of a rate": {
		analysed(`{name: a, type: RequestRate, quantile: "0.5", thresholdRange: {max: "1"}}`),
		metricPath, "analysis.metrics: only types Latency and Metric have a quantile: remove it",
	},
	"a metric without bounds": {
		analysed(`{name: a, type: SuccessRate}`), metricPath, "analysis.metrics: needs a thresholdRange, a ratioToActive, or both",
	},
	"a success rate in percent": {
		analysed(`{name: a, type: SuccessRate, thresholdRange: {min: "99"}}`),
		metricPath, `analysis.metrics: a SuccessRate is a share from 0 to 1: write 99 % as "0.99"`,
	},
	"a success rate up to a hundred percent": {
		analysed(`{name: a, type: SuccessRate, thresholdRange: {max: "100"}}`),
		metricPath, "analysis.metrics: a SuccessRate is a share from 0 to 1",
	},
	"a name with white space": {
		analysed(`{name: "a b", type: SuccessRate, thresholdRange: {min: "1"}}`),
		metricPath + ".name", "analysis.metrics.name: must be letters, digits, '-' and '_', and begin and end with a letter or digit",
	},
	"a quantile in percent": {
		analysed(`{name: a, type: Latency, quantile: "99", thresholdRange: {max: "1"}}`),
		metricPath + ".quantile", `analysis.metrics.quantile: must be a share between 0 and 1, such as "0.99"`,
	},
	"a quantile of nothing": {
		analysed(`{name: a, type: Latency, quantile: "0.0", thresholdRange: {max: "1"}}`),
		metricPath + ".quantile", "analysis.metrics.quantile: must be a share between 0 and 1",
	},
	"a query for a metric": {
		analysed(`{name: a, type: Metric, metric: "up{job='x'}", thresholdRange: {max: "1"}}`),
		metricPath + ".metric", "analysis.metrics.metric: must be the name of a metric: letters, digits, '_' and ':', not beginning with a digit",
	},
	"the buckets of a histogram": {
		analysed(`{name: a, type: Metric, metric: job_seconds_bucket, thresholdRange: {max: "1"}}`),
		metricPath + ".metric", "analysis.metrics.metric: must not be the buckets of a histogram: leave out _bucket, and set quantile",
	},
	"bounds that bound nothing": {
		analysed(`{name: a, type: SuccessRate, thresholdRange: {}}`),
		metricPath + ".thresholdRange", "analysis.metrics: thresholdRange and ratioToActive need a min, a max, or both",
	},
	"bounds that let nothing through": {
		analysed(`{name: a, type: Latency, ratioToActive: {min: "2", max: 1500m}}`),
		metricPath + ".ratioToActive", "analysis.metrics: min must not be greater than max, or no value could be within",
	},
	"a bound in percent": {
		analysed(`{name: a, type: SuccessRate, thresholdRange: {min: 99%}}`),
		metricPath + ".thresholdRange.min", `analysis.metrics: a bound must be a quantity such as "0.99", "250m" or "10k", not below 0`,
	},
	"a bound below zero": {
		analysed(`{name: a, type: Latency, thresholdRange: {max: "-1"}}`),
		metricPath + ".thresholdRange.max", "analysis.metrics: a bound must be a quantity",
	},
	"a bound without end": {
		analysed(`{name: a, type: Latency, thresholdRange: {max: "1e999999"}}`),
		metricPath + ".thresholdRange.max", "analysis.metrics: a bound must be a quantity",
	},
	"a comparison with what nobody uses": {
		`{image: app, strategy: {blueGreen: {postPromotionAnalysis: {metrics: [{name: a, type: Latency, ratioToActive: {max: "2"}}]}}}}`,
		"spec.strategy.blueGreen", "strategy.blueGreen.postPromotionAnalysis: has no ratioToActive, because nobody uses the other version any more",
	},
	"a warm-up of another host": {
		`{image: app, strategy: {blueGreen: {analysis: {metrics: [{name: a, type: SuccessRate, thresholdRange: {min: "1"}}], warmUp: {requests: [{path: //example.com/}]}}}}}`,
		analysisPath + ".warmUp.requests[0].path", "analysis.warmUp.requests.path: must begin with one '/' and be printable ASCII without white space and '#'",
	},
	"a warm-up without a path": {
		`{image: app, strategy: {blueGreen: {analysis: {metrics: [{name: a, type: SuccessRate, thresholdRange: {min: "1"}}], warmUp: {requests: [{path: "users"}]}}}}}`,
		analysisPath + ".warmUp.requests[0].path", "analysis.warmUp.requests.path: must begin with one '/'",
	},
}
