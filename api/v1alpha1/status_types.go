package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GinServiceStatus is what was observed of a GinService. Nothing in it decides which colour serves: that is the selector of the
// active Service. A status that is lost is rebuilt from the children; only timers start anew.
type GinServiceStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are the state in the form that kubectl wait, Flux and Argo CD read.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// replicas is the number of pods of the colour that serves.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Replicas int32 `json:"replicas"`

	// selector selects the pods of the colour that serves, and no others, in the form that /scale needs.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Selector string `json:"selector,omitempty"`

	// activeColor is the colour that serves.
	// +optional
	// +kubebuilder:validation:Enum=blue;green
	ActiveColor Color `json:"activeColor,omitempty"`

	// activeRevision is the revision that serves.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	ActiveRevision string `json:"activeRevision,omitempty"`

	// previewRevision is the revision that is being prepared in the other colour.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	PreviewRevision string `json:"previewRevision,omitempty"`

	// colors are the colours that have a Deployment.
	// +optional
	// +listType=map
	// +listMapKey=color
	// +kubebuilder:validation:MaxItems=2
	Colors []ColorStatus `json:"colors,omitempty"`

	// rollout is the rollout that is under way, or the latest one.
	// +optional
	Rollout *RolloutStatus `json:"rollout,omitempty"`
}

// ColorRole is what a colour is there for.
// +kubebuilder:validation:Enum=Active;Preview;Warm;Idle
type ColorRole string

const (
	// RoleColorActive is the colour that takes the traffic.
	RoleColorActive ColorRole = "Active"
	// RoleColorPreview is the colour that is being prepared.
	RoleColorPreview ColorRole = "Preview"
	// RoleColorWarm is the colour that took the traffic before, and still has its pods.
	RoleColorWarm ColorRole = "Warm"
	// RoleColorIdle is a colour that wants no pods.
	RoleColorIdle ColorRole = "Idle"
)

// ColorStatus is the state of one colour.
type ColorStatus struct {
	// color is the colour.
	// +required
	// +kubebuilder:validation:Enum=blue;green
	Color Color `json:"color,omitempty"`

	// role is what the colour is there for.
	// +required
	Role ColorRole `json:"role,omitempty"`

	// revision is the revision that the colour holds.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Revision string `json:"revision,omitempty"`

	// image is the image of that revision.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image,omitempty"`

	// replicas is the number of pods that the colour is to have.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Replicas int32 `json:"replicas"`

	// ready is the number of its pods that are available.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Ready int32 `json:"ready"`
}

// RolloutStep is where a rollout is.
// +kubebuilder:validation:Enum=Deploying;WaitingForPromotion;ScalingUp;Overlapping;Switching;Draining;Completed;Failed;Aborted;Cancelled
type RolloutStep string

const (
	// StepDeploying waits until the pods of the new revision are ready.
	StepDeploying RolloutStep = "Deploying"
	// StepWaitingForPromotion waits for the annotation, or for autoPromotionSeconds.
	StepWaitingForPromotion RolloutStep = "WaitingForPromotion"
	// StepScalingUp waits until the new colour has as many ready pods as serve now.
	StepScalingUp RolloutStep = "ScalingUp"
	// StepOverlapping lets both colours serve for strategy.blueGreen.overlapSeconds.
	StepOverlapping RolloutStep = "Overlapping"
	// StepSwitching waits until the EndpointSlices of the active Service show the new colour alone.
	StepSwitching RolloutStep = "Switching"
	// StepDraining keeps the old colour warm for scaleDownDelaySeconds.
	StepDraining RolloutStep = "Draining"
	// StepCompleted is the end of a rollout that moved the traffic.
	StepCompleted RolloutStep = "Completed"
	// StepFailed is the end of a rollout that did not: the stable colour serves on.
	StepFailed RolloutStep = "Failed"
	// StepAborted is the end of a rollout that somebody stopped, or that nobody promoted in time. Traffic stays on the stable colour, or
	// goes back to it.
	StepAborted RolloutStep = "Aborted"
	// StepCancelled is the end of a rollout whose revision was taken back before it was promoted.
	StepCancelled RolloutStep = "Cancelled"
)

// RolloutStatus is the state of a rollout. Each of its timers is a timestamp, so that a restart of the operator loses none.
type RolloutStatus struct {
	// revision is the revision that is rolled out: what the annotation apps.gin-operator.dev/promote has to name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Revision string `json:"revision,omitempty"`

	// step is where the rollout is.
	// +required
	Step RolloutStep `json:"step,omitempty"`

	// since is when the step began.
	// +optional
	Since *metav1.MicroTime `json:"since,omitempty"`

	// until is when the next timer of the step ends: the wait that it is, or the time that it may take at most. Left out where only an event,
	// or somebody, can end it.
	// +optional
	Until *metav1.MicroTime `json:"until,omitempty"`

	// message says what the step waits for, or how the rollout ended.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`

	// rollback says that the revision was still warm when it was asked for again, and so needs no approval.
	// +optional
	Rollback bool `json:"rollback,omitempty"`

	// retry is the value that the annotation apps.gin-operator.dev/retry had while the rollout was under way: only another one retries it.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Retry string `json:"retry,omitempty"`

	// heldReplicas is the number of pods that the serving colour keeps until the switch, because the change that brought the new
	// revision also changed spec.replicas.
	// +optional
	// +kubebuilder:validation:Minimum=0
	HeldReplicas *int32 `json:"heldReplicas,omitempty"`

	// wantedReplicas is the spec.replicas for which heldReplicas holds: once it changes again, that counts for both colours.
	// +optional
	// +kubebuilder:validation:Minimum=0
	WantedReplicas *int32 `json:"wantedReplicas,omitempty"`

	// warmRevision is a revision that has served before and is warm in the other colour, where this one goes into the colour that serves.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	WarmRevision string `json:"warmRevision,omitempty"`

	// replacedRevision is the revision whose pods are replaced, with strategy RollingUpdate: what they go back to if the rollout fails.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	ReplacedRevision string `json:"replacedRevision,omitempty"`

	// startedAt is when the rollout began. progressDeadlineSeconds counts from here.
	// +optional
	StartedAt *metav1.MicroTime `json:"startedAt,omitempty"`

	// readyAt is when the preview was ready for the first time. autoPromotionSeconds counts from here.
	// +optional
	ReadyAt *metav1.MicroTime `json:"readyAt,omitempty"`

	// downAt is since when nobody can be reached, while the revision comes up or waits for its promotion. A preview that is ready 30 s later waits for
	// no autoPromotionSeconds, and for no analysis.
	// +optional
	DownAt *metav1.MicroTime `json:"downAt,omitempty"`

	// approvedAt is when the promotion was approved. progressDeadlineSeconds counts anew from here, for scaling up.
	// +optional
	ApprovedAt *metav1.MicroTime `json:"approvedAt,omitempty"`

	// overlapReplicas is the number of pods of the new colour when both began to serve: once fewer are ready, the old one serves alone again.
	// +optional
	// +kubebuilder:validation:Minimum=0
	OverlapReplicas *int32 `json:"overlapReplicas,omitempty"`

	// overlapAt is when the EndpointSlices showed both colours. overlapSeconds counts from here.
	// +optional
	OverlapAt *metav1.MicroTime `json:"overlapAt,omitempty"`

	// switchedAt is when the EndpointSlices showed the new colour alone, or when most of its pods were healthy again after that. scaleDownDelaySeconds
	// counts from here. It is missing while few of them are.
	// +optional
	SwitchedAt *metav1.MicroTime `json:"switchedAt,omitempty"`

	// endedAt is when the rollout was completed, failed, aborted or cancelled. For all but the first, abortScaleDownDelaySeconds counts from here.
	// +optional
	EndedAt *metav1.MicroTime `json:"endedAt,omitempty"`

	// analysis is how far strategy.blueGreen.analysis has come with the preview.
	// +optional
	Analysis *AnalysisStatus `json:"analysis,omitempty"`

	// postPromotionAnalysis is how far strategy.blueGreen.postPromotionAnalysis has come with what serves.
	// +optional
	PostPromotionAnalysis *AnalysisStatus `json:"postPromotionAnalysis,omitempty"`
}
