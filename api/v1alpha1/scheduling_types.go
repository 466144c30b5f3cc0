package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Scheduling says which nodes the pods may run on.
type Scheduling struct {
	// nodeSelector are labels that a node must have.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue() && self[k].size() <= 63)",message="scheduling.nodeSelector: keys and values must be those of labels: letters, digits, '-', '_' and '.', at most 63 of them"
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// tolerations are taints that the pods put up with.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.operator) || t.operator in ['Exists', 'Equal', 'Lt', 'Gt'])",message="scheduling.tolerations: operator must be Exists, Equal, Lt or Gt"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.effect) || t.effect in ['NoSchedule', 'PreferNoSchedule', 'NoExecute'])",message="scheduling.tolerations: effect must be NoSchedule, PreferNoSchedule or NoExecute, or left out for all of them"
	// +kubebuilder:validation:XValidation:rule="self.all(t, has(t.key) || (has(t.operator) && t.operator == 'Exists'))",message="scheduling.tolerations: an entry without key needs operator: Exists"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.value) || t.value.size() == 0 || !has(t.operator) || t.operator != 'Exists')",message="scheduling.tolerations: operator Exists takes no value: remove it, or use Equal"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.tolerationSeconds) || has(t.effect) && t.effect == 'NoExecute')",message="scheduling.tolerations: tolerationSeconds needs effect: NoExecute"
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity attracts the pods to nodes, and to or from other pods of the namespace.
	// +optional
	Affinity *Affinity `json:"affinity,omitempty"`

	// topologySpreadConstraints spread the pods over zones or nodes. A constraint without a labelSelector counts the pods of the
	// same GinService and colour.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.whenUnsatisfiable in ['DoNotSchedule', 'ScheduleAnyway'])",message="scheduling.topologySpreadConstraints: whenUnsatisfiable must be DoNotSchedule or ScheduleAnyway"
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.maxSkew >= 1)",message="scheduling.topologySpreadConstraints: maxSkew must be at least 1"
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.topologyKey.size() > 0)",message="scheduling.topologySpreadConstraints: topologyKey must be the label of nodes that makes them one place, such as topology.kubernetes.io/zone"
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// priorityClassName is the PriorityClass of the pods. Default: the cluster's default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="scheduling.priorityClassName: must be the name of a PriorityClass: lower-case letters, digits, '-' and '.'"
	PriorityClassName string `json:"priorityClassName,omitempty"`
}

// Affinity attracts pods to nodes, and to or from other pods of the namespace.
type Affinity struct {
	// nodeAffinity attracts the pods to nodes.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.requiredDuringSchedulingIgnoredDuringExecution) || self.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.size() > 0",message="scheduling.affinity.nodeAffinity: nodeSelectorTerms needs an entry, for no node would do without one"
	NodeAffinity *corev1.NodeAffinity `json:"nodeAffinity,omitempty"`

	// podAffinity attracts the pods to other pods.
	// +optional
	PodAffinity *PodAffinity `json:"podAffinity,omitempty"`

	// podAntiAffinity keeps the pods away from other pods.
	// +optional
	PodAntiAffinity *PodAffinity `json:"podAntiAffinity,omitempty"`
}

// PodAffinity attracts pods to other pods, or keeps them away.
type PodAffinity struct {
	// requiredDuringSchedulingIgnoredDuringExecution must hold for a node to be chosen.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	RequiredDuringSchedulingIgnoredDuringExecution []PodAffinityTerm `json:"requiredDuringSchedulingIgnoredDuringExecution,omitempty"`

	// preferredDuringSchedulingIgnoredDuringExecution add to the rank of a node.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	PreferredDuringSchedulingIgnoredDuringExecution []WeightedPodAffinityTerm `json:"preferredDuringSchedulingIgnoredDuringExecution,omitempty"`
}

// PodAffinityTerm describes pods of the GinService's own namespace.
type PodAffinityTerm struct {
	// labelSelector selects the pods. Default: the pods of the same GinService and colour.
	// +optional
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`

	// topologyKey is the node label whose value makes two nodes one place.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	TopologyKey string `json:"topologyKey,omitempty"`
}

// WeightedPodAffinityTerm is a PodAffinityTerm with a weight.
type WeightedPodAffinityTerm struct {
	// weight is what the term adds to the rank of a node, from 1 to 100.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight,omitempty"`

	// podAffinityTerm describes the pods.
	// +required
	PodAffinityTerm PodAffinityTerm `json:"podAffinityTerm,omitzero"`
}
