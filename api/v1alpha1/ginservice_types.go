package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// GinService runs a Go/Gin HTTP service: two Deployments that take turns, the Services in front of them, the configuration of each
// version, and autoscaling. A change of what reaches the pods is rolled out next to what serves, and traffic moves in one step once
// the new version is ready.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=gsvc,categories=all
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the spec serves all traffic"
// +kubebuilder:printcolumn:name="Active",type=string,JSONPath=`.status.activeColor`,description="The colour that serves"
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.status.activeRevision`,description="The revision that serves"
// +kubebuilder:printcolumn:name="Preview",type=string,JSONPath=`.status.previewRevision`,description="The revision that is being prepared"
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.status.rollout.step`,description="Where the latest rollout is"
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicas`,description="Pods of the colour that serves"
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`,description="The image that is wanted"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 52",message="metadata.name: must be at most 52 characters, so that the names of the Deployments, Services and pods made from it fit"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name: must be lower-case letters, digits and '-', begin with a letter and end with a letter or digit, because it becomes the name of a Service"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.autoscaling) || !has(self.spec.autoscaling.minReplicas) || self.spec.autoscaling.minReplicas > 0 || !has(self.spec.autoscaling.metrics) || !self.spec.autoscaling.metrics.exists(m, m.type in ['Object', 'External']) || self.spec.autoscaling.metrics.exists(m, m.type == 'External' || (m.type == 'Object' && !(has(m.object) && m.object.kind == 'GinService' && m.object.apiVersion.startsWith('apps.gin-operator.dev/') && m.object.name == self.metadata.name)))",fieldPath=".spec.autoscaling.metrics",message="autoscaling.metrics: minReplicas 0 needs a metric of type Object or External of something else than this GinService, which without pods has nothing to count and would never get any"
type GinService struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is wanted.
	// +required
	Spec GinServiceSpec `json:"spec,omitzero"`

	// status is what was observed. The operator writes it.
	// +optional
	Status GinServiceStatus `json:"status,omitzero"`
}

// GinServiceList is a list of GinServices.
//
// +kubebuilder:object:root=true
type GinServiceList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the GinServices.
	Items []GinService `json:"items"`
}

// GinServiceSpec is what is wanted of a GinService.
//
// +kubebuilder:validation:XValidation:rule="!has(self.progressDeadlineSeconds) || !has(self.minReadySeconds) || self.progressDeadlineSeconds > self.minReadySeconds",message="progressDeadlineSeconds: must be greater than minReadySeconds, or no rollout could ever end in time"
// +kubebuilder:validation:XValidation:rule="!has(self.autoscaling) || !has(self.autoscaling.metrics) || !has(self.resources) || !has(self.resources.requests) || !('cpu' in self.resources.requests) || quantity(string(self.resources.requests['cpu'])).isGreaterThan(quantity('0')) || !self.autoscaling.metrics.exists(m, m.type == 'CPU' && has(m.averageUtilization))",message="autoscaling.metrics: averageUtilization is a share of resources.requests.cpu, which is 0: ask for CPU, or use averageValue"
type GinServiceSpec struct {
	// WorkloadSpec is the part that reaches the pods. A change of any of it makes a new revision.
	WorkloadSpec `json:",inline"`

	// replicas is the number of pods of the colour that serves. It is what /scale reads and writes: leave it out with autoscaling,
	// and the HorizontalPodAutoscaler owns it. Left out, the operator fills it in from what runs, or else
	// with the greater of autoscaling.minReplicas and 1. Removing it later keeps what runs.
	// As long as it is not there, the API server answers a GET of /scale with an error; a write of /scale sets it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	Replicas *int32 `json:"replicas,omitempty"`

	// service shapes the Service that takes the traffic. Default: a ClusterIP Service on port 80.
	// +optional
	// +kubebuilder:default={}
	Service ServiceSpec `json:"service,omitzero"`

	// route makes an HTTPRoute where the cluster has the Gateway API. Default: none.
	// +optional
	Route *Route `json:"route,omitempty"`

	// network makes a NetworkPolicy that lets nobody reach the pods but those it names. Default: none, so that who may call is not restricted
	// by this GinService.
	// +optional
	Network *Network `json:"network,omitempty"`

	// monitoring says how Prometheus finds the pods. Default: by annotations of the Service that takes the traffic.
	// +optional
	// +kubebuilder:default={}
	Monitoring Monitoring `json:"monitoring,omitzero"`

	// strategy says how a new revision replaces the old one. Default: blue/green with automatic promotion.
	// +optional
	// +kubebuilder:default={}
	Strategy Strategy `json:"strategy,omitzero"`

	// progressDeadlineSeconds is how long, in seconds, a new revision may take to become ready before its rollout is given up and
	// traffic stays where it is. It counts from the start of the revision: restarts and scaling don't extend it, except for a
	// preview that comes back from zero, and waiting for a promotion doesn't use it up. Default: 600.
	// +optional
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`

	// minReadySeconds is how long, in seconds, a pod must be ready before it counts as available. Default: 0.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	MinReadySeconds *int32 `json:"minReadySeconds,omitempty"`

	// revisionHistoryLimit is how many old revisions are kept, each with its configuration, beside those that the two colours hold.
	// Default: 10.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`

	// autoscaling makes a HorizontalPodAutoscaler that targets this GinService. Left out: the number of pods is replicas.
	// +optional
	Autoscaling *Autoscaling `json:"autoscaling,omitempty"`

	// disruptionBudget limits how many pods of the colour that serves a node drain may evict at once. By default, one at a time
	// wherever more than one replica is wanted.
	// +optional
	// +kubebuilder:default={}
	DisruptionBudget DisruptionBudget `json:"disruptionBudget,omitzero"`

	// suspend stops the operator from writing anything but status. What runs keeps running, and a HorizontalPodAutoscaler that
	// exists keeps asking for replicas, which take effect when suspend ends. Default: false.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`
}

// ServiceSpec shapes the Service that takes the traffic.
//
// +kubebuilder:validation:XValidation:rule="!has(self.sessionAffinityTimeoutSeconds) || (has(self.sessionAffinity) && self.sessionAffinity == 'ClientIP')",message="service.sessionAffinityTimeoutSeconds: needs sessionAffinity: ClientIP"
type ServiceSpec struct {
	// type is the type of the Service. Default: ClusterIP.
	// +optional
	// +kubebuilder:default=ClusterIP
	Type ServiceType `json:"type,omitempty"`

	// port is the port that clients connect to. Default: 80.
	// +optional
	// +kubebuilder:default=80
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`

	// annotations are put on the Service that takes the traffic, for load balancers and DNS. Annotations that others put there are
	// left alone.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.contains('gin-operator.dev/'))",message="service.annotations: keys under gin-operator.dev/ belong to the operator: choose another prefix"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k.lowerAscii()).hasValue())",message="service.annotations: keys must be letters, digits, '-', '_' and '.', at most 63 of them, with an optional prefix such as example.com/"
	// +kubebuilder:validation:XValidation:rule="self.map(k, k.size() + self[k].size()).sum() <= 262144",message="service.annotations: keys and values together must stay within 256 KiB: make them shorter"
	Annotations map[string]string `json:"annotations,omitempty"`

	// appProtocol is a hint for proxies and meshes about the protocol, such as "kubernetes.io/h2c". Default: none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.qualifiedName().validate(self).hasValue()",message="service.appProtocol: must be a name such as http, or one with a prefix such as kubernetes.io/h2c"
	AppProtocol *string `json:"appProtocol,omitempty"`

	// sessionAffinity binds a client to one pod. Default: None.
	// +optional
	// +kubebuilder:default=None
	SessionAffinity SessionAffinity `json:"sessionAffinity,omitempty"`

	// sessionAffinityTimeoutSeconds is how long, in seconds, a client stays bound with sessionAffinity: ClientIP. Default: 10800.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	SessionAffinityTimeoutSeconds *int32 `json:"sessionAffinityTimeoutSeconds,omitempty"`
}

// ServiceType is the type of a Service.
// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
type ServiceType string

// SessionAffinity says whether a client is bound to one pod.
// +kubebuilder:validation:Enum=None;ClientIP
type SessionAffinity string

// DisruptionBudget limits evictions from the colour that serves.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.minAvailable) && has(self.maxUnavailable))",message="disruptionBudget: set minAvailable or maxUnavailable, not both"
// +kubebuilder:validation:XValidation:rule="!(has(self.mode) && self.mode == 'Disabled') || !(has(self.minAvailable) || has(self.maxUnavailable))",message="disruptionBudget: mode: Disabled goes without minAvailable and maxUnavailable: remove them, or the mode"
type DisruptionBudget struct {
	// mode is Auto for a PodDisruptionBudget wherever more than one replica is wanted, or Disabled for none. Default: Auto.
	// +optional
	// +kubebuilder:default=Auto
	Mode DisruptionBudgetMode `json:"mode,omitempty"`

	// minAvailable is the number, or percentage such as "50%", of pods that an eviction must leave available. Default: none.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})%$')",message="disruptionBudget.minAvailable: must be a number of pods, or a percentage from 0% to 100%"
	MinAvailable *intstr.IntOrString `json:"minAvailable,omitempty"`

	// maxUnavailable is the number, or percentage, of pods that may be unavailable after an eviction. Default: 1, unless
	// minAvailable is set.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})%$')",message="disruptionBudget.maxUnavailable: must be a number of pods, or a percentage from 0% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
}

// DisruptionBudgetMode says whether there is a PodDisruptionBudget.
// +kubebuilder:validation:Enum=Auto;Disabled
type DisruptionBudgetMode string

const (
	// DisruptionBudgetAuto makes a PodDisruptionBudget wherever more than one replica is wanted.
	DisruptionBudgetAuto DisruptionBudgetMode = "Auto"
	// DisruptionBudgetDisabled makes none.
	DisruptionBudgetDisabled DisruptionBudgetMode = "Disabled"
)
