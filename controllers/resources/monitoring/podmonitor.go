// Package monitoring has of monitoring.coreos.com/v1, the API of prometheus-operator, what it takes to write a PodMonitor and to find out
// whether somebody changed it. The types of prometheus-operator have every field of Prometheus' configuration, and come with modules that
// the operator has no other use for.
//
// A PodMonitor that is read keeps all of its spec, as the API server sent it: what a newer version has in there is not lost.
package monitoring

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
)

// GroupVersion is the group and version of PodMonitors.
var GroupVersion = schema.GroupVersion{Group: "monitoring.coreos.com", Version: "v1"}

// AddToScheme makes PodMonitors known to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &PodMonitor{}, &PodMonitorList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}

// PodMonitor has Prometheus scrape pods.
type PodMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec is whatever it says.
	Spec runtime.RawExtension `json:"spec"`
}

// DeepCopyInto makes another one the same, with nothing shared.
func (m *PodMonitor) DeepCopyInto(copied *PodMonitor) {
	*copied = *m
	m.ObjectMeta.DeepCopyInto(&copied.ObjectMeta)
	m.Spec.DeepCopyInto(&copied.Spec)
}

// DeepCopyObject implements runtime.Object.
func (m *PodMonitor) DeepCopyObject() runtime.Object {
	copied := &PodMonitor{}
	m.DeepCopyInto(copied)
	return copied
}

// PodMonitorList is a list of PodMonitors.
type PodMonitorList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	// Items are the PodMonitors.
	Items []PodMonitor `json:"items"`
}

// DeepCopyInto makes another one the same, with nothing shared.
func (l *PodMonitorList) DeepCopyInto(copied *PodMonitorList) {
	*copied = *l
	l.ListMeta.DeepCopyInto(&copied.ListMeta)
	copied.Items = slices.Clone(l.Items)
	for i := range l.Items {
		l.Items[i].DeepCopyInto(&copied.Items[i])
	}
}

// DeepCopyObject implements runtime.Object.
func (l *PodMonitorList) DeepCopyObject() runtime.Object {
	copied := &PodMonitorList{}
	l.DeepCopyInto(copied)
	return copied
}

// PodMonitorApplyConfiguration is what to apply of a PodMonitor.
type PodMonitorApplyConfiguration struct {
	metav1ac.TypeMetaApplyConfiguration    `json:",inline"`
	*metav1ac.ObjectMetaApplyConfiguration `json:"metadata,omitempty"`

	// Spec is what is to be scraped.
	Spec *PodMonitorSpecApplyConfiguration `json:"spec,omitempty"`
}

// PodMonitorSpecApplyConfiguration says which pods are scraped, and how.
type PodMonitorSpecApplyConfiguration struct {
	// Selector selects the pods, in the namespace of the PodMonitor.
	Selector *metav1ac.LabelSelectorApplyConfiguration `json:"selector,omitempty"`
	// PodMetricsEndpoints are the ports that are scraped. The list belongs to one writer as a whole.
	PodMetricsEndpoints []PodMetricsEndpointApplyConfiguration `json:"podMetricsEndpoints,omitempty"`
}

// PodMetricsEndpointApplyConfiguration is a port that is scraped. A pod without a port of that name is left out.
type PodMetricsEndpointApplyConfiguration struct {
	// Port is the name of a port of the container.
	Port string `json:"port,omitempty"`
	// Path is where the metrics are.
	Path string `json:"path,omitempty"`
	// Relabelings give labels to all that is scraped.
	Relabelings []RelabelConfigApplyConfiguration `json:"relabelings,omitempty"`
}

// RelabelConfigApplyConfiguration makes a label of others.
type RelabelConfigApplyConfiguration struct {
	// SourceLabels are the labels whose values are put together.
	SourceLabels []string `json:"sourceLabels,omitempty"`
	// TargetLabel is the label that gets the value.
	TargetLabel string `json:"targetLabel,omitempty"`
	// Action is what is done. The API server would fill in "replace".
	Action string `json:"action,omitempty"`
}

// NewPodMonitor returns what to apply of the PodMonitor of a name in a namespace.
func NewPodMonitor(name, namespace string) *PodMonitorApplyConfiguration {
	m := &PodMonitorApplyConfiguration{ObjectMetaApplyConfiguration: metav1ac.ObjectMeta().WithName(name).WithNamespace(namespace)}
	m.WithKind("PodMonitor").WithAPIVersion(GroupVersion.String())
	return m
}

// IsApplyConfiguration implements runtime.ApplyConfiguration.
func (*PodMonitorApplyConfiguration) IsApplyConfiguration() {}

// WithLabels adds labels.
func (m *PodMonitorApplyConfiguration) WithLabels(labels map[string]string) *PodMonitorApplyConfiguration {
	m.ObjectMetaApplyConfiguration.WithLabels(labels)
	return m
}

// WithAnnotations adds annotations.
func (m *PodMonitorApplyConfiguration) WithAnnotations(annotations map[string]string) *PodMonitorApplyConfiguration {
	m.ObjectMetaApplyConfiguration.WithAnnotations(annotations)
	return m
}

// WithOwnerReferences adds owners.
func (m *PodMonitorApplyConfiguration) WithOwnerReferences(owners ...*metav1ac.OwnerReferenceApplyConfiguration) *PodMonitorApplyConfiguration {
	m.ObjectMetaApplyConfiguration.WithOwnerReferences(owners...)
	return m
}

// WithUID makes the apply insist on one object.
func (m *PodMonitorApplyConfiguration) WithUID(uid types.UID) *PodMonitorApplyConfiguration {
	m.ObjectMetaApplyConfiguration.WithUID(uid)
	return m
}

// WithResourceVersion makes the apply insist on one version of it.
func (m *PodMonitorApplyConfiguration) WithResourceVersion(version string) *PodMonitorApplyConfiguration {
	m.ObjectMetaApplyConfiguration.WithResourceVersion(version)
	return m
}

// WithSpec sets what is to be scraped.
func (m *PodMonitorApplyConfiguration) WithSpec(spec *PodMonitorSpecApplyConfiguration) *PodMonitorApplyConfiguration {
	m.Spec = spec
	return m
}
