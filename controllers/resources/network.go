package resources

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

const (
	// defaultOperatorNamespace is where config/default puts the operator.
	defaultOperatorNamespace = "gin-operator-system"
	// operatorName is the value of LabelName on the pods of the operator, and of what belongs to it.
	operatorName = "gin-operator"
	// defaultMonitoringNamespace is where Prometheus is mostly installed.
	defaultMonitoringNamespace = "monitoring"
)

// NetworkPolicy is the policy for the pods of both colours of gs, or nil if it asks for none. operator is the namespace of the operator's
// pods, or "" for that of the usual installation. metricsPorts are the names of the container ports on which pods serve their metrics, at
// least one: in a policy, no port would be every port.
//
// Ports have names in it, which each pod resolves for itself: the colours may listen on ports of other numbers. Its rules have the order by which
// an error of the API server is told in terms of spec. There is always one, because a list that is left out belongs to whoever fills it.
func NetworkPolicy(gs *v1alpha1.GinService, operator string, metricsPorts []string) *networkingv1ac.NetworkPolicyApplyConfiguration {
	n := gs.Spec.Network
	if n == nil {
		return nil
	}
	ownPods := inNamespace(cmp.Or(operator, defaultOperatorNamespace)).
		WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{v1alpha1.LabelName: operatorName}))
	scrapers := peers(n.MetricsFrom)
	if len(scrapers) == 0 {
		scrapers = append(scrapers, inNamespace(defaultMonitoringNamespace))
	}
	spec := networkingv1ac.NetworkPolicySpec().
		WithPodSelector(bothColors(gs)).
		WithPolicyTypes(networkingv1.PolicyTypeIngress).
		WithIngress(
			networkingv1ac.NetworkPolicyIngressRule().WithFrom(ownPods).WithPorts(namedPorts(portHTTP, portMetrics)...),
			networkingv1ac.NetworkPolicyIngressRule().WithFrom(scrapers...).WithPorts(namedPorts(metricsPorts...)...),
		)
	if len(n.IngressFrom) > 0 { // a rule that names nobody is for everybody
		spec.WithIngress(networkingv1ac.NetworkPolicyIngressRule().WithFrom(peers(n.IngressFrom)...).WithPorts(namedPorts(portHTTP)...))
	}
	return networkingv1ac.NetworkPolicy(names.NetworkPolicy(gs.Name), gs.Namespace).
		WithLabels(Labels(gs)).
		WithOwnerReferences(controllerReference(gs)).
		WithSpec(spec)
}

// MetricsPort returns the name and the number of the container port that serves the metrics.
func MetricsPort(ports v1alpha1.Ports) (name string, number int32) {
	http := valueOr(ports.HTTP, defaultHTTPPort)
	if metrics := valueOr(ports.Metrics, http); metrics != http {
		return portMetrics, metrics
	}
	return portHTTP, http
}

func bothColors(gs *v1alpha1.GinService) *metav1ac.LabelSelectorApplyConfiguration {
	return metav1ac.LabelSelector().WithMatchLabels(map[string]string{v1alpha1.LabelUID: string(gs.UID)})
}

func inNamespace(name string) *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	return networkingv1ac.NetworkPolicyPeer().
		WithNamespaceSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{corev1.LabelMetadataName: name}))
}

func peers(from []v1alpha1.NetworkPeer) []*networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	var built []*networkingv1ac.NetworkPolicyPeerApplyConfiguration
	for i := range from {
		built = append(built, convert[networkingv1ac.NetworkPolicyPeerApplyConfiguration](&from[i]))
	}
	return built
}

func namedPorts(portNames ...string) []*networkingv1ac.NetworkPolicyPortApplyConfiguration {
	var ports []*networkingv1ac.NetworkPolicyPortApplyConfiguration
	for _, name := range portNames {
		ports = append(ports, networkingv1ac.NetworkPolicyPort().WithProtocol(corev1.ProtocolTCP).WithPort(intstr.FromString(name)))
	}
	return ports
}
