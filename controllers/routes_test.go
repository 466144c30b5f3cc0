package controllers

import (
	"strings"
	"testing"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// routed makes a situation one with spec.route and, if Gateways have said something, an HTTPRoute of which they did.
func routed(known kindState, said ...metav1.ConditionStatus) func(*situation) {
	return func(s *situation) {
		s.o.gs.Spec.Route = &v1alpha1.Route{Gateways: []v1alpha1.RouteGateway{{Name: "public"}}}
		s.o.route = optionalChild[*gatewayv1.HTTPRoute]{known: known, wanted: true, current: true}
		if len(said) == 0 {
			return
		}
		s.o.route.live = &gatewayv1.HTTPRoute{ObjectMeta: ownedBy(s.o.gs, "hello")}
		s.o.route.live.Namespace, s.o.route.live.Generation = "shop", 2
		s.o.route.live.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "public"}}
		for _, status := range said {
			s.o.route.live.Status.Parents = append(s.o.route.live.Status.Parents, gatewayv1.RouteParentStatus{
				ParentRef: gatewayv1.ParentReference{Name: "public", Namespace: new(gatewayv1.Namespace("shop"))},
				Conditions: []metav1.Condition{
					{Type: "Accepted", Status: status, Reason: "Said", Message: "so", ObservedGeneration: 2},
					{Type: "example.com/Cached", Status: metav1.ConditionFalse, ObservedGeneration: 2},
				},
			})
		}
	}
}

func TestRouteIsAcceptedWhereEveryGatewaySaysSo(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*gatewayv1.HTTPRoute)
		status metav1.ConditionStatus
		says   string
	}{
		"one Gateway, which takes it": {func(*gatewayv1.HTTPRoute) {}, metav1.ConditionTrue, "all Gateways take"},
		"it said so of an older generation": {func(r *gatewayv1.HTTPRoute) {
			r.Generation = 3
		}, metav1.ConditionUnknown, "no controller has reported"},
		"another Gateway, which has said nothing": {func(r *gatewayv1.HTTPRoute) {
			r.Spec.ParentRefs = append(r.Spec.ParentRefs, gatewayv1.ParentReference{Name: "internal"})
		}, metav1.ConditionUnknown, "Gateway internal: see whether that exists in namespace shop"},
		"a namesake in another namespace": {func(r *gatewayv1.HTTPRoute) {
			r.Spec.ParentRefs[0].Namespace = new(gatewayv1.Namespace("gateways"))
		}, metav1.ConditionUnknown, "Gateway public: see whether that exists in namespace gateways"},
		"another listener": {func(r *gatewayv1.HTTPRoute) {
			r.Spec.ParentRefs[0].SectionName = new(gatewayv1.SectionName("https"))
		}, metav1.ConditionUnknown, "Gateway public (https)"},
		"a Service that it can't resolve": {func(r *gatewayv1.HTTPRoute) {
			r.Status.Parents[0].Conditions = append(r.Status.Parents[0].Conditions, metav1.Condition{
				Type: "ResolvedRefs", Status: metav1.ConditionFalse, Reason: "BackendNotFound", Message: "hello-preview", ObservedGeneration: 2,
			})
		}, metav1.ConditionFalse, "Gateway public: BackendNotFound: hello-preview"},
		"a second controller of the same Gateway, which refuses it": {func(r *gatewayv1.HTTPRoute) {
			second := r.Status.Parents[0].DeepCopy()
			second.Conditions[0].Status = metav1.ConditionFalse
			r.Status.Parents = append(r.Status.Parents, *second)
		}, metav1.ConditionFalse, "Gateway public: Said: so"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSituation(routed(kindRead, metav1.ConditionTrue))
			tc.change(s.o.route.live)
			condition := apimeta.FindStatusCondition(s.status().Conditions, v1alpha1.ConditionRouteAccepted)
			if condition == nil || condition.Status != tc.status || !strings.Contains(condition.Message, tc.says) {
				t.Errorf("%+v", condition)
			}
		})
	}
}

func TestConditionOfARouteGoesWithIt(t *testing.T) {
	s := newSituation(routed(kindMissing))
	s.o.gs.Status = *s.status()
	s.o.gs.Spec.Route = nil
	if condition := apimeta.FindStatusCondition(s.status().Conditions, v1alpha1.ConditionRouteAccepted); condition != nil {
		t.Errorf("%+v", condition)
	}
}

func TestOldNewsOfARouteIsNoNews(t *testing.T) {
	for name, change := range map[string]func(*situation){
		"another spec, and the HTTPRoute is still the old one": func(s *situation) { s.o.route.current = false },
		"another spec, and HTTPRoutes can't be read":           func(s *situation) { s.o.route = optionalChild[*gatewayv1.HTTPRoute]{known: kindUnread} },
	} {
		s := newSituation(routed(kindRead, metav1.ConditionTrue))
		s.o.gs.Status = *s.status()
		s.o.gs.Generation++
		change(s)
		if condition := apimeta.FindStatusCondition(s.status().Conditions, v1alpha1.ConditionRouteAccepted); condition.Status != metav1.ConditionUnknown {
			t.Errorf("%s: %+v", name, condition)
		}
	}
}

// TestTroubleWithARouteIsItsOwn guards what serves without it.
func TestTroubleWithARouteIsItsOwn(t *testing.T) {
	s := newSituation(routed(kindRead))
	s.o.route.trouble = problemOf(&nameTakenError{kind: "HTTPRoute", name: "hello"})
	conditions := s.status().Conditions
	for kind, want := range map[string]metav1.ConditionStatus{
		v1alpha1.ConditionReady: metav1.ConditionTrue, v1alpha1.ConditionRouteAccepted: metav1.ConditionFalse, v1alpha1.ConditionNameConflict: metav1.ConditionTrue,
	} {
		if condition := apimeta.FindStatusCondition(conditions, kind); condition == nil || condition.Status != want {
			t.Errorf("%s: %+v", kind, condition)
		}
	}
	if apimeta.FindStatusCondition(conditions, v1alpha1.ConditionStalled) != nil {
		t.Error("it is stalled")
	}
}

// TestNothingIsSaidOfRoutesBeforeTheyAreRead guards the restart of an operator, which must not write: what was said before stays until there
// is news.
func TestNothingIsSaidOfRoutesBeforeTheyAreRead(t *testing.T) {
	for _, before := range []metav1.ConditionStatus{"", metav1.ConditionTrue, metav1.ConditionFalse} {
		s := newSituation(routed(kindRead, metav1.ConditionTrue))
		if before != "" {
			s = newSituation(routed(kindRead, before))
			s.o.gs.Status = *s.status()
		}
		s.o.route = optionalChild[*gatewayv1.HTTPRoute]{known: kindUnread}
		want := before
		if before == "" {
			want = metav1.ConditionUnknown
		}
		if condition := apimeta.FindStatusCondition(s.status().Conditions, v1alpha1.ConditionRouteAccepted); condition.Status != want {
			t.Errorf("it was %q, and is %+v", before, condition)
		}
	}
}
