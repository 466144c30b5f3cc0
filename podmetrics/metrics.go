package podmetrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ownMetrics are the scraper's own. None has a label of a pod, so that their number does not grow with the number of pods.
type ownMetrics struct {
	duration prometheus.Histogram
	failures *prometheus.CounterVec
	targets  prometheus.Gauge
}

func newOwnMetrics() *ownMetrics {
	m := &ownMetrics{
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:                        "gin_operator_pod_scrape_duration_seconds",
			Help:                        "Time that a scrape of a pod takes, whether it succeeds or not.",
			Buckets:                     prometheus.ExponentialBuckets(0.001, 2, 12),
			NativeHistogramBucketFactor: 1.1,
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gin_operator_pod_scrape_failures_total",
			Help: "Scrapes of pods that failed, by reason: Timeout, Unreachable, Status, Redirect, ContentType, TooLarge, Malformed.",
		}, []string{"reason"}),
		targets: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gin_operator_pod_scrape_targets",
			Help: "Pods that are scraped.",
		}),
	}
	// There from the beginning, so that a rate sees the first one.
	for _, reason := range []Reason{
		ReasonTimeout, ReasonUnreachable, ReasonStatus, ReasonRedirect, ReasonContentType, ReasonTooLarge, ReasonMalformed,
	} {
		m.failures.WithLabelValues(string(reason))
	}
	return m
}

func (m *ownMetrics) register(registerer prometheus.Registerer) error {
	for _, collector := range []prometheus.Collector{m.duration, m.failures, m.targets} {
		if err := registerer.Register(collector); err != nil {
			return err
		}
	}
	return nil
}

func (m *ownMetrics) observe(took time.Duration, problem *Error) {
	m.duration.Observe(took.Seconds())
	if problem != nil {
		m.failures.WithLabelValues(string(problem.Reason)).Inc()
	}
}
