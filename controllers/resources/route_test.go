package resources

import (
	"regexp"
	"testing"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

func TestCookieIsFoundAmongOthersAndNowhereElse(t *testing.T) {
	pattern := regexp.MustCompile(cookiePattern(&v1alpha1.RouteCookie{Name: "preview", Value: "a.b"}))
	for header, want := range map[string]bool{
		"preview=a.b":                   true,
		"session=1; preview=a.b":        true,
		"session=1;preview=a.b; lang=x": true,
		"preview=a.b; lang=x":           true,
		"":                              false,
		"preview=a-b":                   false,
		"preview=a.bc":                  false,
		"mypreview=a.b":                 false,
		"session=preview=a.b":           false,
		"x-preview=a.b":                 false,
	} {
		if got := pattern.MatchString(header); got != want {
			t.Errorf("%q: %t", header, got)
		}
	}
}

func TestRouteNamesGatewaysInTheirNamespace(t *testing.T) {
	gs := services(t)["everything"]
	for namespace, want := range map[string]bool{"": false, gs.Namespace: false, "gateways": true} {
		for _, parent := range HTTPRoute(gs, namespace).Spec.ParentRefs {
			if got := parent.Namespace != nil; got != want || (got && string(*parent.Namespace) != namespace) {
				t.Errorf("Gateways in %q: %v", namespace, parent.Namespace)
			}
		}
	}
}
