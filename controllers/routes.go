package controllers

import (
	"context"
	"fmt"
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1ac "sigs.k8s.io/gateway-api/applyconfiguration/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

// httpRoutes are the routes of the Gateway API.
var httpRoutes = schema.GroupVersion(gatewayv1.GroupVersion).WithResource("httproutes")

// observeRoute reads the HTTPRoute, if that can be had.
func (r *Reconciler) observeRoute(ctx context.Context, o *observation) (err error) {
	o.route, err = observeOptional(ctx, r, o.gs, r.routes, names.HTTPRoute(o.gs.Name), resources.HTTPRoute(o.gs, r.GatewayNamespace), &gatewayv1.HTTPRoute{})
	return err
}

// applyRoute writes the HTTPRoute.
func (r *Reconciler) applyRoute(ctx context.Context, o *observation) {
	applyOptional(ctx, r, o.gs, r.routes, &o.route, recipe[*gatewayv1ac.HTTPRouteApplyConfiguration]{
		build: func() *gatewayv1ac.HTTPRouteApplyConfiguration { return resources.HTTPRoute(o.gs, r.GatewayNamespace) },
	})
}

// routeAccepted repeats what the controllers of the Gateways say of the HTTPRoute.
func (c *conditions) routeAccepted() metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionRouteAccepted, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonGatewayUnknown}
	if c.route.tell(c, &condition, v1alpha1.ReasonGatewayAPIMissing, "install the Gateway API (gateway.networking.k8s.io/v1), or remove spec.route") {
		return condition
	}
	before := apimeta.FindStatusCondition(c.status.Conditions, condition.Type)
	c.askGateways(&condition)
	if before != nil && before.ObservedGeneration == c.gs.Generation &&
		before.Status == metav1.ConditionFalse && condition.Status == before.Status && condition.Reason == before.Reason {
		condition.Message = before.Message // whatever words a Gateway has for it today
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

// routeNews leaves out what else Gateways report.
var routeNews = news(func(before, after *gatewayv1.HTTPRoute) bool {
	return before.Generation != after.Generation || !slices.EqualFunc(before.Status.Parents, after.Status.Parents, sameReport)
})

func sameReport(before, after gatewayv1.RouteParentStatus) bool {
	return slices.EqualFunc(before.Conditions, after.Conditions, func(a, b metav1.Condition) bool {
		return a.Type == b.Type && a.Status == b.Status && a.Reason == b.Reason && a.ObservedGeneration == b.ObservedGeneration
	})
}
