package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1ac "sigs.k8s.io/gateway-api/applyconfiguration/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

const (
	// routesRetry is how soon to look again for HTTPRoutes where the cluster had none.
	routesRetry = 10 * time.Second
	// routesUnreadRetry is how soon to look again while the cache fills.
	routesUnreadRetry = time.Second
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
	mapper apimeta.RESTMapper
	cache  cache.Informers
	watch  func() error

	mutex    sync.Mutex
	asked    time.Time      // zero: not yet, or in vain
	missing  bool           // that is what the answer was
	informer cache.Informer // nil until there is something to watch
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
	_, err := r.mapper.RESTMapping(schema.GroupKind{Group: gatewayv1.GroupName, Kind: "HTTPRoute"}, gatewayv1.GroupVersion.Version)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	switch r.missing = apimeta.IsNoMatchError(err); {
	case r.missing:
		return routesMissing, nil
	case err == nil:
		err = r.begin(ctx)
	}
	if err != nil {
		r.asked = time.Time{}
		return routesUnread, fmt.Errorf("looking for HTTPRoutes: %w", err)
	}
	return routesUnread, nil
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
	case r.asked.IsZero(), wanted && r.missing && !now.Before(r.asked.Add(routesRetry)):
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

// observeRoute reads the HTTPRoute, if that can be had: all else goes on without.
func (r *Reconciler) observeRoute(ctx context.Context, o *observation) error {
	var err error
	if o.routes, err = r.routes.state(ctx, o.gs.Spec.Route != nil, r.Clock.Now()); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Going on without routes")
	}
	if o.routes != routesRead {
		return nil
	}
	// The cache may never show what was written last, once somebody takes the kind out of the cluster: nothing waits for that.
	o.route, err = read(ctx, r.Client, o.gs, names.HTTPRoute(o.gs.Name), &gatewayv1.HTTPRoute{}, client.DisableReadYourWritesConsistency)
	return err
}

func (r *Reconciler) applyRoute(ctx context.Context, o *observation) error {
	if o.routes != routesRead {
		return nil
	}
	if o.gs.Spec.Route == nil {
		return r.prune(ctx, o.gs, o.route, controls(o.gs, o.route))
	}
	wanted := recipe[*gatewayv1ac.HTTPRouteApplyConfiguration]{build: func() *gatewayv1ac.HTTPRouteApplyConfiguration {
		return resources.HTTPRoute(o.gs, r.GatewayNamespace)
	}}
	err := apply(ctx, r, o.gs, wanted, o.route, anyVersion)
	if apierrors.IsNotFound(err) {
		o.routes = routesMissing // they were there, and are no longer
		return nil
	}
	return err
}

// nextRoutesLook returns when to look again for what spec.route needs: 0 is never.
func (o *observation) nextRoutesLook() time.Duration {
	switch {
	case o.gs.Spec.Route == nil || o.routes == routesRead:
		return 0
	case o.routes == routesUnread:
		return routesUnreadRetry
	default:
		return routesRetry
	}
}

// routeAccepted repeats what the controllers of the Gateways say of the HTTPRoute.
func (c *conditions) routeAccepted() metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionRouteAccepted, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonGatewayUnknown}
	switch before := apimeta.FindStatusCondition(c.status.Conditions, condition.Type); {
	case c.routes == routesMissing:
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonGatewayAPIMissing
		condition.Message = "the cluster has no HTTPRoutes, and all but spec.route works without: install the Gateway API (gateway.networking.k8s.io/v1), or remove spec.route"
		return condition
	case before != nil && (c.routes == routesUnread || suspended(c.gs)):
		return *before // of which there is no news
	case c.routes == routesUnread:
		condition.Message = "the HTTPRoutes of the cluster are being read: if that takes long, see the log of the operator for what it lacks"
		return condition
	case !controls(c.gs, c.route):
		condition.Message = "there is no HTTPRoute yet"
		return condition
	}
	for i := range c.route.Spec.ParentRefs {
		if reported, said := refusedBy(c.route, &c.route.Spec.ParentRefs[i]); said != "" {
			condition.Message = said
			if reported {
				condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonNotAccepted
				return condition
			}
		}
	}
	if condition.Message == "" {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, v1alpha1.ReasonAccepted, "all Gateways take the HTTPRoute"
	}
	return condition
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

// routeNews leaves out what else Gateways report.
var routeNews = news(func(before, after *gatewayv1.HTTPRoute) bool {
	return before.Generation != after.Generation || !slices.EqualFunc(before.Status.Parents, after.Status.Parents, sameReport)
})

func sameReport(before, after gatewayv1.RouteParentStatus) bool {
	return slices.EqualFunc(before.Conditions, after.Conditions, func(a, b metav1.Condition) bool {
		return a.Type == b.Type && a.Status == b.Status && a.Reason == b.Reason && a.ObservedGeneration == b.ObservedGeneration
	})
}
