package resources

import (
	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

// metricsPath is where pods serve their metrics.
const metricsPath = "/metrics"

// scrapeLabels are the labels that Prometheus gives to all that it scrapes from a pod, and the labels of the pod that they come from, as it
// spells them. Their order is that of the PodMonitor.
var scrapeLabels = []struct{ target, source string }{
	{"service", "__meta_kubernetes_pod_label_app_kubernetes_io_name"},
	{"color", "__meta_kubernetes_pod_label_apps_gin_operator_dev_color"},
	{"revision", "__meta_kubernetes_pod_label_apps_gin_operator_dev_revision"},
}

// PodMonitor is the PodMonitor of gs, or nil if it asks for none. It has the pods of both colours scraped, so that a preview is measured
// before it takes traffic, and names no revision: a rollout changes nothing about it. metricsPorts are the names of the container ports
// on which pods serve their metrics.
func PodMonitor(gs *v1alpha1.GinService, metricsPorts []string) *monitoring.PodMonitorApplyConfiguration {
	if gs.Spec.Monitoring.Type != v1alpha1.MonitoringPodMonitor {
		return nil
	}
	spec := &monitoring.PodMonitorSpecApplyConfiguration{Selector: bothColors(gs)}
	for _, port := range metricsPorts {
		endpoint := monitoring.PodMetricsEndpointApplyConfiguration{Port: port, Path: metricsPath}
		for _, label := range scrapeLabels {
			endpoint.Relabelings = append(endpoint.Relabelings, monitoring.RelabelConfigApplyConfiguration{
				SourceLabels: []string{label.source}, TargetLabel: label.target, Action: "replace",
			})
		}
		spec.PodMetricsEndpoints = append(spec.PodMetricsEndpoints, endpoint)
	}
	return monitoring.NewPodMonitor(names.PodMonitor(gs.Name), gs.Namespace).
		WithLabels(gs.Spec.Monitoring.Labels).
		WithLabels(Labels(gs)).
		WithOwnerReferences(controllerReference(gs)).
		WithSpec(spec)
}

// scrapeAnnotations are those by which Prometheus, as it is mostly configured, finds the pods behind a Service, or none if gs is not to
// be found by them. Prometheus takes the port that the Service leads to where none is named.
func scrapeAnnotations(gs *v1alpha1.GinService, ports v1alpha1.Ports) map[string]string {
	if kind := gs.Spec.Monitoring.Type; kind != "" && kind != v1alpha1.MonitoringAnnotations {
		return nil
	}
	annotations := map[string]string{"prometheus.io/scrape": "true", "prometheus.io/path": metricsPath}
	if name, number := MetricsPort(ports); name == portMetrics {
		annotations["prometheus.io/port"] = decimal(number)
	}
	return annotations
}
