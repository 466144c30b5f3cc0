package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// annotationIntent has, on each child, the hash of what was applied to it. A field that is wanted no longer shows only there: the live
// object has it still.
const annotationIntent = "apps.gin-operator.dev/intent"

// neverVersion is a resourceVersion that no object has, because etcd gives its first write a higher one. An apply with it creates an
// object, with its fields owned by Apply from the start, and answers 409 Conflict where the name is taken: what a POST does, less the
// second owner ("Update") that a POST would leave on every field and that would keep later applies from removing any.
const neverVersion = "1"

// intent is what an apply configuration of any child has.
type intent[T any] interface {
	runtime.ApplyConfiguration
	comparable
	GetName() *string
	WithAnnotations(map[string]string) T
	WithUID(types.UID) T
	WithResourceVersion(string) T
}

// guard says what an apply insists on beyond the UID of the object that it changes.
type guard bool

const (
	// anyVersion applies to whatever version the object has by now.
	anyVersion guard = false
	// sameVersion applies only to the version that was observed. Whoever decides on what others may be changing at the same time, such
	// as where traffic goes, needs it: another operator's decision then answers 409 Conflict.
	sameVersion guard = true
)

// recipe is how to make an intent.
type recipe[T any] struct {
	// from is all that it is made of beside the spec of the GinService: with the same of both, build returns the same.
	from  string
	build func() T
}

// made is the recipe of an intent that is there already, because making it costs little.
func made[T any](intent T, from string) recipe[T] {
	return recipe[T]{from: from, build: func() T { return intent }}
}

// apply makes a child what it is wanted to be, if it isn't. live is the child as it was observed, or the nil of its type.
func apply[T intent[T], L interface {
	comparable
	client.Object
}](ctx context.Context, r *Reconciler, gs *v1alpha1.GinService, wanted recipe[T], live L, guarded guard) error {
	var absent L
	kind, service := kindOf(absent), client.ObjectKeyFromObject(gs)
	ours := live != absent && metav1.IsControlledBy(live, gs)
	now := finding{recipe: recipeOf(gs, wanted.from)}
	var before finding
	if ours {
		now.version = versionOf(live)
		before = r.held.of(service, kind+" "+live.GetName())
		if before.recipe == now.recipe && before.version == now.version {
			writes.WithLabelValues(kind, "unchanged").Inc()
			return nil
		}
	}
	built := wanted.build()
	name := *built.GetName()
	var err error
	if now.hash, err = hashOf(built); err != nil {
		return fmt.Errorf("reading the intent for %s %s: %w", kind, name, err)
	}
	built = built.WithAnnotations(map[string]string{annotationIntent: now.hash})
	switch {
	case live == absent:
		built = built.WithResourceVersion(neverVersion)
	case !ours:
		return taken(gs, kind, live)
	default:
		same := before.hash == now.hash && before.version == now.version
		if !same {
			if same, err = holds(live, built, now.hash); err != nil {
				return fmt.Errorf("comparing %s %s: %w", kind, name, err)
			}
		}
		if same {
			r.held.remember(service, kind+" "+name, now)
			writes.WithLabelValues(kind, "unchanged").Inc()
			return nil
		}
		built = built.WithUID(live.GetUID())
		if guarded {
			built = built.WithResourceVersion(live.GetResourceVersion())
		}
	}
	if err := r.mayWrite(gs, kind, name, now.hash); err != nil {
		return err
	}
	return r.send(ctx, gs, built, kind, name, live == absent, newObject[L])
}

// kindOf returns the kind of a child, from its Go type: *v2.HorizontalPodAutoscaler is a HorizontalPodAutoscaler.
func kindOf(child client.Object) string {
	_, kind, _ := strings.Cut(fmt.Sprintf("%T", child), ".")
	return kind
}

// send writes an intent, and finds out who has the name where creating it met a conflict.
func (r *Reconciler) send(ctx context.Context, gs *v1alpha1.GinService, wanted runtime.ApplyConfiguration, kind, name string, creating bool,
	empty func() client.Object,
) error {
	err := r.Client.Apply(ctx, wanted, client.ForceOwnership, client.FieldOwner(FieldOwner))
	switch {
	case err == nil && creating:
		writes.WithLabelValues(kind, "created").Inc()
		return nil
	case err == nil:
		writes.WithLabelValues(kind, "changed").Inc()
		return nil
	case apierrors.IsConflict(err) && creating:
		writes.WithLabelValues(kind, "conflict").Inc()
		return r.explainTaken(ctx, gs, kind, name, empty(), err)
	case apierrors.IsConflict(err):
		writes.WithLabelValues(kind, "conflict").Inc()
	default:
		writes.WithLabelValues(kind, "error").Inc()
	}
	return fmt.Errorf("applying %s %s: %w", kind, name, err)
}

// explainTaken tells a name that something else has from one that is ours: in a cache that is behind, or without the label that the cache
// goes by, which is given back. Either is a conflict: the next pass finds it.
func (r *Reconciler) explainTaken(ctx context.Context, gs *v1alpha1.GinService, kind, name string, into client.Object, conflict error) error {
	if err := r.Live.Get(ctx, client.ObjectKey{Namespace: gs.Namespace, Name: name}, into); err != nil {
		return fmt.Errorf("reading %s %s, whose name is taken: %w", kind, name, err)
	}
	if !metav1.IsControlledBy(into, gs) {
		return taken(gs, kind, into)
	}
	if into.GetLabels()[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy {
		return fmt.Errorf("creating %s %s, which exists: %w", kind, name, conflict)
	}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"uid":%q,"labels":{%q:%q}}}`,
		into.GetUID(), v1alpha1.LabelManagedBy, v1alpha1.ManagedBy))
	if err := r.Client.Patch(ctx, into, patch, client.FieldOwner(FieldOwner)); err != nil {
		return fmt.Errorf("giving %s %s its label back: %w", kind, name, err)
	}
	return fmt.Errorf("creating %s %s, which exists and has its label back: %w", kind, name, conflict)
}

// mayWrite returns an error where the same was written to a child too often of late: something answers each repair with another change.
func (r *Reconciler) mayWrite(gs *v1alpha1.GinService, kind, name, intent string) error {
	wait := r.pace.writeIn(client.ObjectKeyFromObject(gs), kind+" "+name, intent, r.Clock.Now())
	if wait > 0 {
		return &postponedError{kind: kind, name: name, wait: wait}
	}
	return nil
}

// postponedError says that a child has to wait for its repair.
type postponedError struct {
	kind, name string
	wait       time.Duration
}

func (e *postponedError) Error() string {
	return fmt.Sprintf("%s %s was written too often of late: the next time is in %s", e.kind, e.name, e.wait)
}

// nameTakenError says that the name of a child belongs to something that the GinService does not control.
type nameTakenError struct {
	kind, name string
	orphan     bool // it was a child of a GinService of this name, and nothing controls it now
}

func taken(gs *v1alpha1.GinService, kind string, by client.Object) error {
	labels := by.GetLabels()
	return &nameTakenError{
		kind: kind, name: by.GetName(),
		orphan: metav1.GetControllerOf(by) == nil && labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && labels[v1alpha1.LabelInstance] == gs.Name,
	}
}

func (e *nameTakenError) Error() string {
	what := fmt.Sprintf("%s %s exists and does not belong to this GinService, so it is left alone: ", e.kind, e.name)
	if e.orphan {
		return what + "it has the labels of a child and no owner: if it is one, give it its ownerReference back, else delete it"
	}
	return what + "delete or rename it, or choose another name for the GinService"
}

// newObject returns an empty object of a pointer type.
func newObject[L client.Object]() client.Object {
	object, _ := reflect.TypeAssert[L](reflect.New(reflect.TypeFor[L]().Elem()))
	return object
}

// hashOf returns the hash of an intent.
func hashOf(wanted any) (string, error) {
	text, err := json.Marshal(wanted) // fields in the order of their type, and maps sorted
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}
