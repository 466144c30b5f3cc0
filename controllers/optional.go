package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

const (
	// kindRetry is how soon a GinService is looked at again whose child of an optional kind lacks something.
	kindRetry = 10 * time.Second
	// kindUnreadRetry is how soon that is while the cache fills.
	kindUnreadRetry = 5 * time.Second
	// kindAskInterval is how often the API server is asked for a kind at most, for all GinServices that wait for it.
	kindAskInterval = time.Second
)

// kindState is how much of an optional kind is known.
type kindState int

const (
	// kindMissing says that the cluster has none of it.
	kindMissing kindState = iota
	// kindUnread says that the cache has yet to be filled.
	kindUnread
	// kindRead says that the cache has all.
	kindRead
)

// optionalKind finds out whether the cluster has a kind, at any time, and watches it from then on. Unlike the other children's kinds, it
// may come later than the operator, and nothing else waits for it.
type optionalKind struct {
	object   client.Object        // an empty one
	discover func() (bool, error) // whether the API server has the kind
	cache    cache.Informers
	watch    func() error

	mutex    sync.Mutex
	asked    time.Time      // zero: not yet, or in vain
	missing  bool           // that is what the answer was
	informer cache.Informer // nil until there is something to watch
}

// newOptionalKind returns a kind for a controller, in whose queue owner puts the GinServices of objects that there is news of.
func newOptionalKind(mgr ctrl.Manager, ginServices controller.Controller, owner handler.EventHandler, of schema.GroupVersionResource, object client.Object,
	news predicate.Predicate,
) (*optionalKind, error) {
	server, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("making a client to look for %s: %w", of.Resource, err)
	}
	kind := &optionalKind{object: object, discover: func() (bool, error) { return serves(server, of) }, cache: mgr.GetCache()}
	kind.watch = func() error {
		return ginServices.Watch(kindSource{source.Kind(mgr.GetCache(), object, owner, news), kind.String()})
	}
	return kind, nil
}

// kindSource has a text for the log.
type kindSource struct {
	source.TypedSource[reconcile.Request]

	text string
}

// MarshalText implements encoding.TextMarshaler.
func (s kindSource) MarshalText() ([]byte, error) { return []byte(s.text), nil }

// serves reports whether an API server has a resource.
func serves(server discovery.ServerResourcesInterface, of schema.GroupVersionResource) (bool, error) {
	list, err := server.ServerResourcesForGroupVersion(of.GroupVersion().String())
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == of.Resource }), nil
}

// String returns what objects of the kind are called.
func (k *optionalKind) String() string { return kindOf(k.object) + "s" }

// state returns what is known. The API server is asked once, and again from time to time where somebody wants such a child. Nobody waits for
// somebody else's question.
func (k *optionalKind) state(ctx context.Context, wanted bool, now time.Time) (kindState, error) {
	if k == nil {
		return kindMissing, nil
	}
	known, ask := k.known(wanted, now)
	if !ask {
		return known, nil
	}
	there, err := k.discover()
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.missing = err == nil && !there
	if there {
		err = k.begin(ctx)
	}
	switch {
	case err != nil:
		k.asked = time.Time{}
		return kindUnread, fmt.Errorf("looking for %s: %w", k, err)
	case k.missing:
		return kindMissing, nil
	default:
		return kindUnread, nil
	}
}

// known returns what is known, and whether whoever asks has to find out.
func (k *optionalKind) known(wanted bool, now time.Time) (kindState, bool) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	switch {
	case k.informer != nil && k.informer.HasSynced():
		return kindRead, false
	case k.informer != nil:
		return kindUnread, false
	case k.asked.IsZero(), wanted && k.missing && !now.Before(k.asked.Add(kindAskInterval)):
		k.asked = now
		return kindUnread, true
	case k.missing:
		return kindMissing, false
	default:
		return kindUnread, false
	}
}

// begin watches the kind from now on.
func (k *optionalKind) begin(ctx context.Context) error {
	if k.informer != nil {
		return nil
	}
	informer, err := k.cache.GetInformer(ctx, k.object, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	if err := k.watch(); err != nil {
		return err
	}
	k.informer = informer
	return nil
}

// lost ends the watch, because the API server has the kind no longer: a cache that can't be filled would stay as it was.
func (k *optionalKind) lost(ctx context.Context, now time.Time) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.informer == nil {
		return
	}
	k.informer, k.missing, k.asked = nil, true, now
	if err := k.cache.RemoveInformer(ctx, k.object); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Ending the watch", "kind", k.String())
	}
}

// childObject is a pointer to an object, which may be nil.
type childObject interface {
	comparable
	client.Object
}

// optionalChild is what one pass knows of a child of such a kind.
type optionalChild[L childObject] struct {
	known   kindState
	wanted  bool
	live    L
	current bool     // it is what was asked for last
	trouble *problem // why it can't be written, or nil
	later   bool     // something is left to do, and no event tells when
}

// observeOptional reads a child of an optional kind, if that can be had: all else goes on without. wanted is its intent, or the nil of its
// type.
func observeOptional[T intent[T], L childObject](ctx context.Context, r *Reconciler, gs *v1alpha1.GinService, kind *optionalKind, name string,
	wanted T, into L,
) (optionalChild[L], error) {
	var none T
	var absent L
	child := optionalChild[L]{wanted: wanted != none}
	var err error
	if child.known, err = kind.state(ctx, child.wanted, r.Clock.Now()); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Going on without a kind of child", "kind", kindOf(absent))
	}
	if child.known != kindRead {
		return child, nil
	}
	// The cache may never show what was written last, once somebody takes the kind out of the cluster: nothing waits for that.
	if child.live, err = read(ctx, r.Client, gs, name, into, client.DisableReadYourWritesConsistency); err != nil {
		return child, err
	}
	if child.wanted && child.live != absent {
		hash, err := hashOf(wanted)
		if err != nil {
			return child, fmt.Errorf("reading the intent for the %s: %w", kindOf(absent), err)
		}
		child.current = child.live.GetAnnotations()[annotationIntent] == hash
	}
	return child, nil
}

// applyOptional writes a child of an optional kind, or deletes it where it is wanted no longer. What goes wrong with it is told by its own
// condition, and nothing else waits for it.
func applyOptional[T intent[T], L childObject](ctx context.Context, r *Reconciler, gs *v1alpha1.GinService, kind *optionalKind, child *optionalChild[L],
	wanted recipe[T],
) {
	if child.known != kindRead {
		return
	}
	var err error
	if child.wanted {
		err = apply(ctx, r, gs, wanted, child.live, anyVersion)
	} else {
		err = r.prune(ctx, gs, child.live, controls(gs, child.live))
	}
	if err == nil {
		return
	}
	_, postponed := errors.AsType[*postponedError](err)
	switch child.later = true; {
	case apierrors.IsNotFound(err):
		kind.lost(ctx, r.Clock.Now())
		child.known = kindMissing
	case apierrors.IsConflict(err) || postponed:
		// The cache is behind, mostly by no more than a moment: the event of what it lacks is on its way.
	default:
		ctrl.LoggerFrom(ctx).Error(err, "Writing a child", "kind", kindOf(child.live))
		if child.trouble = problemOf(err); child.trouble == nil {
			child.trouble = &problem{
				reason:  v1alpha1.ReasonReconcileError,
				message: fmt.Sprintf("writing the %s fails and is tried again: %v", kindOf(child.live), err),
			}
		}
	}
}

// nextLook returns when to look again for what the child needs: 0 is never.
func (c *optionalChild[L]) nextLook() time.Duration {
	switch {
	case c.later, c.wanted && c.known == kindMissing:
		return kindRetry
	case c.wanted && c.known == kindUnread:
		return kindUnreadRetry
	default:
		return 0
	}
}

// tell puts into a condition what there is to say of the child as long as nobody else has to be asked, and reports whether that is all.
// The condition comes with its type, and Unknown with its reason. missing is the reason where the cluster lacks the kind, and remedy what
// to do about that.
func (c *optionalChild[L]) tell(all *conditions, condition *metav1.Condition, missing, remedy string) bool {
	kind := kindOf(c.live)
	before := apimeta.FindStatusCondition(all.status.Conditions, condition.Type)
	switch {
	case c.known == kindMissing:
		condition.Status, condition.Reason = metav1.ConditionFalse, missing
		condition.Message = fmt.Sprintf("the cluster has no %ss, and all else works without: %s", kind, remedy)
	case c.trouble != nil:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, c.trouble.reason, c.trouble.message
	case before != nil && before.ObservedGeneration == all.gs.Generation && (c.known == kindUnread || suspended(all.gs)):
		*condition = *before // of which there is no news
	case c.known == kindUnread:
		condition.Message = fmt.Sprintf("the %ss of the cluster are being read: if that takes long, see the log of the operator for what it lacks", kind)
	case !controls(all.gs, c.live):
		condition.Message = fmt.Sprintf("there is no %s yet", kind)
	case !c.current:
		condition.Message = fmt.Sprintf("the %s is being written", kind)
	default:
		return false
	}
	return true
}

// announceOptional tells what keeps children of optional kinds from being of use.
func (r *Reconciler) announceOptional(o *observation, report *v1alpha1.GinServiceStatus) {
	for _, about := range []struct{ condition, action string }{{v1alpha1.ConditionRouteAccepted, "Route"}, {v1alpha1.ConditionMonitored, "Monitor"}} {
		before := apimeta.FindStatusCondition(o.gs.Status.Conditions, about.condition)
		after := apimeta.FindStatusCondition(report.Conditions, about.condition)
		if after != nil && after.Status == metav1.ConditionFalse && (before == nil || before.Reason != after.Reason || before.Message != after.Message) {
			r.tell(o, corev1.EventTypeWarning, after.Reason, about.action, after.Message)
		}
	}
}
