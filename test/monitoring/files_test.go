// Package monitoring tests what config/monitoring has for those who run Prometheus: a real Prometheus scrapes a real operator and real
// services by the scrape configuration that is shipped, and answers every query that is shipped.
package monitoring

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// root is the project.
const root = "../.."

// shipped returns the path of a file in config/monitoring.
func shipped(t *testing.T, elements ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{root, "config", "monitoring"}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// decode reads a YAML or JSON file.
func decode[T any](t *testing.T, path string) T {
	t.Helper()
	var into T
	if err := yaml.Unmarshal([]byte(read(t, path)), &into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return into
}

// relabeling is a rule of a scrape configuration.
type relabeling struct {
	Action       string   `json:"action"`
	SourceLabels []string `json:"source_labels"`
	TargetLabel  string   `json:"target_label"`
}

// podRelabeling is the same as a PodMonitor spells it.
type podRelabeling struct {
	Action       string   `json:"action"`
	SourceLabels []string `json:"sourceLabels"`
	TargetLabel  string   `json:"targetLabel"`
}

// labelSources returns what each label is taken from. A label that only helps to drop targets is left out.
func labelSources(rules []relabeling) map[string]string {
	sources := map[string]string{}
	for _, rule := range rules {
		if rule.Action == "" && len(rule.SourceLabels) == 1 {
			sources[rule.TargetLabel] = rule.SourceLabels[0]
		}
	}
	return sources
}

// scrapeJob is a job of a scrape configuration.
type scrapeJob struct {
	JobName        string       `json:"job_name"`
	ScrapeInterval string       `json:"scrape_interval"`
	RelabelConfigs []relabeling `json:"relabel_configs"`
}

// jobOfServices returns the job of scrape.yaml for the pods of GinServices.
func jobOfServices(t *testing.T) scrapeJob {
	t.Helper()
	config := decode[struct {
		ScrapeConfigs []scrapeJob `json:"scrape_configs"`
	}](t, shipped(t, "scrape.yaml"))
	for _, job := range config.ScrapeConfigs {
		if job.JobName == "ginservices" {
			return job
		}
	}
	t.Fatal("scrape.yaml has no job ginservices")
	return scrapeJob{}
}

// Debian builds Prometheus without discovery in Kubernetes, so that part of the configuration is looked at here.
func TestPrometheusTakesTheScrapeConfiguration(t *testing.T) {
	type object = map[string]any
	config := decode[object](t, shipped(t, "scrape.yaml"))
	selected := map[string]string{}
	for _, each := range config["scrape_configs"].([]any) {
		job := each.(object)
		discovery, err := yaml.Marshal(job["kubernetes_sd_configs"])
		if err != nil {
			t.Fatal(err)
		}
		var found []struct {
			Role      string `json:"role"`
			Selectors []struct {
				Role  string `json:"role"`
				Label string `json:"label"`
			} `json:"selectors"`
		}
		if err := yaml.UnmarshalStrict(discovery, &found); err != nil {
			t.Fatal(err)
		}
		if len(found) != 1 || found[0].Role != "pod" || len(found[0].Selectors) != 1 || found[0].Selectors[0].Role != "pod" {
			t.Fatalf("%s looks for %+v, want pods by a label", job["job_name"], found)
		}
		selected[job["job_name"].(string)] = found[0].Selectors[0].Label
		delete(job, "kubernetes_sd_configs")
	}
	want := map[string]string{
		"gin-operator": "app.kubernetes.io/name=gin-operator", "ginservices": v1alpha1.LabelManagedBy + "=" + v1alpha1.ManagedBy,
		"kube-state-metrics": "app.kubernetes.io/name=kube-state-metrics",
	}
	if diff := cmp.Diff(want, selected); diff != "" {
		t.Errorf("pods by job (-want +got):\n%s", diff)
	}
	rest, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, rest, 0o600); err != nil {
		t.Fatal(err)
	}
	// The file with the token is in a pod of Prometheus.
	promtool(t, "check", "config", "--syntax-only", file)
}

func TestThePodMonitorOfTheDocumentationDoesWhatTheScrapeConfigurationDoes(t *testing.T) {
	block := regexp.MustCompile("(?s)```yaml\n(apiVersion: monitoring\\.coreos\\.com/v1\n.*?)```").FindStringSubmatch(read(t, filepath.Join(root, "docs", "monitoring.md")))
	if block == nil {
		t.Fatal("docs/monitoring.md has no PodMonitor")
	}
	var documented struct {
		Spec struct {
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			} `json:"selector"`
			PodMetricsEndpoints []struct {
				Port        string          `json:"port"`
				Interval    string          `json:"interval"`
				Relabelings []podRelabeling `json:"relabelings"`
			} `json:"podMetricsEndpoints"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(block[1]), &documented); err != nil {
		t.Fatal(err)
	}
	job := jobOfServices(t)
	want := labelSources(job.RelabelConfigs)
	if len(want) != 5 || len(documented.Spec.PodMetricsEndpoints) != 1 {
		t.Fatalf("scrape.yaml makes the labels %v, and the PodMonitor has %d endpoints", want, len(documented.Spec.PodMetricsEndpoints))
	}
	endpoint := documented.Spec.PodMetricsEndpoints[0]
	// These two prometheus-operator adds itself.
	rules := []relabeling{
		{SourceLabels: []string{"__meta_kubernetes_namespace"}, TargetLabel: "namespace"},
		{SourceLabels: []string{"__meta_kubernetes_pod_name"}, TargetLabel: "pod"},
	}
	for _, rule := range endpoint.Relabelings {
		rules = append(rules, relabeling(rule))
	}
	if diff := cmp.Diff(want, labelSources(rules)); diff != "" {
		t.Errorf("labels (-scrape.yaml +docs/monitoring.md):\n%s", diff)
	}
	if endpoint.Port != "http" || endpoint.Interval != job.ScrapeInterval {
		t.Errorf("port %q every %q, want http every %q", endpoint.Port, endpoint.Interval, job.ScrapeInterval)
	}
	if diff := cmp.Diff(map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}, documented.Spec.Selector.MatchLabels); diff != "" {
		t.Errorf("selector (-want +got):\n%s", diff)
	}
}

func TestRatesForAutoscalersReachBackFarEnough(t *testing.T) {
	interval, err := time.ParseDuration(jobOfServices(t).ScrapeInterval)
	if err != nil {
		t.Fatal(err)
	}
	window := regexp.MustCompile(`\[(\w+)\]\)`)
	for _, file := range []string{"prometheus-adapter.yaml", "keda.yaml"} {
		found := window.FindAllStringSubmatch(read(t, shipped(t, file)), -1)
		if len(found) == 0 {
			t.Errorf("%s has no rate", file)
		}
		for _, match := range found {
			// Two samples make a rate, wherever they fall, and one may be missed.
			if back, err := time.ParseDuration(match[1]); err != nil || back < 4*interval {
				t.Errorf("%s: a rate over %s, want four scrapes of %s: %v", file, match[1], interval, err)
			}
		}
	}
}

func TestThePrometheusRuleIsTheRuleFile(t *testing.T) {
	type object = map[string]any
	want := decode[object](t, shipped(t, "alerts.yaml"))
	got := decode[struct {
		Kind string `json:"kind"`
		Spec object `json:"spec"`
	}](t, shipped(t, "prometheusrule", "prometheusrule.yaml"))
	if diff := cmp.Diff(want, got.Spec); diff != "" || got.Kind != "PrometheusRule" {
		t.Errorf("run `make manifests`: kind %s (-alerts.yaml +prometheusrule.yaml):\n%s", got.Kind, diff)
	}
}

// anchors returns the headings of a page as links name them, for headings of one word.
func anchors(page string) map[string]bool {
	found := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^#+ (\w+)$`).FindAllStringSubmatch(page, -1) {
		found[match[1]] = true
	}
	return found
}
