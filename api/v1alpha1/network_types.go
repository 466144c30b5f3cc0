package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Network makes a NetworkPolicy for the pods of both colours: whoever is not named here can't reach them. The pods of the operator always
// may. What the pods themselves may call is not restricted.
type Network struct {
	// ingressFrom are those who may call the http port. Default: nobody.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	IngressFrom []NetworkPeer `json:"ingressFrom,omitempty"`

	// metricsFrom are those who may scrape the metrics: they reach the port that serves them, which is the http port unless ports.metrics
	// names another. Default: all pods of the namespace "monitoring".
	// +optional
	// +listType=atomic
	// +kubebuilder:default={{namespaceSelector: {matchLabels: {"kubernetes.io/metadata.name": "monitoring"}}}}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	MetricsFrom []NetworkPeer `json:"metricsFrom,omitempty"`
}

// NetworkPeer are pods, by selectors as a NetworkPolicy has them, or addresses.
//
// +kubebuilder:validation:XValidation:rule="has(self.podSelector) || has(self.namespaceSelector) || has(self.ipBlock)",message="network: an entry of ingressFrom or metricsFrom needs a podSelector, a namespaceSelector or an ipBlock; a selector {} selects all"
// +kubebuilder:validation:XValidation:rule="!has(self.ipBlock) || !(has(self.podSelector) || has(self.namespaceSelector))",message="network: an entry of ingressFrom or metricsFrom has selectors or an ipBlock, not both: make two entries of it"
type NetworkPeer struct {
	// podSelector selects pods by their labels: in the namespaces that namespaceSelector selects, or in that of the GinService where there
	// is none. {} selects all. Default: all pods of the namespaces.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`

	// namespaceSelector selects namespaces by their labels. Kubernetes gives each the label kubernetes.io/metadata.name. {} selects all.
	// Default: that of the GinService.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// ipBlock is a range of addresses, mostly from outside of the cluster.
	// +optional
	IPBlock *IPBlock `json:"ipBlock,omitempty"`
}

// IPBlock is a range of addresses, less some within it.
//
// +kubebuilder:validation:XValidation:rule="!has(self.except) || !isCIDR(self.cidr) || self.except.all(e, !isCIDR(e) || (cidr(self.cidr).containsCIDR(e) && cidr(e).prefixLength() > cidr(self.cidr).prefixLength()))",message="network: each entry of ipBlock.except must lie within ipBlock.cidr, and be smaller"
type IPBlock struct {
	// cidr is the range, such as "10.0.0.0/8" or "2001:db8::/32".
	// +required
	CIDR CIDR `json:"cidr,omitempty"`

	// except are ranges within cidr that don't belong to it. Default: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Except []CIDR `json:"except,omitempty"`
}

// CIDR is a range of IPv4 or IPv6 addresses: an address and the length of the prefix that all of them have (RFC 4632, RFC 4291).
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=49
// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="network: a range of addresses must be written as 10.0.0.0/8 or 2001:db8::/32, with no bit set beyond its prefix"
type CIDR string

// Monitoring says how Prometheus finds the pods. Nothing of it reaches them: a change restarts none.
//
// +kubebuilder:validation:XValidation:rule="!has(self.labels) || self.labels.size() == 0 || (has(self.type) && self.type == 'PodMonitor')",message="monitoring.labels: only type: PodMonitor has them: set it, or remove labels"
type Monitoring struct {
	// type is Annotations for prometheus.io/scrape and what goes with it on the Service that takes the traffic, PodMonitor for a PodMonitor
	// of prometheus-operator, or None. Default: Annotations.
	// +optional
	// +kubebuilder:default=Annotations
	Type MonitoringType `json:"type,omitempty"`

	// labels are put on the PodMonitor, for a Prometheus that selects PodMonitors by them. Default: those of every child alone.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue() && self[k].size() <= 63)",message="monitoring.labels: keys and values must be those of labels: letters, digits, '-', '_' and '.', at most 63 of them"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.contains('gin-operator.dev/') && !(k in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/managed-by']))",message="monitoring.labels: keys under gin-operator.dev/ and app.kubernetes.io/name, instance and managed-by belong to the operator: choose others"
	Labels map[string]string `json:"labels,omitempty"`
}

// MonitoringType is a way in which Prometheus finds the pods.
// +kubebuilder:validation:Enum=Annotations;PodMonitor;None
type MonitoringType string

const (
	// MonitoringAnnotations annotates the Service that takes the traffic.
	MonitoringAnnotations MonitoringType = "Annotations"
	// MonitoringPodMonitor makes a PodMonitor for the pods of both colours.
	MonitoringPodMonitor MonitoringType = "PodMonitor"
	// MonitoringNone does neither.
	MonitoringNone MonitoringType = "None"
)
