package analysis

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/servers"
)

// scraped is a pod that a real Prometheus scrapes. It counts by the names of ginkit, in a registry of its own.
type scraped struct {
	requests *prometheus.HistogramVec
	jobs     prometheus.Counter
	queue    prometheus.Gauge
	broken   atomic.Bool // it answers with an error
	server   *httptest.Server
}

func scrape(t *testing.T, buckets []float64) *scraped {
	t.Helper()
	s := &scraped{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: requestDuration, Help: "Requests.", Buckets: buckets, NativeHistogramBucketFactor: 1.1,
		}, []string{"http_response_status_code"}),
		jobs:  prometheus.NewCounter(prometheus.CounterOpts{Name: "jobs_total", Help: "Jobs."}),
		queue: prometheus.NewGauge(prometheus.GaugeOpts{Name: "queue_length", Help: "Queue."}),
	}
	// There from the first scrape, so that nothing of what follows is where a series begins.
	s.requests.WithLabelValues("200")
	s.requests.WithLabelValues("500")
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.requests, s.jobs, s.queue)
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.broken.Load() {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		metrics.ServeHTTP(w, r)
	}))
	t.Cleanup(s.server.Close)
	return s
}

// answer counts requests that took a time.
func (s *scraped) answer(status string, n int, took float64) {
	for range n {
		s.requests.WithLabelValues(status).Observe(took)
	}
}

// TestQueriesOfARealPrometheus asks one that scrapes two colours of two services.
func TestQueriesOfARealPrometheus(t *testing.T) {
	t.Parallel()
	hello, active, other := scrape(t, []float64{0.1, 0.2, 0.4}), scrape(t, []float64{0.1, 0.2, 0.4}), scrape(t, []float64{0.1, 0.2, 0.4})
	var jobs strings.Builder
	for _, target := range []struct {
		pod            *scraped
		service, color string
	}{{hello, "hello", "green"}, {active, "hello", "blue"}, {other, "hello-green", "green"}} {
		fmt.Fprintf(&jobs, "  - {targets: [%q], labels: {namespace: shop, service: %s, color: %s}}\n",
			target.pod.server.Listener.Addr(), target.service, target.color)
	}
	server := servers.StartPrometheus(t, "scrape_configs:\n- job_name: pods\n  scrape_interval: 1s\n  static_configs:\n"+jobs.String())
	source, err := NewPrometheus(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	measure := func(metric v1alpha1.AnalysisMetric) Sample {
		if metric.Type == "" {
			metric.Type = v1alpha1.AnalysisMetricNamed
		}
		return source.Measure(t.Context(), green, &metric, time.Minute)
	}
	rate := success(v1alpha1.ThresholdRange{Min: "0.99"})
	hello.queue.Set(7)
	active.queue.Set(70)
	eventually(t, "scrape", func() bool { return measure(v1alpha1.AnalysisMetric{Metric: "queue_length"}).Value == 7 })
	more := green
	more.Pods = make([]Pod, 3)
	for _, metric := range []v1alpha1.AnalysisMetric{{Type: v1alpha1.AnalysisMetricNamed, Metric: "queue_length"}, rate} {
		eventually(t, "one of three pods", func() bool {
			got := source.Measure(t.Context(), more, &metric, time.Minute)
			return got.Pending && strings.HasPrefix(got.Problem, "Prometheus reads the metrics of 1 of 3 pods")
		})
	}
	if got := measure(v1alpha1.AnalysisMetric{Metric: "no_such_metric"}).Problem; !strings.Contains(got, "there is nothing of it in Prometheus") {
		t.Errorf("a metric that doesn't exist: %q", got)
	}
	eventually(t, "count of no requests", func() bool { return measure(rate).Problem == "nothing was counted that it could be taken of" })

	hello.answer("200", 95, 0.15)
	hello.answer("500", 5, 0.15)
	hello.jobs.Add(60)
	active.answer("500", 1000, 1)
	other.answer("500", 1000, 1)
	near := func(value, want, part float64) bool { return math.Abs(value-want) <= part*want }
	eventually(t, "success rate", func() bool { return near(measure(rate).Value, 0.95, 1e-6) })
	// Prometheus extends a rate to the edges of its window, which the series does not fill.
	if got := measure(rate).Count; got < 50 || got > 400 {
		t.Errorf("%v requests", got)
	}
	latency := v1alpha1.AnalysisMetric{Type: v1alpha1.AnalysisLatency, Quantile: "0.5"}
	eventually(t, "latency", func() bool { return near(measure(latency).Value, 0.15, 0.01) })
	if got := measure(v1alpha1.AnalysisMetric{Type: v1alpha1.AnalysisRequestRate}); got.Value <= 0 || got.Problem != "" {
		t.Errorf("the rate of requests: %+v", got)
	}
	eventually(t, "rate of jobs", func() bool { return measure(v1alpha1.AnalysisMetric{Metric: "jobs_total"}).Value > 0 })

	// What was read before is still in the window.
	hello.broken.Store(true)
	eventually(t, "none of the pods", func() bool { return strings.HasPrefix(measure(rate).Problem, "Prometheus reads the metrics of none") })
}
