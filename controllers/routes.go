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
	"k8s.io/client-go/discovery"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1ac "sigs.k8s.io/gateway-api/applyconfiguration/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

const (
	// routesRetry is how soon a GinService is looked at again whose route lacks something.
	routesRetry = 10 * time.Second
	// routesUnreadRetry is how soon that is while the cache fills.
	routesUnreadRetry = 5 * time.Second
	// routesAskInterval is how often the API server is asked for HTTPRoutes at most, for all GinServices that wait for them.
	routesAskInterval = time.Second
)

// routesState is how much of HTTPRoutes is known.
type routesState int

const (
	// routesMissing says that the cluster has none.
	routesMissing routesState = iota
	// routesUnread says that the cache has yet to be filled.
	routesUnread
	// routesRead says that the cache has all.
	routesRead
)

// routes finds out whether the cluster has HTTPRoutes, at any time, and watches them from then on. Unlike the other children's kinds, theirs
// may come later than the operator, and nothing else waits for them.
type routes struct {
	discover func() (bool, error) // whether the API server has them
	cache    cache.Informers
	watch    func() error

	mutex    sync.Mutex
	asked    time.Time      // zero: not yet, or in vain
	missing  bool           // that is what the answer was
	informer cache.Informer // nil until there is something to watch
}

// newRoutes returns routes for a controller, in whose queue owner puts the GinServices of HTTPRoutes.
func newRoutes(mgr ctrl.Manager, ginServices controller.Controller, owner handler.EventHandler) (*routes, error) {
	server, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("making a client to look for HTTPRoutes: %w", err)
	}
	return &routes{
		discover: func() (bool, error) { return hasHTTPRoutes(server) },
		cache:    mgr.GetCache(),
		watch: func() error {
			return ginServices.Watch(routeSource{source.Kind[client.Object](mgr.GetCache(), &gatewayv1.HTTPRoute{}, owner, routeNews)})
		},
	}, nil
}

// routeSource has a text for the log.
type routeSource struct {
	source.TypedSource[reconcile.Request]
}

// MarshalText implements encoding.TextMarshaler.
func (routeSource) MarshalText() ([]byte, error) { return []byte("HTTPRoutes"), nil }

func hasHTTPRoutes(server discovery.ServerResourcesInterface) (bool, error) {
	list, err := server.ServerResourcesForGroupVersion(gatewayv1.GroupVersion.String())
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == "httproutes" }), nil
}

// state returns what is known. The API server is asked once, and again from time to time where somebody wants a route. Nobody waits for
// somebody else's question.
func (r *routes) state(ctx context.Context, wanted bool, now time.Time) (routesState, error) {
	if r == nil {
		return routesMissing, nil
	}
	known, ask := r.known(wanted, now)
	if !ask {
		return known, nil
	}
	there, err := r.discover()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.missing = err == nil && !there
	if there {
		err = r.begin(ctx)
	}
	switch {
	case err != nil:
		r.asked = time.Time{}
		return routesUnread, fmt.Errorf("looking for HTTPRoutes: %w", err)
	case r.missing:
		return routesMissing, nil
	default:
		return routesUnread, nil
	}
}

// known returns what is known, and whether whoever asks has to find out.
func (r *routes) known(wanted bool, now time.Time) (routesState, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	switch {
	case r.informer != nil && r.informer.HasSynced():
		return routesRead, false
	case r.informer != nil:
		return routesUnread, false
	case r.asked.IsZero(), wanted && r.missing && !now.Before(r.asked.Add(routesAskInterval)):
		r.asked = now
		return routesUnread, true
	case r.missing:
		return routesMissing, false
	default:
		return routesUnread, false
	}
}

// begin watches HTTPRoutes from now on.
func (r *routes) begin(ctx context.Context) error {
	if r.informer != nil {
		return nil
	}
	informer, err := r.cache.GetInformer(ctx, &gatewayv1.HTTPRoute{}, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	if err := r.watch(); err != nil {
		return err
	}
	r.informer = informer
	return nil
}

// lost ends the watch, because the API server has no HTTPRoutes any more: a cache that can't be filled would stay as it was.
func (r *routes) lost(ctx context.Context, now time.Time) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.informer == nil {
		return
	}
	r.informer, r.missing, r.asked = nil, true, now
	if err := r.cache.RemoveInformer(ctx, &gatewayv1.HTTPRoute{}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Ending the watch of HTTPRoutes")
	}
}

// routeObservation is what one pass knows of the HTTPRoute.
type routeObservation struct {
	known   routesState
	live    *gatewayv1.HTTPRoute
	current bool     // it is what was asked for last
	trouble *problem // why it can't be written, or nil
	later   bool     // something is left to do, and no event tells when
}

// observeRoute reads the HTTPRoute, if that can be had: all else goes on without.
func (r *Reconciler) observeRoute(ctx context.Context, o *observation) error {
	var err error
	if o.route.known, err = r.routes.state(ctx, o.gs.Spec.Route != nil, r.Clock.Now()); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Going on without routes")
	}
	if o.route.known != routesRead {
		return nil
	}
	// The cache may never show what was written last, once somebody takes the kind out of the cluster: nothing waits for that.
	o.route.live, err = read(ctx, r.Client, o.gs, names.HTTPRoute(o.gs.Name), &gatewayv1.HTTPRoute{}, client.DisableReadYourWritesConsistency)
	if err != nil {
		return err
	}
	if wanted := resources.HTTPRoute(o.gs, r.GatewayNamespace); wanted != nil && o.route.live != nil {
		hash, err := hashOf(wanted)
		if err != nil {
			return fmt.Errorf("reading the intent for the HTTPRoute: %w", err)
		}
		o.route.current = o.route.live.Annotations[annotationIntent] == hash
	}
	return nil
}

// applyRoute writes the HTTPRoute. What goes wrong with it is told by its own condition, and nothing else waits for it.
func (r *Reconciler) applyRoute(ctx context.Context, o *observation) {
	if o.route.known != routesRead {
		return
	}
	var err error
	if o.gs.Spec.Route == nil {
		err = r.prune(ctx, o.gs, o.route.live, controls(o.gs, o.route.live))
	} else {
		err = apply(ctx, r, o.gs, recipe[*gatewayv1ac.HTTPRouteApplyConfiguration]{build: func() *gatewayv1ac.HTTPRouteApplyConfiguration {
			return resources.HTTPRoute(o.gs, r.GatewayNamespace)
		}}, o.route.live, anyVersion)
	}
	if err == nil {
		return
	}
	_, postponed := errors.AsType[*postponedError](err)
	switch o.route.later = true; {
	case apierrors.IsNotFound(err):
		r.routes.lost(ctx, r.Clock.Now())
		o.route.known = routesMissing
	case apierrors.IsConflict(err) || postponed:
		// The cache is behind, mostly by no more than a moment: the event of what it lacks is on its way.
	default:
		ctrl.LoggerFrom(ctx).Error(err, "Writing the HTTPRoute")
		if o.route.trouble = problemOf(err); o.route.trouble == nil {
			o.route.trouble = &problem{reason: v1alpha1.ReasonReconcileError, message: fmt.Sprintf("writing the HTTPRoute fails and is tried again: %v", err)}
		}
	}
}

// nextRoutesLook returns when to look again for what spec.route needs: 0 is never.
func (o *observation) nextRoutesLook() time.Duration {
	switch {
	case o.route.later, o.gs.Spec.Route != nil && o.route.known == routesMissing:
		return routesRetry
	case o.gs.Spec.Route != nil && o.route.known == routesUnread:
		return routesUnreadRetry
	default:
		return 0
	}
}

// routeAccepted repeats what the controllers of the Gateways say of the HTTPRoute.
func (c *conditions) routeAccepted() metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionRouteAccepted, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonGatewayUnknown}
	before := apimeta.FindStatusCondition(c.status.Conditions, condition.Type)
	sameSpec := before != nil && before.ObservedGeneration == c.gs.Generation
	switch {
	case c.route.known == routesMissing:
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonGatewayAPIMissing
		condition.Message = "the cluster has no HTTPRoutes, and all but spec.route works without: install the Gateway API (gateway.networking.k8s.io/v1), or remove spec.route"
	case c.route.trouble != nil:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, c.route.trouble.reason, c.route.trouble.message
	case sameSpec && (c.route.known == routesUnread || suspended(c.gs)):
		return *before // of which there is no news
	case c.route.known == routesUnread:
		condition.Message = "the HTTPRoutes of the cluster are being read: if that takes long, see the log of the operator for what it lacks"
	case !controls(c.gs, c.route.live):
		condition.Message = "there is no HTTPRoute yet"
	case !c.route.current:
		condition.Message = "the HTTPRoute is being written"
	default:
		c.askGateways(&condition)
		if sameSpec && before.Status == metav1.ConditionFalse && condition.Status == before.Status && condition.Reason == before.Reason {
			condition.Message = before.Message // whatever words a Gateway has for it today
		}
	}
	return condition
}

// askGateways puts into a condition what the Gateways say.
func (c *conditions) askGateways(condition *metav1.Condition) {
	for i := range c.route.live.Spec.ParentRefs {
		reported, said := refusedBy(c.route.live, &c.route.live.Spec.ParentRefs[i])
		if said != "" {
			condition.Message = said
		}
		if reported {
			condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonNotAccepted
			return
		}
	}
	if condition.Message == "" {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, v1alpha1.ReasonAccepted, "all Gateways take the HTTPRoute"
	}
}

// refusedBy returns why a Gateway does not send requests by a route, and whether it has said so itself, or "" if it does.
func refusedBy(route *gatewayv1.HTTPRoute, parent *gatewayv1.ParentReference) (bool, string) {
	gateway := string(parent.Name)
	if parent.SectionName != nil {
		gateway += " (" + string(*parent.SectionName) + ")"
	}
	reports := 0
	for i := range route.Status.Parents {
		report := &route.Status.Parents[i]
		if !sameParent(&report.ParentRef, parent, route.Namespace) {
			continue
		}
		for _, condition := range report.Conditions {
			current := condition.ObservedGeneration >= route.Generation
			wanted := condition.Type == string(gatewayv1.RouteConditionAccepted) || condition.Type == string(gatewayv1.RouteConditionResolvedRefs)
			if !current || !wanted {
				continue
			}
			if condition.Status != metav1.ConditionTrue {
				return true, fmt.Sprintf("Gateway %s: %s: %s", gateway, condition.Reason, condition.Message)
			}
			if condition.Type == string(gatewayv1.RouteConditionAccepted) {
				reports++
			}
		}
	}
	if reports == 0 {
		return false, fmt.Sprintf("no controller has reported on the HTTPRoute for Gateway %s: see whether that exists in namespace %s and has a GatewayClass which a controller serves",
			gateway, ptr.Deref(parent.Namespace, gatewayv1.Namespace(route.Namespace)))
	}
	return false, ""
}

// sameParent compares two references from the same namespace.
func sameParent(a, b *gatewayv1.ParentReference, namespace string) bool {
	here := gatewayv1.Namespace(namespace)
	return a.Name == b.Name && ptr.Deref(a.Namespace, here) == ptr.Deref(b.Namespace, here) &&
		ptr.Deref(a.SectionName, "") == ptr.Deref(b.SectionName, "") && ptr.Deref(a.Port, 0) == ptr.Deref(b.Port, 0)
}

// announceRoute tells that Gateways send no requests by spec.route.
func (r *Reconciler) announceRoute(o *observation, report *v1alpha1.GinServiceStatus) {
	before := apimeta.FindStatusCondition(o.gs.Status.Conditions, v1alpha1.ConditionRouteAccepted)
	after := apimeta.FindStatusCondition(report.Conditions, v1alpha1.ConditionRouteAccepted)
	if after != nil && after.Status == metav1.ConditionFalse && (before == nil || before.Reason != after.Reason || before.Message != after.Message) {
		r.tell(o, corev1.EventTypeWarning, after.Reason, "Route", after.Message)
	}
}

// routeNews leaves out what else Gateways report.
var routeNews = news(func(before, after *gatewayv1.HTTPRoute) bool {
	return before.Generation != after.Generation || !slices.EqualFunc(before.Status.Parents, after.Status.Parents, sameReport)
})

func sameReport(before, after gatewayv1.RouteParentStatus) bool {
	return slices.EqualFunc(before.Conditions, after.Conditions, func(a, b metav1.Condition) bool {
		return a.Type == b.Type && a.Status == b.Status && a.Reason == b.Reason && a.ObservedGeneration == b.ObservedGeneration
	})
}
