package v1alpha1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Autoscaling makes a HorizontalPodAutoscaler that targets the GinService's /scale.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",message="autoscaling.minReplicas: must not be greater than maxReplicas"
type Autoscaling struct {
	// minReplicas is the lower bound of the number of pods. Default: 1.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
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
	// +kubebuilder:validation:MaxItems=16
	Metrics []Metric `json:"metrics,omitempty"`

	// behavior limits how fast the number of pods changes; it is passed through to the HorizontalPodAutoscaler. Default: that of
	// Kubernetes.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(!has(self.scaleUp) || [self.scaleUp].all(r, !has(r.stabilizationWindowSeconds) || (r.stabilizationWindowSeconds >= 0 && r.stabilizationWindowSeconds <= 3600))) && (!has(self.scaleDown) || [self.scaleDown].all(r, !has(r.stabilizationWindowSeconds) || (r.stabilizationWindowSeconds >= 0 && r.stabilizationWindowSeconds <= 3600)))",message="autoscaling.behavior: stabilizationWindowSeconds must be from 0 to 3600"
	// +kubebuilder:validation:XValidation:rule="(!has(self.scaleUp) || [self.scaleUp].all(r, !has(r.selectPolicy) || r.selectPolicy in ['Max', 'Min', 'Disabled'])) && (!has(self.scaleDown) || [self.scaleDown].all(r, !has(r.selectPolicy) || r.selectPolicy in ['Max', 'Min', 'Disabled']))",message="autoscaling.behavior: selectPolicy must be Max, Min or Disabled"
	Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior,omitempty"`
}

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
	AverageValue *resource.Quantity `json:"averageValue,omitempty"`

	// value is the wanted total, as a quantity, for types Object and External.
	// +optional
	Value *resource.Quantity `json:"value,omitempty"`
}

// MetricObjectReference names an object in the GinService's namespace.
type MetricObjectReference struct {
	// apiVersion is the group and version of the object, such as "networking.k8s.io/v1".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	APIVersion string `json:"apiVersion,omitempty"`

	// kind is the kind of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// name is the name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}
