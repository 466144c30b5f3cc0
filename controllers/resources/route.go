package resources

import (
	"regexp"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1ac "sigs.k8s.io/gateway-api/applyconfiguration/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

// HTTPRoute is the route of gs, or nil if it asks for none. It leaves nothing to the defaults of the API server: its lists belong to one writer
// as a whole, and can so be compared as a whole. Its Gateways are in a namespace, or in that of gs if it is "". It names the two
// Services and no colour, so that a rollout changes nothing about it.
func HTTPRoute(gs *v1alpha1.GinService, namespace string) *gatewayv1ac.HTTPRouteApplyConfiguration {
	route := gs.Spec.Route
	if route == nil {
		return nil
	}
	spec := gatewayv1ac.HTTPRouteSpec()
	for i := range route.Gateways {
		parent := gatewayv1ac.ParentReference().WithGroup(gatewayv1.GroupName).WithKind("Gateway").WithName(gatewayv1.ObjectName(route.Gateways[i].Name))
		if namespace != "" && namespace != gs.Namespace {
			parent.WithNamespace(gatewayv1.Namespace(namespace))
		}
		if section := route.Gateways[i].SectionName; section != nil {
			parent.WithSectionName(gatewayv1.SectionName(*section))
		}
		spec.WithParentRefs(parent)
	}
	for _, hostname := range route.Hostnames {
		spec.WithHostnames(gatewayv1.Hostname(hostname))
	}
	// A Gateway prefers the rule that says more of a request, so that the order of the two does not matter.
	if preview := route.Preview; preview != nil {
		spec.WithRules(routeTo(gs, names.PreviewService(gs.Name)).WithMatches(previewMatches(preview)...))
	}
	spec.WithRules(routeTo(gs, names.ActiveService(gs.Name)).WithMatches(anyPath()))
	return gatewayv1ac.HTTPRoute(names.HTTPRoute(gs.Name), gs.Namespace).
		WithLabels(Labels(gs)).
		WithOwnerReferences(controllerReference(gs)).
		WithSpec(spec)
}

func routeTo(gs *v1alpha1.GinService, service string) *gatewayv1ac.HTTPRouteRuleApplyConfiguration {
	return gatewayv1ac.HTTPRouteRule().WithBackendRefs(gatewayv1ac.HTTPBackendRef().
		WithGroup("").
		WithKind("Service").
		WithWeight(1).
		WithName(gatewayv1.ObjectName(service)).
		WithPort(valueOr(gs.Spec.Service.Port, defaultServicePort)))
}

// anyPath is the match that the API server fills in where there is none.
func anyPath() *gatewayv1ac.HTTPRouteMatchApplyConfiguration {
	return gatewayv1ac.HTTPRouteMatch().WithPath(gatewayv1ac.HTTPPathMatch().WithType(gatewayv1.PathMatchPathPrefix).WithValue("/"))
}

// previewMatches returns one match for each mark: a request needs one of them.
func previewMatches(preview *v1alpha1.RoutePreview) []*gatewayv1ac.HTTPRouteMatchApplyConfiguration {
	var matches []*gatewayv1ac.HTTPRouteMatchApplyConfiguration
	if header := preview.Header; header != nil {
		matches = append(matches, anyPath().WithHeaders(gatewayv1ac.HTTPHeaderMatch().
			WithType(gatewayv1.HeaderMatchExact).
			WithName(gatewayv1.HTTPHeaderName(header.Name)).
			WithValue(header.Value)))
	}
	if cookie := preview.Cookie; cookie != nil {
		matches = append(matches, anyPath().WithHeaders(gatewayv1ac.HTTPHeaderMatch().
			WithType(gatewayv1.HeaderMatchRegularExpression).
			WithName("Cookie").
			WithValue(cookiePattern(cookie))))
	}
	if query := preview.Query; query != nil {
		matches = append(matches, anyPath().WithQueryParams(gatewayv1ac.HTTPQueryParamMatch().
			WithType(gatewayv1.QueryParamMatchExact).
			WithName(gatewayv1.HTTPHeaderName(query.Name)).
			WithValue(query.Value)))
	}
	return matches
}

// cookiePattern is a regular expression for the header Cookie with a cookie among others (RFC 6265, section 4.2.1). It says where it begins
// and ends, because some Gateways look for it anywhere in the value.
func cookiePattern(cookie *v1alpha1.RouteCookie) string {
	return `^(.*; ?)?` + regexp.QuoteMeta(cookie.Name+"="+cookie.Value) + `(;.*)?$`
}
