package v1alpha1

import "k8s.io/apimachinery/pkg/util/intstr"

// Strategy says how a new revision replaces the old one.
//
// +kubebuilder:validation:XValidation:rule="!has(self.rollingUpdate) || (has(self.type) && self.type == 'RollingUpdate')",message="strategy.rollingUpdate: needs type: RollingUpdate"
type Strategy struct {
	// type is the kind of rollout. Default: BlueGreen.
	// +optional
	// +kubebuilder:default=BlueGreen
	Type StrategyType `json:"type,omitempty"`

	// blueGreen are the settings of type BlueGreen.
	// +optional
	// +kubebuilder:default={}
	BlueGreen BlueGreen `json:"blueGreen,omitzero"`

	// rollingUpdate are the settings of type RollingUpdate.
	// +optional
	RollingUpdate *RollingUpdate `json:"rollingUpdate,omitempty"`
}

// RollingUpdate are the settings of a rolling update.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.maxSurge) && has(self.maxUnavailable)) || !(string(self.maxSurge).matches('^0+%?$') && string(self.maxUnavailable).matches('^0+%?$'))",message="strategy.rollingUpdate: maxSurge and maxUnavailable can't both be 0, or no pod could be replaced"
// +kubebuilder:validation:XValidation:rule="!has(self.maxSurge) || has(self.maxUnavailable) || !string(self.maxSurge).matches('^0+%?$')",message="strategy.rollingUpdate: maxSurge: 0 needs a maxUnavailable above 0, or no pod could be replaced"
type RollingUpdate struct {
	// maxSurge is the number, or percentage such as "50%", of pods that there may be beyond replicas. Default: 25%.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})%$')",message="strategy.rollingUpdate.maxSurge: must be a number of pods, or a percentage from 0% to 100%"
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`

	// maxUnavailable is the number, or percentage, of pods that may be missing from replicas. Default: 0.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})%$')",message="strategy.rollingUpdate.maxUnavailable: must be a number of pods, or a percentage from 0% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
}

// StrategyType is a kind of rollout.
// +kubebuilder:validation:Enum=BlueGreen;RollingUpdate
type StrategyType string

const (
	// StrategyBlueGreen brings the new revision up beside the old one and moves all traffic in one step.
	StrategyBlueGreen StrategyType = "BlueGreen"
	// StrategyRollingUpdate replaces the pods that serve one by one, or a few at a time.
	StrategyRollingUpdate StrategyType = "RollingUpdate"
)

// BlueGreen are the settings of a blue/green rollout.
//
// +kubebuilder:validation:XValidation:rule="!has(self.autoPromotionSeconds) || !has(self.promotion) || self.promotion == 'Automatic'",message="strategy.blueGreen.autoPromotionSeconds: needs promotion: Automatic; with promotion: Manual only the annotation apps.gin-operator.dev/promote moves traffic"
// +kubebuilder:validation:XValidation:rule="!has(self.autoPromotionSeconds) || !has(self.previewTTLSeconds) || self.autoPromotionSeconds < self.previewTTLSeconds",message="strategy.blueGreen.previewTTLSeconds: must be greater than autoPromotionSeconds, or no preview would live to be promoted"
// +kubebuilder:validation:XValidation:rule="!has(self.overlapSeconds) || (has(self.cutover) && self.cutover == 'Overlap')",message="strategy.blueGreen.overlapSeconds: needs cutover: Overlap"
// +kubebuilder:validation:XValidation:rule="!has(self.postPromotionAnalysis) || !self.postPromotionAnalysis.metrics.exists(m, has(m.ratioToActive))",message="strategy.blueGreen.postPromotionAnalysis: has no ratioToActive, because nobody uses the other version any more: use thresholdRange, or compare in analysis"
type BlueGreen struct {
	// promotion is Automatic to move traffic as soon as the new revision is ready (and autoPromotionSeconds have passed), or
	// Manual to wait until the annotation apps.gin-operator.dev/promote names the revision. A new service's first revision, and
	// going back to the colour that is still warm, need no approval. Default: Automatic.
	// +optional
	// +kubebuilder:default=Automatic
	Promotion Promotion `json:"promotion,omitempty"`

	// autoPromotionSeconds is how long, in seconds, a ready preview waits before it is promoted. Default: 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	AutoPromotionSeconds *int32 `json:"autoPromotionSeconds,omitempty"`

	// previewReplicas is the number of pods of the new revision until its promotion; then it grows to the number that serves, before
	// any traffic moves. Default: the number that serves.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	PreviewReplicas *int32 `json:"previewReplicas,omitempty"`

	// previewTTLSeconds is how long, in seconds, a ready preview may wait to be promoted. After that the rollout is aborted. Default: for
	// ever.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	PreviewTTLSeconds *int32 `json:"previewTTLSeconds,omitempty"`

	// cutover is how traffic moves. Atomic is one change of the Service's selector. With Overlap both colours serve for
	// overlapSeconds in between, for load balancers that take a while to send traffic to new pods. Default: Atomic.
	// +optional
	// +kubebuilder:default=Atomic
	Cutover Cutover `json:"cutover,omitempty"`

	// overlapSeconds is how long, in seconds, both colours serve with cutover: Overlap, counted from when the EndpointSlices show both.
	// Default: 30.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	OverlapSeconds *int32 `json:"overlapSeconds,omitempty"`

	// scaleDownDelaySeconds is how long, in seconds, the old colour keeps its pods after the EndpointSlices show that it takes no
	// more traffic. Going back within that time is one change of a selector. 0 is at once. Default: 30.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	ScaleDownDelaySeconds *int32 `json:"scaleDownDelaySeconds,omitempty"`

	// abortScaleDownDelaySeconds is how long, in seconds, the pods of a preview that failed, or is wanted no longer, stay for
	// someone to look at. 0 is at once. Default: 30.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	AbortScaleDownDelaySeconds *int32 `json:"abortScaleDownDelaySeconds,omitempty"`

	// analysis measures a preview from when it is ready, and keeps it from its promotion until it has passed. The rollout is aborted where it fails.
	// Going back to a colour that is still warm, a first revision, and a service that is scaled to zero before the analysis begins go without.
	// Default: none.
	// +optional
	Analysis *Analysis `json:"analysis,omitempty"`

	// postPromotionAnalysis measures a new version once it alone serves. Until it has passed, the old colour keeps its pods, also beyond
	// scaleDownDelaySeconds, and has at least as many as serve; traffic goes straight back there where it fails. Default: none.
	// +optional
	PostPromotionAnalysis *AnalysisRun `json:"postPromotionAnalysis,omitempty"`
}

// Promotion says who approves a new revision.
// +kubebuilder:validation:Enum=Automatic;Manual
type Promotion string

const (
	// PromotionAutomatic promotes a revision as soon as it is ready.
	PromotionAutomatic Promotion = "Automatic"
	// PromotionManual waits for the annotation AnnotationPromote.
	PromotionManual Promotion = "Manual"
)

// Cutover says how traffic moves from the old colour to the new one.
// +kubebuilder:validation:Enum=Atomic;Overlap
type Cutover string

const (
	// CutoverAtomic changes the selector of the active Service once.
	CutoverAtomic Cutover = "Atomic"
	// CutoverOverlap lets the active Service select both colours for a while before it selects the new one alone.
	CutoverOverlap Cutover = "Overlap"
)
