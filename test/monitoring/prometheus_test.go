package monitoring

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// api is the HTTP API of a Prometheus, by its address.
type api string

// get asks for something below /api/v1/, and decodes what is in data.
func (a api) get(t *testing.T, path string, parameters url.Values, into any) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, string(a)+"/api/v1/"+path+"?"+parameters.Encode(), http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Status string          `json:"status"`
		Error  string          `json:"error"`
		Data   json.RawMessage `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s answers %s: %w", path, response.Status, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s answers %s: %s", path, response.Status, answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}

// sample is a series, without its name, and its value now.
type sample struct {
	labels map[string]string
	value  float64
}

// query returns what an expression gives now. A value that is no number is left out: it draws nothing, and scales nothing.
func (a api) query(t *testing.T, expr string) ([]sample, error) {
	t.Helper()
	var data struct {
		ResultType string `json:"resultType"`
		Result     []struct {
			Metric map[string]string `json:"metric"`
			Value  [2]any            `json:"value"`
		} `json:"result"`
	}
	if err := a.get(t, "query", url.Values{"query": {expr}}, &data); err != nil {
		return nil, fmt.Errorf("%s: %w", expr, err)
	}
	if data.ResultType != "vector" {
		return nil, fmt.Errorf("%s is a %s, and no vector", expr, data.ResultType)
	}
	var samples []sample
	for _, series := range data.Result {
		text, _ := series.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", expr, err)
		}
		if !math.IsNaN(value) {
			delete(series.Metric, "__name__")
			samples = append(samples, sample{labels: series.Metric, value: value})
		}
	}
	return samples, nil
}

// target is what a discovery of Kubernetes would find: an address, and what it knows of the pod.
type target struct {
	address string
	meta    map[string]string
}

var notInLabel = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// pod returns the target of a port of a pod, with the labels that role pod gives it.
func pod(address, namespace, name, port string, labels map[string]string) target {
	meta := map[string]string{
		"__meta_kubernetes_namespace":               namespace,
		"__meta_kubernetes_pod_name":                name,
		"__meta_kubernetes_pod_phase":               "Running",
		"__meta_kubernetes_pod_container_port_name": port,
	}
	for key, value := range labels {
		meta["__meta_kubernetes_pod_label_"+notInLabel.ReplaceAllString(key, "_")] = value
	}
	return target{address: address, meta: meta}
}

// with returns a target of which the discovery knows something else.
func (p target) with(name, value string) target {
	meta := maps.Clone(p.meta)
	meta[name] = value
	return target{address: p.address, meta: meta}
}

// podOf returns the target of a pod of a GinService.
func podOf(address, service, color, revision, name string) target {
	return pod(address, "shop", name, "http", map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelName: service, v1alpha1.LabelInstance: service, v1alpha1.LabelUID: "uid-of-" + service,
		v1alpha1.LabelColor: color, v1alpha1.LabelRevision: revision,
	})
}

// configuration returns that of a Prometheus with the jobs of scrape.yaml, which finds targets without Kubernetes and without TLS, once a second.
func configuration(t *testing.T, targets map[string][]target) string {
	t.Helper()
	type object = map[string]any
	config := decode[object](t, shipped(t, "scrape.yaml"))
	for _, each := range config["scrape_configs"].([]any) {
		job := each.(object)
		name := job["job_name"].(string)
		if len(targets[name]) == 0 {
			t.Errorf("nothing is there for the job %s", name)
		}
		for _, field := range []string{"kubernetes_sd_configs", "scheme", "authorization", "tls_config", "scrape_interval"} {
			delete(job, field)
		}
		var found []any
		for _, target := range targets[name] {
			found = append(found, object{"targets": []string{target.address}, "labels": target.meta})
		}
		job["static_configs"] = found
	}
	config["global"] = object{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
	config["rule_files"] = []string{shipped(t, "alerts.yaml")}
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
