package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Autoscaling makes a HorizontalPodAutoscaler that targets the GinService's /scale.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",message="autoscaling.minReplicas: must not be greater than maxReplicas"
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.minReplicas > 0 || (has(self.metrics) && self.metrics.exists(m, m.type in ['Object', 'External']))",message="autoscaling.minReplicas: 0 needs a metric of type Object or External: the other types measure pods, and none is there to be measured"
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.minReplicas > 0 || !has(self.behavior) || !has(self.behavior.scaleUp) || (!has(self.behavior.scaleUp.selectPolicy) || self.behavior.scaleUp.selectPolicy == 'Max' ? !has(self.behavior.scaleUp.policies) || self.behavior.scaleUp.policies.exists(p, p.type == 'Pods') : self.behavior.scaleUp.selectPolicy == 'Min' && has(self.behavior.scaleUp.policies) && self.behavior.scaleUp.policies.all(p, p.type == 'Pods'))",message="autoscaling.behavior.scaleUp: with minReplicas 0 it must let the first pod start, and a percentage of no pods is none: use policies of type Pods, and no selectPolicy Disabled"
type Autoscaling struct {
	// minReplicas is the lower bound of the number of pods. 0 lets the autoscaler take the last one away, and bring pods back when a metric of
	// type Object or External asks for some; it needs such a metric, of something else than this GinService, and Kubernetes 1.37. Default: 1.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the upper bound of the number of pods.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	MaxReplicas int32 `json:"maxReplicas,omitempty"`

	// metrics are what is scaled on; the one that asks for the most pods wins. Default: CPU at 80 % of the request.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Metrics []Metric `json:"metrics,omitempty"`

	// behavior limits how fast the number of pods changes; it is passed through to the HorizontalPodAutoscaler. Default: that of
	// Kubernetes.
	// +optional
	Behavior *ScalingBehavior `json:"behavior,omitempty"`
}

// ScalingBehavior limits how fast the number of pods changes, in each direction.
type ScalingBehavior struct {
	// scaleUp limits growth. Default: the greater of 4 pods and 100 % in 15 seconds, without a stabilisation window.
	// +optional
	ScaleUp *ScalingRules `json:"scaleUp,omitempty"`

	// scaleDown limits shrinking. Default: 100 % in 15 seconds, with a stabilisation window of 300 seconds.
	// +optional
	ScaleDown *ScalingRules `json:"scaleDown,omitempty"`
}

// ScalingRules limit how fast the number of pods changes in one direction. A field that is left out keeps Kubernetes' default.
type ScalingRules struct {
	// stabilizationWindowSeconds is how far back, in seconds, the autoscaler looks for a more careful recommendation than the newest
	// one. Default: 0 for scaleUp, 300 for scaleDown.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	StabilizationWindowSeconds *int32 `json:"stabilizationWindowSeconds,omitempty"`

	// selectPolicy says which of the policies counts: Max for the one that allows the most change, Min for the least, Disabled for no
	// change in this direction. Default: Max.
	// +optional
	SelectPolicy ScalingPolicySelect `json:"selectPolicy,omitempty"`

	// policies are the limits. Default: those of Kubernetes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Policies []ScalingPolicy `json:"policies,omitempty"`

	// tolerance is by how much, as a fraction of the target such as "0.05", a measurement may be off before the number of pods
	// changes. Default: that of the cluster, 0.1.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!quantity(string(self)).isLessThan(quantity('0'))",message="autoscaling.behavior: tolerance must be a fraction such as \"0.05\", not below 0"
	Tolerance *resource.Quantity `json:"tolerance,omitempty"`
}

// ScalingPolicySelect says which policy counts where there are several.
// +kubebuilder:validation:Enum=Max;Min;Disabled
type ScalingPolicySelect string

// ScalingPolicy limits the change in a span of time.
type ScalingPolicy struct {
	// type is Pods for a number of pods, or Percent for a part of those there are.
	// +required
	Type ScalingPolicyType `json:"type,omitempty"`

	// value is that number, or percentage.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Value int32 `json:"value,omitempty"`

	// periodSeconds is the span of time, in seconds.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1800
	PeriodSeconds int32 `json:"periodSeconds,omitempty"`
}

// ScalingPolicyType is the unit of a scaling policy.
// +kubebuilder:validation:Enum=Pods;Percent
type ScalingPolicyType string

// MetricType is a kind of metric.
// +kubebuilder:validation:Enum=CPU;Memory;Pods;Object;External
type MetricType string

const (
	// MetricCPU is the pods' use of CPU.
	MetricCPU MetricType = "CPU"
	// MetricMemory is the pods' use of memory.
	MetricMemory MetricType = "Memory"
	// MetricPods is a custom metric of each pod, averaged over them.
	MetricPods MetricType = "Pods"
	// MetricObject is a custom metric of one other object in the namespace.
	MetricObject MetricType = "Object"
	// MetricExternal is a metric from outside the cluster.
	MetricExternal MetricType = "External"
)

// Metric is one thing to scale on. Which fields belong to it depends on its type:
// CPU: averageUtilization or averageValue; Memory: averageUtilization or averageValue; Pods: name and averageValue;
// Object: name, object and value or averageValue; External: name and value or averageValue.
//
// +kubebuilder:validation:XValidation:rule="(self.type in ['CPU', 'Memory']) ? !has(self.name) : has(self.name)",message="autoscaling.metrics: types Pods, Object and External need a name; types CPU and Memory have none"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Object') == has(self.object)",message="autoscaling.metrics: type Object needs object, and no other type has it"
// +kubebuilder:validation:XValidation:rule="self.type in ['Pods', 'Object', 'External'] || !has(self.selector)",message="autoscaling.metrics: only types Pods, Object and External have a selector"
// +kubebuilder:validation:XValidation:rule="self.type in ['CPU', 'Memory'] || !has(self.averageUtilization)",message="autoscaling.metrics: only types CPU and Memory have averageUtilization: use averageValue"
// +kubebuilder:validation:XValidation:rule="self.type in ['Object', 'External'] || !has(self.value)",message="autoscaling.metrics: only types Object and External have value: use averageValue"
// +kubebuilder:validation:XValidation:rule="[has(self.averageUtilization), has(self.averageValue), has(self.value)].filter(x, x).size() == 1",message="autoscaling.metrics: needs exactly one target: averageUtilization (CPU, Memory), averageValue (all types) or value (Object, External)"
type Metric struct {
	// type is the kind of metric.
	// +required
	Type MetricType `json:"type,omitempty"`

	// name is the name of the metric, for types Pods, Object and External.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self != '.' && self != '..' && !self.contains('/') && !self.contains('%')",message="autoscaling.metrics: name must be that of a metric, and neither be '.' or '..' nor contain '/' or '%'"
	Name string `json:"name,omitempty"`

	// selector narrows the metric down by its labels, for types Pods, Object and External. Default: no restriction.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`

	// object is the object in the GinService's namespace that the metric describes, for type Object.
	// +optional
	Object *MetricObjectReference `json:"object,omitempty"`

	// averageUtilization is the wanted average over the pods, in percent of their request, for types CPU and Memory.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	AverageUtilization *int32 `json:"averageUtilization,omitempty"`

	// averageValue is the wanted average over the pods, as a quantity such as "100" or "500m".
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).isGreaterThan(quantity('0'))",message="autoscaling.metrics: averageValue must be a quantity greater than 0, such as \"100\" or \"500m\""
	AverageValue *resource.Quantity `json:"averageValue,omitempty"`

	// value is the wanted total, as a quantity, for types Object and External.
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).isGreaterThan(quantity('0'))",message="autoscaling.metrics: value must be a quantity greater than 0, such as \"100\" or \"500m\""
	Value *resource.Quantity `json:"value,omitempty"`
}

// MetricObjectReference names an object in the GinService's namespace.
type MetricObjectReference struct {
	// apiVersion is the group and version of the object, such as "networking.k8s.io/v1".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="autoscaling.metrics: object.apiVersion must be a version such as v1, or a group and a version such as networking.k8s.io/v1"
	APIVersion string `json:"apiVersion,omitempty"`

	// kind is the kind of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$')",message="autoscaling.metrics: object.kind must be a kind such as Ingress"
	Kind string `json:"kind,omitempty"`

	// name is the name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self != '.' && self != '..' && !self.contains('/') && !self.contains('%')",message="autoscaling.metrics: object.name must be that of an object, and neither be '.' or '..' nor contain '/' or '%'"
	Name string `json:"name,omitempty"`
}
