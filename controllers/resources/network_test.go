package resources

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// portsIn returns the ports that a rule opens.
func portsIn(rule networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration) []string {
	var ports []string
	for _, port := range rule.Ports {
		ports = append(ports, port.Port.String())
	}
	return ports
}

func TestPolicyLetsNobodyInByAccident(t *testing.T) {
	gs := services(t)["minimal"]
	if got := NetworkPolicy(gs, "", []string{portHTTP}); got != nil {
		t.Errorf("nobody has asked for %+v", got)
	}
	everybody := []v1alpha1.NetworkPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
	for name, tc := range map[string]struct {
		network v1alpha1.Network
		ports   []string
		want    [][]string // the ports of each rule
	}{
		"nobody is named":                    {v1alpha1.Network{}, []string{portHTTP}, [][]string{{"http", "metrics"}, {"http"}}},
		"empty lists":                        {v1alpha1.Network{IngressFrom: []v1alpha1.NetworkPeer{}, MetricsFrom: []v1alpha1.NetworkPeer{}}, []string{portMetrics}, [][]string{{"http", "metrics"}, {"metrics"}}},
		"somebody may call":                  {v1alpha1.Network{IngressFrom: everybody}, []string{portMetrics}, [][]string{{"http", "metrics"}, {"metrics"}, {"http"}}},
		"metrics that are moving":            {v1alpha1.Network{MetricsFrom: everybody}, []string{portHTTP, portMetrics}, [][]string{{"http", "metrics"}, {"http", "metrics"}}},
		"scrapers do not reach another port": {v1alpha1.Network{MetricsFrom: everybody}, []string{portMetrics}, [][]string{{"http", "metrics"}, {"metrics"}}},
	} {
		t.Run(name, func(t *testing.T) {
			gs.Spec.Network = &tc.network
			var got [][]string
			for _, rule := range NetworkPolicy(gs, "", tc.ports).Spec.Ingress {
				got = append(got, portsIn(rule))
				if len(rule.From) == 0 || len(rule.Ports) == 0 {
					t.Errorf("a rule without sources or ports is for all of them: %+v", rule)
				}
				for _, peer := range rule.From {
					if peer.PodSelector == nil && peer.NamespaceSelector == nil && peer.IPBlock == nil {
						t.Errorf("a peer that selects nothing: %+v", rule)
					}
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("ports of the rules: -want +got:\n%s", diff)
			}
		})
	}
}

func TestPolicyLetsInTheOperatorWhereItRuns(t *testing.T) {
	gs := services(t)["minimal"]
	gs.Spec.Network = &v1alpha1.Network{}
	for namespace, want := range map[string]string{"": "gin-operator-system", "team-a": "team-a"} {
		peer := NetworkPolicy(gs, namespace, []string{portHTTP}).Spec.Ingress[0].From[0]
		if got := peer.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"]; got != want {
			t.Errorf("operator in %q: pods in %q are let in", namespace, got)
		}
		if got := peer.PodSelector.MatchLabels[v1alpha1.LabelName]; got != "gin-operator" {
			t.Errorf("pods with the name %q are let in", got)
		}
	}
}

// A rollout must change nothing about either.
func TestPolicyAndPodMonitorSelectBothColours(t *testing.T) {
	gs := services(t)["everything"]
	for what, selector := range map[string]map[string]string{
		"the policy":     NetworkPolicy(gs, "", []string{portHTTP}).Spec.PodSelector.MatchLabels,
		"the PodMonitor": PodMonitor(gs, []string{portHTTP}).Spec.Selector.MatchLabels,
	} {
		if diff := cmp.Diff(map[string]string{v1alpha1.LabelUID: string(gs.UID)}, selector); diff != "" {
			t.Errorf("%s: -want +got:\n%s", what, diff)
		}
	}
}

func TestMetricsPort(t *testing.T) {
	for name, tc := range map[string]struct {
		ports  v1alpha1.Ports
		named  string
		number int32
	}{
		"nothing is said":                   {v1alpha1.Ports{}, "http", 8080},
		"another port for requests":         {v1alpha1.Ports{HTTP: new(int32(9000))}, "http", 9000},
		"a port of their own":               {v1alpha1.Ports{Metrics: new(int32(9090))}, "metrics", 9090},
		"the port of the requests, by name": {v1alpha1.Ports{HTTP: new(int32(9000)), Metrics: new(int32(9000))}, "http", 9000},
	} {
		named, number := MetricsPort(tc.ports)
		if named != tc.named || number != tc.number {
			t.Errorf("%s: %s, %d", name, named, number)
		}
		var there []string
		for _, port := range containerPorts(&tc.ports) {
			there = append(there, *port.Name)
		}
		if !slices.Contains(there, named) {
			t.Errorf("%s: no container port is called %s", name, named)
		}
	}
}

func TestScrapeAnnotations(t *testing.T) {
	gs := services(t)["minimal"]
	apart := v1alpha1.Ports{Metrics: new(int32(9090))}
	for name, tc := range map[string]struct {
		change func(*v1alpha1.GinService)
		ports  v1alpha1.Ports
		want   map[string]string
	}{
		"by default, on the port of the Service": {func(*v1alpha1.GinService) {}, v1alpha1.Ports{}, map[string]string{
			"prometheus.io/scrape": "true", "prometheus.io/path": "/metrics",
		}},
		"on a port of their own": {func(gs *v1alpha1.GinService) { gs.Spec.Monitoring.Type = v1alpha1.MonitoringAnnotations }, apart, map[string]string{
			"prometheus.io/scrape": "true", "prometheus.io/path": "/metrics", "prometheus.io/port": "9090",
		}},
		"what the user says of the same wins": {func(gs *v1alpha1.GinService) {
			gs.Spec.Service.Annotations = map[string]string{"prometheus.io/scrape": "false", "example.com/a": "b"}
		}, v1alpha1.Ports{}, map[string]string{"prometheus.io/scrape": "false", "prometheus.io/path": "/metrics", "example.com/a": "b"}},
		"a PodMonitor in their place": {func(gs *v1alpha1.GinService) { gs.Spec.Monitoring.Type = v1alpha1.MonitoringPodMonitor }, apart, nil},
		"nothing at all":              {func(gs *v1alpha1.GinService) { gs.Spec.Monitoring.Type = v1alpha1.MonitoringNone }, apart, nil},
	} {
		t.Run(name, func(t *testing.T) {
			gs := gs.DeepCopy()
			tc.change(gs)
			if diff := cmp.Diff(tc.want, ActiveService(gs, v1alpha1.Blue, false, tc.ports).Annotations); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got := PreviewService(gs, v1alpha1.Green, "r").Annotations; len(got) > 0 {
				t.Errorf("the pods would be scraped twice where nothing is being prepared: %v", got)
			}
		})
	}
}

func TestPodMonitorHasTheLabelsOfAChild(t *testing.T) {
	gs := services(t)["minimal"]
	gs.Spec.Monitoring = v1alpha1.Monitoring{Type: v1alpha1.MonitoringPodMonitor, Labels: map[string]string{"release": "prometheus", v1alpha1.LabelManagedBy: "somebody"}}
	want := Labels(gs)
	want["release"] = "prometheus"
	monitor := PodMonitor(gs, []string{portHTTP, portMetrics})
	if diff := cmp.Diff(want, monitor.Labels); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(monitor.Spec.PodMetricsEndpoints) != 2 {
		t.Errorf("two ports have %d endpoints", len(monitor.Spec.PodMetricsEndpoints))
	}
}
