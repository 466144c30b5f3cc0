package analysis

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/podmetrics"
)

// ServeHTTP answers as a pod that exposes how it has answered requests.
func (e *exposed) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.status != 0 {
		w.WriteHeader(e.status)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintln(w, "# TYPE http_server_active_requests gauge\nhttp_server_active_requests 0")
	fmt.Fprintln(w, "# TYPE http_server_request_duration_seconds histogram")
	for status, n := range map[string]int{"200": e.succeeded, "500": e.failed} {
		for _, bound := range []string{"0.1", "+Inf"} {
			fmt.Fprintf(w, "http_server_request_duration_seconds_bucket{http_response_status_code=%q,le=%q} %d\n", status, bound, n)
		}
		fmt.Fprintf(w, "http_server_request_duration_seconds_sum{http_response_status_code=%q} %d\n", status, n)
		fmt.Fprintf(w, "http_server_request_duration_seconds_count{http_response_status_code=%q} %d\n", status, n)
	}
}

// has sets how many requests the pod has answered so far, by its own count.
func (e *exposed) has(succeeded, failed int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.succeeded, e.failed = succeeded, failed
}

func (e *exposed) fail(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = status
}

// TestPodsAreMeasuredTogether follows two pods through what happens to pods.
func TestPodsAreMeasuredTogether(t *testing.T) {
	t.Parallel()
	scraper, err := podmetrics.New(podmetrics.Options{Interval: 300 * time.Millisecond, AllowLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scraper.Close)
	source, key := NewPods(scraper), types.NamespacedName{Namespace: "shop", Name: "hello"}
	one, other := serve(t, "one"), serve(t, "other")
	subject := Subject{Namespace: "shop", Service: "hello", Color: v1alpha1.Green}
	rate := success(v1alpha1.ThresholdRange{Min: "0.99"})
	latency := v1alpha1.AnalysisMetric{Name: "latency", Type: v1alpha1.AnalysisLatency}
	traffic := v1alpha1.AnalysisMetric{Name: "traffic", Type: v1alpha1.AnalysisRequestRate}
	missing := v1alpha1.AnalysisMetric{Name: "missing", Type: v1alpha1.AnalysisMetricNamed, Metric: "no_such_metric"}
	measure := func(metric v1alpha1.AnalysisMetric) Sample {
		return source.Measure(t.Context(), subject, &metric, time.Minute)
	}
	watch := func(pods ...Pod) {
		subject.Pods = pods
		if err := source.Watch(key, pods, &v1alpha1.AnalysisRun{Metrics: []v1alpha1.AnalysisMetric{rate, latency, traffic, missing}}); err != nil {
			t.Fatal(err)
		}
	}
	measured := func(metric v1alpha1.AnalysisMetric) bool {
		got := measure(metric)
		return !got.Pending && got.Problem == ""
	}

	one.has(1000, 1000) // long ago
	other.has(0, 0)
	watch(one.Pod, other.Pod)
	if got := measure(rate); !got.Pending {
		t.Errorf("before the first scrape: %+v", got)
	}
	eventually(t, "two scrapes of both", func() bool {
		s := measure(rate)
		return !s.Pending && s.Problem == "nothing was counted that it could be taken of"
	})

	one.has(1095, 1005)
	other.has(95, 5)
	eventually(t, "200 requests", func() bool { return measure(rate).Count == 200 })
	if got := measure(traffic); got.Count != 200 || got.Value <= 0 {
		t.Errorf("the traffic is %+v", got)
	}
	if got := measure(rate).Value; got < 0.9499 || got > 0.9501 {
		t.Errorf("the success rate is %v", got)
	}
	if got := measure(latency); got.Count != 200 || got.Value <= 0 || got.Value > 0.1 {
		t.Errorf("the latency is %+v", got)
	}
	if got := measure(missing).Problem; !strings.Contains(got, "it exposes no metric named no_such_metric") {
		t.Errorf("a metric that doesn't exist: %q", got)
	}

	// A container that starts anew counts from zero.
	other.has(10, 0)
	eventually(t, "10 requests more", func() bool { return measure(rate).Count == 210 })

	// One of two is not enough to go by.
	other.fail(http.StatusInternalServerError)
	eventually(t, "problem of the pod that fails", func() bool { return strings.Contains(measure(rate).Problem, "pod shop/other: it answers /metrics") })
	third := serve(t, "third")
	watch(one.Pod, other.Pod, third.Pod)
	// One of three may be silent where it is about a share, and not where all are added up.
	eventually(t, "a ratio of the other two", func() bool { return measured(rate) })
	if got := measure(traffic); !strings.Contains(got.Problem, "pod shop/other: it answers /metrics") {
		t.Errorf("the traffic of two of three is that of all: %+v", got)
	}

	// It is replaced, and its successor does not count before it has been scraped twice.
	successor := serve(t, "successor")
	successor.fail(http.StatusServiceUnavailable)
	watch(one.Pod, successor.Pod)
	// The traffic of one is not what both have.
	if measured(traffic) {
		t.Error("the traffic of one of two is that of both")
	}
	successor.fail(0)
	eventually(t, "what the two have without the pod that is gone", func() bool { return measured(rate) && measure(rate).Count == 100 })
	eventually(t, "traffic of both", func() bool { return measured(traffic) })
	source.Forget(key)
	if got := measure(rate); !got.Pending {
		t.Errorf("after it is forgotten: %+v", got)
	}
}

// An operator lives through more rollouts than fit into its memory.
func TestNothingIsKeptOfWhatIsForgotten(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	scraper, err := podmetrics.New(podmetrics.Options{Registerer: registry, Dial: new(dials).dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scraper.Close)
	source := NewPods(scraper)
	metrics := []v1alpha1.AnalysisMetric{success(v1alpha1.ThresholdRange{Min: "0.99"})}
	for service := range 100 {
		key := types.NamespacedName{Namespace: "shop", Name: fmt.Sprintf("hello-%d", service)}
		for rollout := range 3 {
			pod := Pod{Pod: podmetrics.Pod{UID: types.UID(fmt.Sprintf("%d-%d", service, rollout))}, Metrics: netip.MustParseAddrPort("10.0.0.1:9090")}
			if err := source.Watch(key, []Pod{pod}, &v1alpha1.AnalysisRun{Metrics: metrics}); err != nil {
				t.Fatal(err)
			}
		}
		if service > 0 {
			source.Forget(key)
		}
	}
	if len(source.watched) != 1 {
		t.Errorf("%d services are remembered, want the one that is still measured", len(source.watched))
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "gin_operator_pod_scrape_targets" && family.GetMetric()[0].GetGauge().GetValue() != 1 {
			t.Errorf("%v pods are scraped, want that of the last rollout of the first service", family.GetMetric()[0].GetGauge().GetValue())
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() != "reason" {
					t.Errorf("%s has the label %s: there must be none whose values come and go with pods", family.GetName(), label.GetName())
				}
			}
		}
	}
}

func TestNoPodIsNoData(t *testing.T) {
	t.Parallel()
	scraper, err := podmetrics.New(podmetrics.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scraper.Close)
	rate := success(v1alpha1.ThresholdRange{Min: "0.99"})
	if got := NewPods(scraper).Measure(t.Context(), Subject{}, &rate, time.Minute); got.Problem != "no pod is ready" {
		t.Errorf("%+v", got)
	}
}

// Each metric of the API has to be one that the scraper knows.
func TestEveryMetricHasAQuery(t *testing.T) {
	t.Parallel()
	for _, metric := range []v1alpha1.AnalysisMetric{
		{Type: v1alpha1.AnalysisSuccessRate},
		{Type: v1alpha1.AnalysisRequestRate},
		{Type: v1alpha1.AnalysisLatency},
		{Type: v1alpha1.AnalysisLatency, Quantile: ".5"},
		{Type: v1alpha1.AnalysisLatency, Quantile: "0.999"},
		{Type: v1alpha1.AnalysisMetricNamed, Metric: "jobs_total"},
		{Type: v1alpha1.AnalysisMetricNamed, Metric: "job_seconds", Quantile: "0.9"},
	} {
		if err := queryOf(&metric).Validate(); err != nil {
			t.Errorf("%+v: %v", metric, err)
		}
	}
}
