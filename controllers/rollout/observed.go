package rollout

import (
	"maps"
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// Observed is everything that a plan depends on, as it was at one moment.
type Observed struct {
	// Now is the time of the observation. All timers are compared with it.
	Now time.Time
	// Spec is the GinService's spec.
	Spec *v1alpha1.GinServiceSpec
	// Wanted is the revision of Spec.
	Wanted string
	// Restart says that Wanted is what a colour holds already, with new pods: that needs no approval.
	Restart bool
	// Approved is the value of the annotation that approves a promotion, or "".
	Approved string
	// Aborted is the value of the annotation that stops the rollout of a revision, or "".
	Aborted string
	// Retry is the value of the annotation that starts the rollout of a revision anew, or "".
	Retry string
	// Verdict is what an analysis says of the rollout that Rollout records.
	Verdict Verdict
	// Rollout is the record in status of the rollout that is under way or was the latest, or nil.
	Rollout *v1alpha1.RolloutStatus
	// LastActive is status.activeColor. It counts only where the active Service is missing or selects a colour that has nothing to serve with.
	LastActive v1alpha1.Color
	// LastRevision is status.activeRevision, or "". It counts only where LastActive does, or has lost its Deployment.
	LastRevision string
	// Selected is the colour that the live active Service selects, or "" where it is missing or selects none. Where it selects both, it is
	// the one that served before.
	Selected v1alpha1.Color
	// Both says whether it selects both colours.
	Both bool
	// Colors are the colours that have a Deployment.
	Colors map[v1alpha1.Color]Color
	// ActiveEndpoints are the ready endpoints in the EndpointSlices of the active Service, by colour.
	ActiveEndpoints map[v1alpha1.Color]int32
	// PreviewEndpoints are those of the preview Service, as far as its EndpointSlices were made for what it selects now.
	PreviewEndpoints map[v1alpha1.Color]int32
	// Previewed is what the live preview Service selects.
	Previewed Preview
}

// Color is the observed state of a colour's Deployment.
type Color struct {
	// Revision is the revision that the Deployment holds.
	Revision string
	// Replicas is the number of pods that the Deployment wants.
	Replicas int32
	// Current is the number of its pods, of whatever template.
	Current int32
	// Updated is the number of its pods of the newest template.
	Updated int32
	// Available is the number of its pods that are available.
	Available int32
	// Settled says whether the numbers above are of the Deployment as it is now.
	Settled bool
}

// Uniform reports whether all pods of the colour are known to be of its revision.
func (c Color) Uniform() bool { return c.Settled && c.Updated == c.Current }

// Fresh returns the number of available pods of the newest template. Until old pods are gone it is not known which of them the available
// ones are: they come first.
func (c Color) Fresh() int32 {
	return min(c.Updated, max(0, c.Available-(c.Current-c.Updated)))
}

// Preview is what the preview Service selects: one revision in one colour.
type Preview struct {
	Color    v1alpha1.Color
	Revision string
}

// Active returns the colour that serves. The live selector is the truth, unless it leads nowhere. Where it is missing, what comes nearest
// to what served last is taken: the colour in status, then the colour with the most pods available.
func (o Observed) Active() v1alpha1.Color {
	switch {
	case o.astray():
		return o.LastActive
	case o.Selected.Valid():
		return o.Selected
	}
	if _, exists := o.Colors[o.LastActive]; exists || (o.LastActive.Valid() && o.LastRevision != "") {
		return o.LastActive
	}
	blue, hasBlue := o.Colors[v1alpha1.Blue]
	green, hasGreen := o.Colors[v1alpha1.Green]
	if hasGreen && (!hasBlue || green.Available > blue.Available) {
		return v1alpha1.Green
	}
	return v1alpha1.Blue
}

// astray reports whether the active Service selects a colour that has nothing to serve with, while what served last still has healthy pods:
// somebody has moved the selector, or what traffic was moved to is lost before the move was confirmed.
func (o Observed) astray() bool {
	last, lasts := o.Colors[o.LastActive]
	if !o.Selected.Valid() || o.Both || o.LastActive != o.Selected.Other() || !lasts || last.Revision != o.LastRevision || last.Available == 0 {
		return false
	}
	selected := o.Colors[o.Selected]
	empty := selected.Replicas == 0 && selected.Current == 0
	// Its numbers may be those of an older state of the Deployment. Traffic that was moved there by this operator was moved to pods that
	// it had counted, though, and going back to healthy ones takes it from nobody.
	return (empty || selected.Available == 0) && o.ActiveEndpoints[o.Selected] == 0 && o.serving(o.LastActive) > 0
}

// restored returns the observation with the Deployment that serves, if it is lost: as it was, but without pods. What served comes back
// before anything newer is thought of.
func (o Observed) restored() Observed {
	current := o.Active()
	_, exists := o.Colors[current]
	if exists || current != o.LastActive || o.LastRevision == "" || o.LastRevision == o.Wanted {
		return o
	}
	colors := map[v1alpha1.Color]Color{current: {Revision: o.LastRevision, Replicas: o.serving(current)}}
	maps.Copy(colors, o.Colors)
	o.Colors = colors
	return o
}

// serving returns the number of pods that the colour which serves is to have. A spec.replicas that is missing keeps what runs. What has never
// run starts with a pod, also where the autoscaler's minimum is 0: an autoscaler never leaves a zero that it has not gone to by itself.
func (o Observed) serving(active v1alpha1.Color) int32 {
	switch live, exists := o.Colors[active]; {
	case o.Spec.Replicas != nil:
		return *o.Spec.Replicas
	case exists:
		return live.Replicas
	case o.Spec.Autoscaling != nil && o.Spec.Autoscaling.MinReplicas != nil:
		return max(1, *o.Spec.Autoscaling.MinReplicas)
	default:
		return 1
	}
}

// ready reports whether a colour has at least count pods available, all of a revision, and the EndpointSlices of the preview Service show
// them.
func (o Observed) ready(color v1alpha1.Color, revision string, count int32) bool {
	live, exists := o.Colors[color]
	return exists && live.Revision == revision && live.Uniform() && live.Updated >= count && live.Available >= count &&
		o.Previewed == (Preview{Color: color, Revision: revision}) && o.PreviewEndpoints[color] >= count
}

// confirmed reports whether the EndpointSlices of the active Service show the colour alone.
func (o Observed) confirmed(active v1alpha1.Color, count int32) bool {
	if o.Selected != active || o.Both || o.ActiveEndpoints[active.Other()] > 0 {
		return false
	}
	return o.ActiveEndpoints[active] >= min(count, max(1, o.Colors[active].Available))
}
