package invariants

import (
	"fmt"
	"math"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers"
	"github.com/gin-operator/gin-operator/controllers/resources"
)

// replay goes through what was seen, in its order.
type replay struct {
	name    string
	excused []span
	lines   []string
	wrong   []string

	uid      types.UID
	gone     bool     // the GinService is
	replicas int32    // spec.replicas, or -1 while it is missing
	numbers  []number // what the operator may take for spec.replicas: what it has seen last, and all that came later
	held     int32    // what the record of a rollout holds the serving colour at, or -1
	selected v1alpha1.Color
	both     bool
	scales   map[v1alpha1.Color]int32                     // of the Deployments
	ready    map[string]map[string]map[v1alpha1.Color]int // by role and slice
	writes   map[types.UID]written                        // by object
	zero     bool                                         // no pod was wanted, and those that were there have not gone since
}

// span is a time in which nobody has to be reached, in resource versions: what came after from, and not after until.
type span struct{ from, until int64 }

// number is what spec.replicas has been since a generation, or -1.
type number struct {
	generation int64
	replicas   int32
}

func newReplay(name string, excused ...span) *replay {
	return &replay{
		name: name, excused: excused, replicas: -1, held: -1, scales: map[v1alpha1.Color]int32{}, writes: map[types.UID]written{},
		ready: map[string]map[string]map[v1alpha1.Color]int{v1alpha1.RoleActive: {}, v1alpha1.RolePreview: {}},
	}
}

func (r *replay) note(s step, format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf("%d %s", s.version, fmt.Sprintf(format, args...)))
}

func (r *replay) violate(s step, format string, args ...any) {
	line := fmt.Sprintf("%d VIOLATION: %s", s.version, fmt.Sprintf(format, args...))
	r.lines, r.wrong = append(r.lines, line), append(r.wrong, line)
}

func (r *replay) take(s step) {
	r.checkWriter(s)
	switch object := s.object.(type) {
	case *v1alpha1.GinService:
		if object.Name == r.name {
			r.takeGinService(s, object)
		}
	case *corev1.Service:
		if object.Name == r.name && r.owns(object) && !s.gone {
			r.takeService(s, object)
		}
	case *appsv1.Deployment:
		if r.owns(object) {
			r.takeDeployment(s, object)
		}
	case *discoveryv1.EndpointSlice:
		if r.uid != "" && object.Labels[v1alpha1.LabelUID] == string(r.uid) {
			r.takeSlice(s, object)
		}
	}
}

func (r *replay) owns(child client.Object) bool {
	owner := metav1.GetControllerOf(child)
	return owner != nil && r.uid != "" && owner.UID == r.uid
}

// takeGinService checks that what /scale was told survives: only an unset spec.replicas is for the operator to fill in.
func (r *replay) takeGinService(s step, gs *v1alpha1.GinService) {
	if s.gone || !gs.DeletionTimestamp.IsZero() {
		r.gone = true
		r.note(s, "the GinService is deleted")
		return
	}
	if gs.UID != r.uid {
		anew := newReplay(r.name, r.excused...)
		anew.uid, anew.lines, anew.wrong, anew.writes = gs.UID, r.lines, r.wrong, r.writes
		*r = *anew
	}
	before := r.replicas
	if r.replicas = -1; gs.Spec.Replicas != nil {
		r.replicas = *gs.Spec.Replicas
	}
	if r.replicas != before {
		r.numbers = append(r.numbers, number{gs.Generation, r.replicas})
		r.note(s, "spec.replicas: %d", r.replicas)
		if before >= 0 && r.replicas >= 0 && writers(gs, `"f:spec":{`, `"f:replicas":`) == controllers.FieldOwner {
			r.violate(s, "the operator changed spec.replicas from %d to %d", before, r.replicas)
		}
	}
	// The operator writes status against the version that it has read. What it read is no excuse from then on: it reads nothing older any more.
	for len(r.numbers) > 1 && r.numbers[1].generation <= gs.Status.ObservedGeneration {
		r.numbers = r.numbers[1:]
	}
	if r.held = -1; gs.Status.Rollout != nil && gs.Status.Rollout.HeldReplicas != nil {
		r.held = *gs.Status.Rollout.HeldReplicas
	}
	r.zero = r.zero || r.least() == 0
}

// least returns the smallest number of pods that the operator may take for what is wanted. A spec.replicas that is missing keeps what runs.
func (r *replay) least() int32 {
	least := int32(math.MaxInt32)
	for _, n := range r.numbers {
		if n.replicas >= 0 {
			least = min(least, n.replicas)
		}
	}
	return least
}

// takeService checks what the operator has the active Service select: never nothing, and no colour without ready pods while the other one has
// some. It is checked where the selector changes, and at no other time: a colour may lose its pods while it is selected, and traffic does not
// go back by itself then. It does where status still names the other colour, but not before the operator's caches show all of this, which no
// resource version tells. What is promised at every moment is that the other colour's pods stay: see checkScaleDown.
func (r *replay) takeService(s step, service *corev1.Service) {
	color := v1alpha1.Color(service.Spec.Selector[v1alpha1.LabelColor])
	serving := v1alpha1.Color(service.Annotations[resources.AnnotationServing])
	both := len(service.Spec.Selector) == 1 && service.Spec.Selector[v1alpha1.LabelUID] == string(r.uid) && serving.Valid()
	if both {
		color = serving
	}
	if color == r.selected && both == r.both {
		return
	}
	by := writers(service, `"f:spec":{`, `"f:selector":`)
	r.note(s, "the active Service selects %q, both: %t, by %s", color, both, by)
	switch {
	case by != controllers.FieldOwner:
	case !color.Valid():
		r.violate(s, "the active Service selects %v", service.Spec.Selector)
	case r.selected.Valid() && !both && r.least() > 0 && r.count(color) == 0 && r.count(color.Other()) > 0:
		r.violate(s, "the active Service selects %s, which has no ready pod, and %s has", color, color.Other())
	}
	r.selected, r.both = color, both
}

// count returns how many ready endpoints of a colour either Service has.
func (r *replay) count(color v1alpha1.Color) int {
	return max(r.behind(v1alpha1.RoleActive, color), r.behind(v1alpha1.RolePreview, color))
}

func (r *replay) behind(role string, color v1alpha1.Color) (n int) {
	for _, slice := range r.ready[role] {
		n += slice[color]
	}
	return n
}

// takeDeployment checks that the operator takes no pods from what serves, unless spec.replicas says so, nor from the last healthy colour.
func (r *replay) takeDeployment(s step, deployment *appsv1.Deployment) {
	color := v1alpha1.Color(deployment.Labels[v1alpha1.LabelColor])
	before, known := r.scales[color]
	if s.gone {
		r.note(s, "%s is deleted", deployment.Name)
		delete(r.scales, color)
		return
	}
	wants := int32(1)
	if deployment.Spec.Replicas != nil {
		wants = *deployment.Spec.Replicas
	}
	r.scales[color] = wants
	if !known || wants != before {
		r.note(s, "%s wants %d pods", deployment.Name, wants)
	}
	if known && wants < before && !r.gone && writers(deployment, `"f:spec":{`, `"f:replicas":`) == controllers.FieldOwner {
		r.checkScaleDown(s, color, before, wants)
	}
}

// checkScaleDown checks what the operator takes from a colour. Of the last healthy pods it may take those alone that spec.replicas has no use for.
func (r *replay) checkScaleDown(s step, color v1alpha1.Color, before, wants int32) {
	least := r.least()
	if r.held >= 0 && color == r.selected {
		least = min(least, r.held)
	}
	switch other := color.Other(); {
	case color == r.selected && wants < least:
		r.violate(s, "the operator took pods from %s, which serves: %d of %d, and %d are wanted", color, wants, before, r.replicas)
	case color != r.selected && r.behind(v1alpha1.RoleActive, color) > 0 && (!r.both || wants < least): // while both serve, both have as many as are wanted
		r.violate(s, "the operator took pods from %s, which is still in the EndpointSlices of the active Service", color)
	case color != r.selected && wants < least && r.count(other) == 0 && r.count(color) > 0:
		r.violate(s, "the operator took the last healthy pods, those of %s", color)
	}
}

// takeSlice checks that a service that could be reached can be at every moment.
func (r *replay) takeSlice(s step, slice *discoveryv1.EndpointSlice) {
	role := slice.Labels[v1alpha1.LabelRole]
	if r.ready[role] == nil {
		return // somebody has changed the label
	}
	before := r.reachable()
	ready := map[v1alpha1.Color]int{}
	for i := range slice.Endpoints {
		endpoint := &slice.Endpoints[i]
		if endpoint.TargetRef == nil || endpoint.Conditions.Ready != nil && !*endpoint.Conditions.Ready {
			continue
		}
		for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
			if strings.HasPrefix(endpoint.TargetRef.Name, r.name+"-"+string(color)+"-") {
				ready[color]++
			}
		}
	}
	r.ready[role][slice.Name] = ready
	if s.gone {
		delete(r.ready[role], slice.Name)
	}
	r.note(s, "the %s Service has ready: %v", role, ready)
	after := r.reachable()
	if before && !after && !r.gone && !r.zero && !r.excuses(s) {
		r.violate(s, "nobody can be reached any more")
	}
	if !before { // those that were there when no pod was wanted have gone
		r.zero = r.least() == 0
	}
}

func (r *replay) reachable() bool {
	return r.behind(v1alpha1.RoleActive, v1alpha1.Blue)+r.behind(v1alpha1.RoleActive, v1alpha1.Green) > 0
}

func (r *replay) excuses(s step) bool {
	return slices.ContainsFunc(r.excused, func(e span) bool { return e.from < s.version && s.version <= e.until })
}

// written is what an object's managed fields say of the operator.
type written struct {
	when   string
	fields string
}

// checkWriter checks that the operator writes nothing that no GinService controls. Who takes fields away from the operator leaves it with fewer of
// them, and with the time of its own last write.
func (r *replay) checkWriter(s step) {
	if _, own := s.object.(*v1alpha1.GinService); own || s.gone {
		return
	}
	var now written
	for _, entry := range s.object.GetManagedFields() {
		if entry.Manager == controllers.FieldOwner && entry.FieldsV1 != nil {
			now.when += fmt.Sprint(entry.Operation, entry.Time)
			now.fields += entry.FieldsV1.GetRawString()
		}
	}
	before, known := r.writes[s.object.GetUID()]
	r.writes[s.object.GetUID()] = now
	wrote := now.when != before.when || now.fields != before.fields && len(now.fields) >= len(before.fields)
	owner := metav1.GetControllerOf(s.object)
	if (owner == nil || owner.Kind != resources.Kind) && known && now.fields != "" && wrote {
		r.violate(s, "the operator wrote to %T %s, which no GinService controls", s.object, s.object.GetName())
	}
}

// writers returns who has written a field last: the managers of it, separated by commas.
func writers(object client.Object, path ...string) string {
	var managers []string
	for _, entry := range object.GetManagedFields() {
		if entry.FieldsV1 == nil {
			continue
		}
		has := true
		for _, part := range path {
			has = has && strings.Contains(entry.FieldsV1.GetRawString(), part)
		}
		if has {
			managers = append(managers, entry.Manager)
		}
	}
	return strings.Join(managers, ",")
}
