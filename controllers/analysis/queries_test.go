package analysis

import (
	"fmt"
	"math"
	"net/http/httptest"
	"strings"
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
	s.server = httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
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
	// One of the pods is scraped, and the others are not.
	for pods, want := range map[int]string{1: "", 2: "Prometheus scrapes 1 of 2 pods"} {
		some := green
		some.Pods = make([]Pod, pods)
		for _, metric := range []v1alpha1.AnalysisMetric{{Type: v1alpha1.AnalysisMetricNamed, Metric: "queue_length"}, rate} {
			got := source.Measure(t.Context(), some, &metric, time.Minute).Problem
			if said := strings.Contains(got, "Prometheus scrapes"); said != (want != "") || !strings.Contains(got, want) {
				t.Errorf("%d pods, %s: %q", pods, metric.Type, got)
			}
		}
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
}
