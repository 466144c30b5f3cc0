package monitoring

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/gin-operator/gin-operator/controllers/resources"
)

// adapterRule is a rule of prometheus-adapter.
type adapterRule struct {
	SeriesQuery string `json:"seriesQuery"`
	Resources   struct {
		Overrides map[string]map[string]string `json:"overrides"`
	} `json:"resources"`
	Name struct {
		Matches string `json:"matches"`
		As      string `json:"as"`
	} `json:"name"`
	MetricsQuery string `json:"metricsQuery"`
}

// render returns the query for some pods of the namespace shop, as prometheus-adapter makes it.
func (r *adapterRule) render(t *testing.T, series string, pods ...string) string {
	t.Helper()
	text, err := template.New(r.Name.As).Delims("<<", ">>").Option("missingkey=error").Parse(r.MetricsQuery)
	if err != nil {
		t.Fatal(err)
	}
	matcher := `pod="`
	if len(pods) > 1 {
		matcher = `pod=~"`
	}
	var query strings.Builder
	err = text.Execute(&query, map[string]any{
		"Series": series, "LabelMatchers": `namespace="shop",` + matcher + strings.Join(pods, "|") + `"`, "GroupBy": "pod", "GroupBySlice": []string{"pod"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return query.String()
}

// discover returns the one series that a rule is about, and fails where the adapter would find none, or could not tell the pods.
func (r *adapterRule) discover(t *testing.T, prometheus api) string {
	t.Helper()
	var found []map[string]string
	if err := prometheus.get(t, "series", url.Values{"match[]": {r.SeriesQuery}}, &found); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, labels := range found {
		name := labels["__name__"]
		if !regexp.MustCompile(r.Name.Matches).MatchString(name) {
			t.Errorf("%s finds %s, which %s does not match", r.SeriesQuery, name, r.Name.Matches)
		}
		names[name] = true
		for label := range r.Resources.Overrides {
			if labels[label] == "" {
				t.Errorf("%s finds %v, which has no %s", r.SeriesQuery, labels, label)
			}
		}
	}
	if len(names) != 1 {
		t.Fatalf("%s finds the series %v, want one name", r.SeriesQuery, names)
	}
	for name := range names {
		return name
	}
	return ""
}

// values returns the values of a query by pod.
func (a api) values(t *testing.T, query string) map[string]float64 {
	t.Helper()
	samples, err := a.query(t, query)
	if err != nil {
		t.Fatal(err)
	}
	byPod := map[string]float64{}
	for _, s := range samples {
		if len(s.labels) != 1 || s.labels["pod"] == "" {
			t.Errorf("%s: a value for %v, want one for each pod", query, s.labels)
		}
		byPod[s.labels["pod"]] = s.value
	}
	return byPod
}

// scrapedOnce makes a query see no more than one sample of each counter, as soon after the start of a pod or of Prometheus.
func scrapedOnce(query string) string { return strings.ReplaceAll(query, "[1m]", "[1ms]") }

// askAdapter runs the rules of prometheus-adapter and returns their values by name and pod, and what they would be had each pod been scraped once.
func askAdapter(t *testing.T, prometheus api) (got, once map[string]map[string]float64) {
	t.Helper()
	var config struct {
		Rules []adapterRule `json:"rules"`
	}
	// The adapter does not start with a field that it does not know.
	if err := yaml.UnmarshalStrict([]byte(read(t, shipped(t, "prometheus-adapter.yaml"))), &config); err != nil {
		t.Fatal(err)
	}
	got, once = map[string]map[string]float64{}, map[string]map[string]float64{}
	for _, rule := range config.Rules {
		series := rule.discover(t, prometheus)
		query := rule.render(t, series, "hello-blue-1", "hello-blue-2", "hello-blue-9")
		got[rule.Name.As], once[rule.Name.As] = prometheus.values(t, query), prometheus.values(t, scrapedOnce(query))
		if alone := prometheus.values(t, rule.render(t, series, "hello-blue-1")); len(alone) != 1 {
			t.Errorf("%s of one pod is %v", rule.Name.As, alone)
		}
	}
	return got, once
}

// testAdapter knows what the rules should make of the pods: hello-blue-1 has requests, hello-blue-2 never had one, and there is no hello-blue-9.
func testAdapter(t *testing.T, prometheus api) {
	got, once := askAdapter(t, prometheus)
	perSecond, inFlight, p99 := got["http_requests_per_second"], got["http_requests_in_flight"], got["http_request_duration_p99"]
	if len(got) != 3 || perSecond == nil || inFlight == nil || p99 == nil {
		t.Fatalf("the rules make %v", got)
	}
	// sendRequests sends fifty a second, and fewer on a machine that is busy.
	if rate := perSecond["hello-blue-1"]; rate < 1 || rate > 60 {
		t.Errorf("%v requests a second, want some of 50", rate)
	}
	if rate, known := perSecond["hello-blue-2"]; !known || rate != 0 || len(perSecond) != 2 {
		t.Errorf("requests a second: %v, want 0 for the pod that never had one, and nothing for the one that is not there", perSecond)
	}
	if diff := cmp.Diff(map[string]float64{"hello-blue-2": 0}, once["http_requests_per_second"]); diff != "" {
		t.Errorf("requests a second where each pod was scraped once, and one never had any (-want +got):\n%s", diff)
	}
	if many, known := inFlight["hello-blue-2"]; !known || many != 0 || len(inFlight) != 2 || inFlight["hello-blue-1"] > 10 {
		t.Errorf("requests in flight: %v, want none for the pod that never had one, and nothing for the one that is not there", inFlight)
	}
	if seconds := p99["hello-blue-1"]; seconds <= 0 || seconds > 10 || len(p99) != 1 {
		t.Errorf("the quantile of durations: %v, want that of the pod with requests alone", p99)
	}
}

// testKEDA runs the query of the ScaledObject.
func testKEDA(t *testing.T, prometheus api) {
	scaled := decode[struct {
		Spec struct {
			ScaleTargetRef map[string]string `json:"scaleTargetRef"`
			Triggers       []struct {
				Type     string            `json:"type"`
				Metadata map[string]string `json:"metadata"`
			} `json:"triggers"`
		} `json:"spec"`
	}](t, shipped(t, "keda.yaml"))
	want := map[string]string{"apiVersion": resources.APIVersion, "kind": resources.Kind, "name": "hello"}
	if diff := cmp.Diff(want, scaled.Spec.ScaleTargetRef); diff != "" {
		t.Errorf("target (-want +got):\n%s", diff)
	}
	if len(scaled.Spec.Triggers) != 1 || scaled.Spec.Triggers[0].Type != "prometheus" {
		t.Fatalf("triggers: %+v", scaled.Spec.Triggers)
	}
	metadata := scaled.Spec.Triggers[0].Metadata
	if metadata["ignoreNullValues"] != "false" {
		t.Error("ignoreNullValues is not false: a Prometheus that has lost the service would scale it down")
	}
	query := strings.ReplaceAll(metadata["query"], `"default"`, `"shop"`)
	// KEDA takes an answer of one series alone.
	if samples, err := prometheus.query(t, query); err != nil || len(samples) != 1 || samples[0].value < 1 {
		t.Errorf("%s: %v, %v", query, samples, err)
	}
	if samples, err := prometheus.query(t, scrapedOnce(query)); err != nil || len(samples) != 0 {
		t.Errorf("a service whose pods were scraped once has %v requests a second, %v", samples, err)
	}
	never := strings.ReplaceAll(query, `"hello"`, `"hello",pod="hello-blue-2"`)
	if samples, err := prometheus.query(t, never); err != nil || len(samples) != 1 || samples[0].value != 0 {
		t.Errorf("a service that never had a request has %v requests a second, %v", samples, err)
	}
	gone := strings.ReplaceAll(query, `"hello"`, `"gone"`)
	if samples, err := prometheus.query(t, gone); err != nil || len(samples) != 0 {
		t.Errorf("a service that Prometheus does not know has %v requests a second, %v", samples, err)
	}
}
