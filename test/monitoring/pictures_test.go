package monitoring

import (
	"maps"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/gin-operator/gin-operator/test/servers"
)

// withoutKubeStateMetrics are the queries that have no answer in a cluster without kube-state-metrics. All others do.
var withoutKubeStateMetrics = []string{
	"Pods by colour: wanted {{color}}", "Scaling: desired", "Scaling: maximum", "Scaling: minimum", "annotation Stalled", "annotation Traffic moved",
}

// What is shipped meets what is real: an operator that promotes a version, services of two colours that have requests, and the Prometheus of
// Debian. Kube-state-metrics alone is played, by what it exports, under the names of its documentation.
func TestPrometheusAnswersWhatIsShipped(t *testing.T) {
	operator, _ := servers.ReservePort(t)
	blue, green, idle := startService(t, "blue", "rev-a", "v1"), startService(t, "green", "rev-b", "v2"), startService(t, "blue", "rev-a", "v1")
	sendRequests(t, blue, "/hello/you", "/hello/me")
	sendRequests(t, green, "/hello/you", "/fail", "/nowhere")
	objects := serveFile(t, filepath.Join("testdata", "kube-state-metrics.txt"))
	prometheus := api(servers.StartPrometheus(t, configuration(t, targetsAt(operator, blue, green, idle, objects))).URL())

	plane, all := startControlPlane(t)
	startOperator(t, plane, all.Scheme(), operator)
	await(t, prometheus, `up{job="gin-operator"} == 1`)
	gs := createService(t, all)
	// A rate takes two scrapes: here one before the promotion, and one after it.
	await(t, prometheus, `gin_operator_writes_total{result="created"}`)
	promoteAnother(t, all, gs)
	await(t, prometheus, `increase(gin_operator_rollout_duration_seconds_count{result="promoted"}[1m]) > 0`)
	await(t, prometheus, `rate(gin_operator_writes_total{result="created"}[1m]) > 0`)
	await(t, prometheus, `rate(http_server_request_duration_seconds_count{color="green",http_response_status_code="500"}[1m]) > 0`)

	t.Run("the targets have the labels that the documentation tells", func(t *testing.T) { testTargets(t, prometheus) })
	for file, values := range dashboards {
		t.Run(file, func(t *testing.T) { testDashboard(t, prometheus, file, values) })
	}
	t.Run("a service without kube-state-metrics", func(t *testing.T) {
		d := decode[dashboard](t, shipped(t, "dashboards", "ginservice.json"))
		values := map[string]string{"namespace": "shop", "service": "plain"}
		if diff := cmp.Diff(withoutKubeStateMetrics, unanswered(t, prometheus, &d, values)); diff != "" {
			t.Errorf("queries without an answer (-want +got):\n%s", diff)
		}
	})
	t.Run("rules", func(t *testing.T) { testRules(t, prometheus) })
	t.Run("prometheus-adapter", func(t *testing.T) { testAdapter(t, prometheus) })
	t.Run("KEDA", func(t *testing.T) { testKEDA(t, prometheus) })
	t.Run("kube-state-metrics", func(t *testing.T) {
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(gs)
		if err != nil {
			t.Fatal(err)
		}
		testObjects(t, prometheus, object)
	})
	t.Run("kustomizations", func(t *testing.T) { testKustomizations(t, plane.Binary("kubectl")) })
}

// targetsAt returns what is there to scrape, and beside it what must not be scraped.
func targetsAt(operator, blue, green, idle, objects string) map[string][]target {
	manager := map[string]string{"app.kubernetes.io/name": "gin-operator", "app.kubernetes.io/component": "manager"}
	exporter := map[string]string{"app.kubernetes.io/name": "kube-state-metrics"}
	const port = "__meta_kubernetes_pod_container_port_number"
	first := podOf(blue, "hello", "blue", "rev-a", "hello-blue-1")
	return map[string][]target{
		"gin-operator": {
			pod(operator, "gin-operator-system", "gin-operator-0", "metrics", manager),
			pod(operator, "gin-operator-system", "gin-operator-0", "probes", manager),
			pod(operator, "gin-operator-system", "other", "metrics", exporter),
		},
		"ginservices": {
			first,
			podOf(idle, "hello", "blue", "rev-a", "hello-blue-2"),
			podOf(green, "hello", "green", "rev-b", "hello-green-1").with("__meta_kubernetes_pod_container_port_name", "metrics"),
			podOf(blue, "plain", "blue", "rev-a", "plain-blue-1"),
			podOf(green, "plain", "green", "rev-b", "plain-green-1"),
			first.with("__meta_kubernetes_pod_name", "no-gin-service").with("__meta_kubernetes_pod_label_app_kubernetes_io_managed_by", "Helm"),
			first.with("__meta_kubernetes_pod_name", "ended").with("__meta_kubernetes_pod_phase", "Failed"),
			first.with("__meta_kubernetes_pod_name", "debug").with("__meta_kubernetes_pod_container_port_name", "debug"),
			podOf(blue, "one", "blue", "rev-a", "one-blue-1").with("__meta_kubernetes_namespace", "example"),
			podOf(blue, "silent", "blue", "rev-a", "silent-blue-1").with("__meta_kubernetes_namespace", "example"),
		},
		"kube-state-metrics": {
			pod(objects, "monitoring", "kube-state-metrics-0", "http-metrics", exporter).with(port, "8080"),
			pod(objects, "monitoring", "kube-state-metrics-0", "telemetry", exporter).with(port, "8081"),
		},
	}
}

// await waits until an expression gives something.
func await(t *testing.T, prometheus api, expr string) {
	t.Helper()
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		samples, err := prometheus.query(t, expr)
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(samples).NotTo(gomega.BeEmpty())
	}).WithTimeout(time.Minute).WithPolling(200*time.Millisecond).Should(gomega.Succeed(), expr)
}

func testTargets(t *testing.T, prometheus api) {
	var data struct {
		ActiveTargets []struct {
			Labels    map[string]string `json:"labels"`
			Health    string            `json:"health"`
			LastError string            `json:"lastError"`
		} `json:"activeTargets"`
	}
	if err := prometheus.get(t, "targets", url.Values{"state": {"active"}}, &data); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]string{}
	for _, target := range data.ActiveTargets {
		if target.Health != "up" {
			t.Errorf("%v is %s: %s", target.Labels, target.Health, target.LastError)
		}
		delete(target.Labels, "instance")
		got[target.Labels["job"]+" "+target.Labels["pod"]] = target.Labels
	}
	service := func(name, color, revision, pod string) map[string]string {
		return map[string]string{"job": "ginservices", "namespace": "shop", "service": name, "color": color, "revision": revision, "pod": pod}
	}
	want := map[string]map[string]string{
		"gin-operator gin-operator-0": {"job": "gin-operator", "namespace": "gin-operator-system", "pod": "gin-operator-0"},
		"ginservices hello-blue-1":    service("hello", "blue", "rev-a", "hello-blue-1"),
		"ginservices hello-blue-2":    service("hello", "blue", "rev-a", "hello-blue-2"),
		"ginservices hello-green-1":   service("hello", "green", "rev-b", "hello-green-1"),
		"ginservices plain-blue-1":    service("plain", "blue", "rev-a", "plain-blue-1"),
		"ginservices plain-green-1":   service("plain", "green", "rev-b", "plain-green-1"),
		"kube-state-metrics ":         {"job": "kube-state-metrics"},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(data.ActiveTargets) != len(want) {
		t.Errorf("%d targets (-want +got):\n%s", len(data.ActiveTargets), diff)
	}
}

// unanswered returns the queries of a dashboard that give no number.
func unanswered(t *testing.T, prometheus api, d *dashboard, values map[string]string) []string {
	t.Helper()
	var without []string
	for _, q := range d.queries() {
		samples, err := prometheus.query(t, substitute(t, q.expr, values))
		if err != nil {
			t.Errorf("%s: %v", q.where, err)
		}
		if len(samples) == 0 {
			without = append(without, q.where)
		}
	}
	slices.Sort(without)
	return without
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

func testDashboard(t *testing.T, prometheus api, file string, values map[string]string) {
	d := decode[dashboard](t, shipped(t, "dashboards", file))
	for _, where := range unanswered(t, prometheus, &d, values) {
		t.Errorf("%s has no answer", where)
	}
	for _, v := range d.Templating.List {
		if v.Type == "datasource" {
			continue
		}
		match := labelValues.FindStringSubmatch(v.Definition)
		if match == nil {
			t.Errorf("the variable %s is %s, which the test does not know", v.Name, v.Definition)
			continue
		}
		var offered []string
		if err := prometheus.get(t, "label/"+match[2]+"/values", url.Values{"match[]": {substitute(t, match[1], values)}}, &offered); err != nil {
			t.Error(err)
		}
		if !slices.Contains(offered, values[v.Name]) {
			t.Errorf("the variable %s offers %v, without %s", v.Name, offered, values[v.Name])
		}
	}
}

func testRules(t *testing.T, prometheus api) {
	type rule struct {
		Name      string `json:"name"`
		Health    string `json:"health"`
		LastError string `json:"lastError"`
	}
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		var data struct {
			Groups []struct {
				Rules []rule `json:"rules"`
			} `json:"groups"`
		}
		g.Expect(prometheus.get(t, "rules", nil, &data)).To(gomega.Succeed())
		g.Expect(data.Groups).To(gomega.HaveLen(2))
		for _, group := range data.Groups {
			for _, r := range group.Rules {
				g.Expect(r.Health).To(gomega.Equal("ok"), "%s: %s", r.Name, r.LastError)
			}
		}
	}).WithTimeout(20 * time.Second).WithPolling(200 * time.Millisecond).Should(gomega.Succeed())
}

// exports is what kube-state-metrics is told to export of a kind.
type exports struct {
	MetricNamePrefix string              `json:"metricNamePrefix"`
	LabelsFromPath   map[string][]string `json:"labelsFromPath"`
	Metrics          []struct {
		Name string `json:"name"`
		Each struct {
			Gauge *exportedFrom `json:"gauge"`
			Info  *exportedFrom `json:"info"`
		} `json:"each"`
	} `json:"metrics"`
}

// exportedFrom is where kube-state-metrics finds a metric in an object.
type exportedFrom struct {
	Path           []string            `json:"path"`
	LabelsFromPath map[string][]string `json:"labelsFromPath"`
	ValueFrom      []string            `json:"valueFrom"`
}

// testObjects holds what kube-state-metrics is told to export against a real GinService, and the file that stands in for it against that.
func testObjects(t *testing.T, prometheus api, object map[string]any) {
	config := decode[struct {
		Spec struct {
			Resources []exports `json:"resources"`
		} `json:"spec"`
	}](t, shipped(t, "kube-state-metrics", "ginservices.yaml"))
	kind := config.Spec.Resources[0]
	for label, path := range kind.LabelsFromPath {
		if _, found, err := unstructured.NestedString(object, path...); !found || err != nil {
			t.Errorf("%s: a GinService has no %v: %v", label, path, err)
		}
	}
	for _, metric := range kind.Metrics {
		from := metric.Each.Gauge
		if from == nil {
			from = metric.Each.Info
		}
		// The first three are those that kube-state-metrics adds, and the others are the scrape's.
		want := []string{"customresource_group", "customresource_kind", "customresource_version", "instance", "job"}
		want = slices.AppendSeq(slices.AppendSeq(want, maps.Keys(kind.LabelsFromPath)), maps.Keys(from.LabelsFromPath))
		slices.Sort(want)
		from.check(t, object)
		name := kind.MetricNamePrefix + "_" + metric.Name
		samples, err := prometheus.query(t, name)
		if err != nil || len(samples) == 0 {
			t.Errorf("the file that stands in for kube-state-metrics has no %s: %v", name, err)
		}
		for _, s := range samples {
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(s.labels))); diff != "" {
				t.Errorf("labels of %s in the file that stands in for kube-state-metrics (-want +got):\n%s", name, diff)
			}
		}
	}
}

// check looks for the labels and the value in what Path leads to, or in each element of it.
func (e *exportedFrom) check(t *testing.T, object map[string]any) {
	t.Helper()
	at, found, err := unstructured.NestedFieldNoCopy(object, e.Path...)
	if !found || err != nil {
		t.Errorf("a GinService has no %v: %v", e.Path, err)
		return
	}
	elements, isList := at.([]any)
	if !isList {
		elements = []any{at}
	}
	paths := slices.Collect(maps.Values(e.LabelsFromPath))
	if len(e.ValueFrom) > 0 {
		paths = append(paths, e.ValueFrom)
	}
	for _, element := range elements {
		for _, path := range paths {
			if _, found, err := unstructured.NestedString(element.(map[string]any), path...); !found || err != nil {
				t.Errorf("%v of a GinService has no %v: %v", e.Path, path, err)
			}
		}
	}
}

// testKustomizations renders each folder, and looks for the files in what comes out.
func testKustomizations(t *testing.T, kubectl string) {
	for folder, want := range map[string]struct {
		kinds []string
		data  map[string]string
	}{
		"dashboards": {kinds: []string{"ConfigMap"}, data: map[string]string{
			"ginservice.json": read(t, shipped(t, "dashboards", "ginservice.json")), "operator.json": read(t, shipped(t, "dashboards", "operator.json")),
		}},
		"prometheusrule": {kinds: []string{"PrometheusRule"}},
		"kube-state-metrics": {kinds: []string{"ClusterRole", "ClusterRoleBinding", "ConfigMap"}, data: map[string]string{
			"ginservices.yaml": read(t, shipped(t, "kube-state-metrics", "ginservices.yaml")),
		}},
	} {
		rendered, err := exec.CommandContext(t.Context(), kubectl, "kustomize", shipped(t, folder)).Output()
		if err != nil {
			t.Errorf("%s: %v", folder, err)
			continue
		}
		var kinds []string
		var data map[string]string
		for document := range strings.SplitSeq(string(rendered), "\n---\n") {
			var object struct {
				Kind string            `json:"kind"`
				Data map[string]string `json:"data"`
			}
			if err := yaml.Unmarshal([]byte(document), &object); err != nil {
				t.Errorf("%s: %v", folder, err)
			}
			kinds = append(kinds, object.Kind)
			if object.Kind == "ConfigMap" {
				data = object.Data
			}
		}
		slices.Sort(kinds)
		if diff := cmp.Diff(want.kinds, kinds); diff != "" {
			t.Errorf("kinds in %s (-want +got):\n%s", folder, diff)
		}
		if diff := cmp.Diff(want.data, data); diff != "" {
			t.Errorf("data in %s (-want +got):\n%s", folder, diff)
		}
	}
}
