package analysis

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/podmetrics"
)

// answers is a pod that answers with a text, which it calls metrics.
func answers(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(w, text)
	}
}

// rises is a pod with so many series of a counter, each of which rises by one with each scrape.
func rises(series int) http.HandlerFunc {
	scrapes := 0
	return func(w http.ResponseWriter, _ *http.Request) {
		scrapes++
		for i := range series {
			fmt.Fprintf(w, "jobs_total{user=\"%d\"} %d\n", i, scrapes)
		}
	}
}

// TestPodsInTrouble asks pods that don't answer as they should, and looks at what their users are told of it.
func TestPodsInTrouble(t *testing.T) {
	t.Parallel()
	const silent = "never answers"
	rate := success(v1alpha1.ThresholdRange{Min: "0.99"})
	jobs := v1alpha1.AnalysisMetric{Name: "jobs", Type: v1alpha1.AnalysisMetricNamed, Metric: "jobs_total", ThresholdRange: &v1alpha1.ThresholdRange{Min: "1"}}
	for name, tc := range map[string]struct {
		metric v1alpha1.AnalysisMetric
		answer http.HandlerFunc
		want   string // of the message, or "" where it can be measured
	}{
		silent: {rate, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "doesn't answer /metrics on 127.0.0.1:PORT within 200ms"},
		"sends 100 MB": {rate, func(w http.ResponseWriter, r *http.Request) {
			line := []byte("x{y=\"" + strings.Repeat("z", 32<<10) + "\"} 1\n")
			for sent := 0; sent < 100<<20 && r.Context().Err() == nil; sent += len(line) {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}, "its answer is larger than 4194304 bytes, and was not read: expose fewer series"},
		"sends garbage": {rate, answers("\x00\x01\x02\xff\n"), "its metrics can't be read: line 1 does not begin with the name of a metric"},
		"sends a page":  {rate, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!DOCTYPE html>") }, `with "text/html; charset=utf-8", which is not metrics as text`},
		"sends elsewhere": {rate, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://10.6.6.6/metrics", http.StatusFound)
		}, "with a redirect (302), which is not followed"},
		"has no such metric":       {jobs, answers("job_total 7\n"), "it exposes no metric named jobs_total; it has: job_total"},
		"says NaN":                 {jobs, answers("jobs_total NaN\n"), "jobs_total is NaN"},
		"counts below zero":        {jobs, answers("# TYPE jobs_total counter\njobs_total -1\n"), "jobs_total is a counter and yet negative"},
		"has a thousand series":    {jobs, rises(1000), ""},
		"has far too many of them": {jobs, rises(6000), "jobs_total has more than 5000 series"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A busy machine takes its time for thousands of series; only where nothing comes is there nothing to wait for.
			options := podmetrics.Options{Interval: 2 * time.Second, AllowLoopback: true}
			if name == silent {
				options.Interval, options.Timeout = 300*time.Millisecond, 200*time.Millisecond
			}
			scraper, err := podmetrics.New(options)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(scraper.Close)
			server := httptest.NewServer(tc.answer)
			t.Cleanup(server.Close)
			t.Cleanup(server.CloseClientConnections) // comes first: Close waits for what hangs
			address := netip.MustParseAddrPort(server.Listener.Addr().String())
			pod := Pod{Pod: podmetrics.Pod{Namespace: "shop", Name: "hello-1", UID: "uid"}, HTTP: address, Metrics: address}
			run, source := only(tc.metric), NewPods(scraper)
			if err := source.Watch(types.NamespacedName{Namespace: "shop", Name: "hello"}, []Pod{pod}, run); err != nil {
				t.Fatal(err)
			}
			var status *v1alpha1.AnalysisStatus
			eventually(t, "measurement", func() bool {
				reading := Reading{Value: source.Measure(t.Context(), Subject{Pods: []Pod{pod}}, &tc.metric, time.Minute)}
				status = advance(run, begin(run, epoch), map[string]Reading{tc.metric.Name: reading}, epoch)
				return !reading.Value.Pending
			})
			want := strings.ReplaceAll(tc.want, "PORT", fmt.Sprint(address.Port()))
			prefix := tc.metric.Name + " waits for data, because pod shop/hello-1: "
			switch result := status.Metrics[0]; {
			case tc.want == "" && (result.Measurements != 1 || result.Failed != 0):
				t.Errorf("%+v", status)
			case tc.want != "" && (result.Measurements != 0 || !strings.Contains(status.Message, prefix) || !strings.Contains(status.Message, want)):
				t.Errorf("%q, want %q in it", status.Message, want)
			}
		})
	}
}
