package analysis

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// green is what is asked about below.
var green = Subject{Namespace: "shop", Service: "hello", Color: v1alpha1.Green, Pods: make([]Pod, 1)}

// TestQueries shows what Prometheus is asked. Each selector is limited to one colour of one service.
func TestQueries(t *testing.T) {
	t.Parallel()
	const pods = `namespace="shop",service="hello",color="green"`
	for name, tc := range map[string]struct {
		metric         v1alpha1.AnalysisMetric
		value, samples string
	}{
		"the success rate": {
			v1alpha1.AnalysisMetric{Type: v1alpha1.AnalysisSuccessRate},
			`1 - (sum(increase(http_server_request_duration_seconds_count{` + pods + `,http_response_status_code=~"5.."}[15s])) or vector(0)) / sum(increase(http_server_request_duration_seconds_count{` + pods + `}[15s]))`,
			`sum(increase(http_server_request_duration_seconds_count{` + pods + `}[15s]))`,
		},
		"the rate of requests": {
			v1alpha1.AnalysisMetric{Type: v1alpha1.AnalysisRequestRate}, `sum(rate(http_server_request_duration_seconds_count{` + pods + `}[15s]))`, "",
		},
		"the latency, from classic or from native histograms": {
			v1alpha1.AnalysisMetric{Type: v1alpha1.AnalysisLatency},
			`histogram_quantile(0.99, sum by (le) (rate(http_server_request_duration_seconds_bucket{` + pods + `}[15s]))) or histogram_quantile(0.99, sum(rate(http_server_request_duration_seconds{` + pods + `}[15s])))`,
			`sum(increase(http_server_request_duration_seconds_count{` + pods + `}[15s])) or histogram_count(sum(increase(http_server_request_duration_seconds{` + pods + `}[15s])))`,
		},
		"a quantile of another histogram": {
			v1alpha1.AnalysisMetric{Type: v1alpha1.AnalysisMetricNamed, Metric: "job_seconds", Quantile: ".5"},
			`histogram_quantile(0.5, sum by (le) (rate(job_seconds_bucket{` + pods + `}[15s]))) or histogram_quantile(0.5, sum(rate(job_seconds{` + pods + `}[15s])))`,
			`sum(increase(job_seconds_count{` + pods + `}[15s])) or histogram_count(sum(increase(job_seconds{` + pods + `}[15s])))`,
		},
		"a counter": {v1alpha1.AnalysisMetric{Type: v1alpha1.AnalysisMetricNamed, Metric: "jobs_total"}, `sum(rate(jobs_total{` + pods + `}[15s]))`, ""},
		"a gauge":   {v1alpha1.AnalysisMetric{Type: v1alpha1.AnalysisMetricNamed, Metric: "queue_length"}, `sum(queue_length{` + pods + `})`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			value, samples := queriesFor(green, &tc.metric, 14100*time.Millisecond)
			if diff := cmp.Diff([]string{tc.value, tc.samples}, []string{value, samples}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// vector is an answer with one value.
func vector(value string) string {
	return fmt.Sprintf(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1772366400.5,%q]}]}}`, value)
}

func TestPrometheusAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		up           string // the answer to how many pods are scraped; otherwise one is
		count, value string // the others
		status       int
		want         Sample
		says         string // of the problem
	}{
		"all is well":         {count: vector("120.5"), value: vector("0.998"), want: Sample{Value: 0.998, Count: 120.5}},
		"no requests":         {count: vector("0"), value: vector("NaN"), says: "nothing was counted that it could be taken of"},
		"no series":           {count: `{"status":"success","data":{"resultType":"vector","result":[]}}`, says: "does it scrape these pods with the labels namespace, service and color?"},
		"not a number":        {count: vector("12"), value: vector("NaN"), says: "no number to judge by"},
		"without end":         {count: vector("12"), value: vector("+Inf"), says: "no number to judge by"},
		"nonsense":            {count: vector("twelve"), says: "no number to judge by"},
		"another kind":        {count: `{"status":"success","data":{"resultType":"matrix","result":[]}}`, says: "something else than one value"},
		"several":             {count: `{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"1"]},{"value":[1,"2"]}]}}`, says: "something else than one value"},
		"a number for a text": {count: `{"status":"success","data":{"resultType":"vector","result":[{"value":[1,1]}]}}`, says: "is no number"},
		"a histogram":         {count: `{"status":"success","data":{"resultType":"vector","result":[{"histogram":[1,{}]}]}}`, says: "is no number"},
		"an error":            {status: 422, count: `{"status":"error","errorType":"execution","error":"too many samples"}`, says: "refused by Prometheus: look at its log"},
		"a page":              {count: "<html>", says: "none of Prometheus (status 200): is --prometheus-url its address?"},
		"nothing":             {status: 404, says: "none of Prometheus (status 404)"},
		"a redirect":          {status: 302, says: "none of Prometheus (status 302)"},
		"no pod is scraped":   {up: vector("0"), count: vector("12"), value: vector("1"), says: "Prometheus reads the metrics of none of these pods"},
		"it is sent them":     {up: `{"status":"success","data":{"resultType":"vector","result":[]}}`, count: vector("12"), value: vector("1"), want: Sample{Value: 1, Count: 12}},
		"some refusal":        {up: `{"status":"error"}`, count: vector("12"), value: vector("1"), says: "refused by Prometheus"},
		"far too much":        {count: strings.Repeat(" ", maxAnswer+1), says: "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/prefix/api/v1/query" || r.Method != http.MethodPost {
					t.Errorf("%s %s", r.Method, r.URL.Path)
				}
				if tc.status != 0 {
					w.Header().Set("Location", "/elsewhere")
					w.WriteHeader(tc.status)
				}
				answer := tc.count
				switch query := r.PostFormValue("query"); {
				case strings.HasPrefix(query, "1 - "):
					answer = tc.value
				case query == `sum(max by (instance) (up{namespace="shop",service="hello",color="green"}))` && tc.up != "":
					answer = tc.up
				case strings.Contains(query, "(up{") && tc.status == 0:
					answer = vector("1")
				}
				fmt.Fprint(w, answer)
			}))
			t.Cleanup(server.Close)
			source, err := NewPrometheus(server.URL + "/prefix/")
			if err != nil {
				t.Fatal(err)
			}
			metric := success(v1alpha1.ThresholdRange{Min: "0.99"})
			got := source.Measure(t.Context(), green, &metric, time.Minute)
			if tc.says != "" && !strings.Contains(got.Problem, tc.says) {
				t.Errorf("%q, want %q in it", got.Problem, tc.says)
			}
			if got.Problem = ""; got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestAPrometheusThatMissesPods(t *testing.T) {
	t.Parallel()
	ratio, sum := success(v1alpha1.ThresholdRange{Min: "0.99"}), v1alpha1.AnalysisMetric{Type: v1alpha1.AnalysisRequestRate}
	for _, tc := range []struct {
		metric        v1alpha1.AnalysisMetric
		pods, reached int
		enough        bool
	}{
		{sum, 2, 1, false}, {sum, 2, 2, true}, {sum, 1, 2, true}, // the second one ends
		{ratio, 3, 1, false}, {ratio, 4, 2, true}, {ratio, 2, 3, true},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := vector("100")
			if strings.Contains(r.PostFormValue("query"), "up{") {
				answer = vector(strconv.Itoa(tc.reached))
			}
			fmt.Fprint(w, answer)
		}))
		t.Cleanup(server.Close)
		source, err := NewPrometheus(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		subject := green
		subject.Pods = make([]Pod, tc.pods)
		got := source.Measure(t.Context(), subject, &tc.metric, time.Minute)
		if enough := got.Problem == "" && !got.Pending && got.Value == 100; enough != tc.enough {
			t.Errorf("%s, %d of %d pods: %+v", tc.metric.Type, tc.reached, tc.pods, got)
		}
		says := fmt.Sprintf("Prometheus reads the metrics of %d of %d pods: ", tc.reached, tc.pods)
		if !tc.enough && (!got.Pending || !strings.HasPrefix(got.Problem, says)) {
			t.Errorf("%+v", got)
		}
	}
	source, err := NewPrometheus("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if got := source.Measure(t.Context(), Subject{}, &ratio, time.Minute); got != (Sample{Problem: "no pod is ready"}) {
		t.Errorf("without pods: %+v", got)
	}
}

func TestAPrometheusThatIsDownOrSlow(t *testing.T) {
	t.Parallel()
	metric := success(v1alpha1.ThresholdRange{Min: "0.99"})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that its client has gone
		<-r.Context().Done()
	}))
	source, err := NewPrometheus(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got := source.Measure(t.Context(), green, &metric, time.Minute); !strings.Contains(got.Problem, "does not answer in time") {
		t.Errorf("slow: %+v", got)
	}
	server.CloseClientConnections()
	server.Close()
	if got := source.Measure(t.Context(), green, &metric, time.Minute); !strings.Contains(got.Problem, "can't be reached") {
		t.Errorf("down: %+v", got)
	}
}

func TestNewPrometheusRefuses(t *testing.T) {
	t.Parallel()
	for address, says := range map[string]string{
		"prometheus:9090":                "has to be like http://prometheus.monitoring:9090",
		"ftp://prometheus":               "has to be like",
		"http://":                        "has to be like",
		"http://user:secret@prometheus":  "no user",
		"http://prometheus?query=up":     "no user, query or fragment",
		"http://prometheus:port/":        "the address of Prometheus",
		"http://prometheus.example#hash": "no user, query or fragment",
	} {
		if _, err := NewPrometheus(address); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
