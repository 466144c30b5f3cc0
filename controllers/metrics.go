package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// The operator's own metrics, beside controller-runtime's. No label has the name of an object, so that their number does not grow with
// the number of GinServices.
var (
	writes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gin_operator_writes_total",
		Help: "Children that a pass looked at, by kind and by what became of them: created, changed, unchanged (no request was made), conflict, error.",
	}, []string{"kind", "result"})

	transitions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gin_operator_rollout_transitions_total",
		Help: "Transitions of rollouts, by the reason of their event.",
	}, []string{"reason"})

	rolloutSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:                        "gin_operator_rollout_duration_seconds",
		Help:                        "Time from the start of a rollout to its end, or to the moment that its revision serves, by result: promoted, failed, aborted, cancelled.",
		Buckets:                     prometheus.ExponentialBuckets(0.25, 2, 14),
		NativeHistogramBucketFactor: 1.1,
	}, []string{"result"})

	switchSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:                        "gin_operator_switch_duration_seconds",
		Help:                        "Time from the write that moves traffic to EndpointSlices that show the new colour alone.",
		Buckets:                     prometheus.ExponentialBuckets(0.01, 2, 12),
		NativeHistogramBucketFactor: 1.1,
	})
)

// transitionReasons are the reasons that transitions has.
var transitionReasons = []string{
	"RolloutStarted", rollout.PreviewReady, rollout.PreviewNotReady, "WaitingForPromotion", "ScalingUp", "OverlapStarted", "OverlapStopped", "Switching",
	"Promoted", "StrategyChanged", "RolloutCompleted", "RolloutFailed", "RolloutAborted", "RolledBack", "RolloutCancelled", "AnalysisSuccessful", "AnalysisInconclusive",
	trafficReturned,
}

// rolloutResults are what the durations of rollouts are told apart by, by the reason of the transition that ends one.
var rolloutResults = map[string]string{"Promoted": "promoted", "RolloutFailed": "failed", "RolloutAborted": "aborted", "RolloutCancelled": "cancelled"}

func init() {
	metrics.Registry.MustRegister(writes, transitions, rolloutSeconds, switchSeconds)
	// Prometheus sees no increase where a counter begins with a 1: without a 0 before, the first failure would go unnoticed.
	for _, reason := range transitionReasons {
		transitions.WithLabelValues(reason)
	}
	for _, result := range rolloutResults {
		rolloutSeconds.WithLabelValues(result)
	}
}
