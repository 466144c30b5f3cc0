package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// routed makes a situation one with spec.route and, if Gateways have said something, an HTTPRoute of which they did.
func routed(known routesState, said ...metav1.ConditionStatus) func(*situation) {
	return func(s *situation) {
		s.o.gs.Spec.Route = &v1alpha1.Route{Gateways: []v1alpha1.RouteGateway{{Name: "public"}}}
		s.o.routes = known
		if len(said) == 0 {
			return
		}
		s.o.route = &gatewayv1.HTTPRoute{ObjectMeta: ownedBy(s.o.gs, "hello")}
		s.o.route.Namespace, s.o.route.Generation = "shop", 2
		s.o.route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "public"}}
		for _, status := range said {
			s.o.route.Status.Parents = append(s.o.route.Status.Parents, gatewayv1.RouteParentStatus{
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
			s := newSituation(routed(routesRead, metav1.ConditionTrue))
			tc.change(s.o.route)
			condition := apimeta.FindStatusCondition(s.status().Conditions, v1alpha1.ConditionRouteAccepted)
			if condition == nil || condition.Status != tc.status || !strings.Contains(condition.Message, tc.says) {
				t.Errorf("%+v", condition)
			}
		})
	}
}

func TestConditionOfARouteGoesWithIt(t *testing.T) {
	s := newSituation(routed(routesMissing))
	s.o.gs.Status = *s.status()
	s.o.gs.Spec.Route = nil
	if condition := apimeta.FindStatusCondition(s.status().Conditions, v1alpha1.ConditionRouteAccepted); condition != nil {
		t.Errorf("%+v", condition)
	}
}

// TestNothingIsSaidOfRoutesBeforeTheyAreRead guards the restart of an operator, which must not write: what was said before stays until there
// is news.
func TestNothingIsSaidOfRoutesBeforeTheyAreRead(t *testing.T) {
	for _, before := range []metav1.ConditionStatus{"", metav1.ConditionTrue, metav1.ConditionFalse} {
		s := newSituation(routed(routesRead, metav1.ConditionTrue))
		if before != "" {
			s = newSituation(routed(routesRead, before))
			s.o.gs.Status = *s.status()
		}
		s.o.routes, s.o.route = routesUnread, nil
		want := before
		if before == "" {
			want = metav1.ConditionUnknown
		}
		if condition := apimeta.FindStatusCondition(s.status().Conditions, v1alpha1.ConditionRouteAccepted); condition.Status != want {
			t.Errorf("it was %q, and is %+v", before, condition)
		}
	}
}

// discovery is a RESTMapper that counts its questions.
type discovery struct {
	apimeta.RESTMapper

	asked int
	err   error
}

func (d *discovery) RESTMapping(schema.GroupKind, ...string) (*apimeta.RESTMapping, error) {
	d.asked++
	return nil, d.err
}

func TestHTTPRoutesAreLookedForAsLittleAsPossible(t *testing.T) {
	d := &discovery{err: &apimeta.NoKindMatchError{}}
	watched := 0
	informer := controllertest.NewFakeInformer()
	found := &informertest.FakeInformers{Scheme: gatewayScheme(t), InformersByGVK: map[schema.GroupVersionKind]toolscache.SharedIndexInformer{
		gatewayv1.SchemeGroupVersion.WithKind("HTTPRoute"): informer,
	}}
	r := &routes{mapper: d, cache: found, watch: func() error { watched++; return nil }}
	now := start
	expect := func(what string, wanted bool, want routesState, asked int) {
		t.Helper()
		got, err := r.state(t.Context(), wanted, now)
		if got != want || d.asked != asked || (err != nil) != (d.err != nil && !apimeta.IsNoMatchError(d.err)) {
			t.Errorf("%s: %d after %d questions, %v; want %d after %d", what, got, d.asked, err, want, asked)
		}
	}
	expect("the first pass", false, routesMissing, 1)
	now = now.Add(time.Hour)
	expect("nobody wants a route", false, routesMissing, 1)
	expect("somebody wants one", true, routesMissing, 2)
	expect("somebody else does", true, routesMissing, 2)
	now = now.Add(routesRetry)
	d.err = errors.New("the API server is away")
	expect("there is no answer", true, routesUnread, 3)
	d.err = nil
	expect("they are there", false, routesUnread, 4)
	expect("the cache is filling", true, routesUnread, 4)
	informer.Synced()
	expect("the cache is full", true, routesRead, 4)
	if watched != 1 {
		t.Errorf("they are watched %d times", watched)
	}
}

func gatewayScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := gatewayv1.Install(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}
