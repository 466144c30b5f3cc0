package ginservice

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers"
	"github.com/gin-operator/gin-operator/test/gatewayapi"
)

// gatewayCRDs are the CustomResourceDefinitions that the specs here install and take away.
func gatewayCRDs(ctx SpecContext) envtest.CRDInstallOptions {
	GinkgoHelper()
	directory, err := gatewayapi.Directory(ctx)
	Expect(err).NotTo(HaveOccurred())
	return envtest.CRDInstallOptions{
		Paths: []string{filepath.Join(directory, "gateway.networking.k8s.io_httproutes.yaml")}, ErrorIfPathMissing: true, MaxTime: time.Minute, PollInterval: 50 * time.Millisecond,
	}
}

// installGatewayAPI makes the cluster have HTTPRoutes. It may be called again.
func installGatewayAPI(ctx SpecContext) {
	GinkgoHelper()
	_, err := envtest.InstallCRDs(plane.Config(), gatewayCRDs(ctx))
	Expect(err).NotTo(HaveOccurred())
}

// removeGatewayAPI makes it have none, and waits until it does.
func removeGatewayAPI(ctx SpecContext) {
	GinkgoHelper()
	Expect(envtest.UninstallCRDs(plane.Config(), gatewayCRDs(ctx))).To(Succeed())
	Eventually(func() error { return k8s.List(ctx, &gatewayv1.HTTPRouteList{}) }).WithTimeout(time.Minute).Should(Satisfy(func(err error) bool {
		return apierrors.IsNotFound(err) || apimeta.IsNoMatchError(err)
	}))
}

func routed(gs *v1alpha1.GinService) {
	gs.Spec.Route = &v1alpha1.Route{
		Gateways:  []v1alpha1.RouteGateway{{Name: "public", SectionName: new("https")}, {Name: "internal"}},
		Hostnames: []v1alpha1.Hostname{"hello.example.com"},
		Preview: &v1alpha1.RoutePreview{
			Header: &v1alpha1.RouteHeader{Name: "X-Preview", Value: "yes"},
			Cookie: &v1alpha1.RouteCookie{Name: "preview", Value: "a.b"},
			Query:  &v1alpha1.RouteQuery{Name: "preview", Value: "1"},
		},
	}
}

// report writes what the controller of a Gateway has to say of a route.
func report(ctx context.Context, route *gatewayv1.HTTPRoute, status metav1.ConditionStatus, reason, message string) {
	GinkgoHelper()
	Eventually(func() error {
		if err := k8s.Get(ctx, client.ObjectKeyFromObject(route), route); err != nil {
			return err
		}
		route.Status.Parents = nil
		for _, parent := range route.Spec.ParentRefs {
			route.Status.Parents = append(route.Status.Parents, gatewayv1.RouteParentStatus{
				ParentRef: parent, ControllerName: "example.com/gateway",
				Conditions: []metav1.Condition{
					{Type: "Accepted", Status: status, Reason: reason, Message: message, ObservedGeneration: route.Generation, LastTransitionTime: metav1.Now()},
					{Type: "ResolvedRefs", Status: metav1.ConditionTrue, Reason: "ResolvedRefs", ObservedGeneration: route.Generation, LastTransitionTime: metav1.Now()},
				},
			})
		}
		return k8s.Status().Update(ctx, route)
	}).WithContext(ctx).Should(Succeed())
}

var _ = Describe("a route", func() {
	routeOf := func(ctx SpecContext, s *service) *gatewayv1.HTTPRoute {
		GinkgoHelper()
		route := &gatewayv1.HTTPRoute{}
		// A cache that was refused may take up to a minute before it tries again.
		Eventually(func() error { return k8s.Get(ctx, s.key(), route) }).WithTimeout(2 * time.Minute).Should(Succeed())
		return route
	}

	It("waits for the Gateway API without holding anything up, comes with it, and survives its going", func(ctx SpecContext) {
		removeGatewayAPI(ctx)
		operator := startOperator()
		s := started(ctx, routed, scaleDownDelay(0))
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionRouteAccepted, v1alpha1.ReasonGatewayAPIMissing)).To(ContainSubstring("install the Gateway API"))
		Eventually(s.events).WithArguments(ctx, v1alpha1.ReasonGatewayAPIMissing).Should(HaveLen(1))
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")

		installGatewayAPI(ctx)
		routeOf(ctx, s)
		s.eventuallyCondition(ctx, v1alpha1.ConditionRouteAccepted, v1alpha1.ReasonGatewayUnknown)

		removeGatewayAPI(ctx)
		// While the kind goes, its API server refuses routes for another reason, and the operator looks again every ten seconds.
		Eventually(s.get).WithArguments(ctx).WithTimeout(time.Minute).Should(HaveField("Status.Conditions", ContainElement(And(
			HaveField("Type", v1alpha1.ConditionRouteAccepted), HaveField("Reason", v1alpha1.ReasonGatewayAPIMissing)))))
		s.release(ctx, "v3")
		s.eventuallyServes(ctx, "v3")
		Expect(apimeta.IsStatusConditionTrue(s.get(ctx).Status.Conditions, v1alpha1.ConditionStalled)).To(BeFalse())

		By("installing it again, with a rollout at once")
		installGatewayAPI(ctx)
		s.release(ctx, "v4")
		s.eventuallyServes(ctx, "v4")
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		routeOf(ctx, s)
		s.eventuallyCondition(ctx, v1alpha1.ConditionRouteAccepted, v1alpha1.ReasonGatewayUnknown)
		Expect(s.events(ctx, v1alpha1.ReasonContested)).To(BeEmpty())
		Expect(operator.requests.Snapshot().Writes()).To(BeNumerically("<", 80))
	})

	It("sends requests to the active Service, and those with a mark to the preview", func(ctx SpecContext) {
		installGatewayAPI(ctx)
		startOperator()
		s := started(ctx, routed)
		route := routeOf(ctx, s)
		Expect(metav1.IsControlledBy(route, s.get(ctx))).To(BeTrue())
		Expect(route.Spec.Hostnames).To(HaveExactElements(gatewayv1.Hostname("hello.example.com")))
		Expect(route.Spec.ParentRefs).To(HaveLen(2))
		Expect(route.Spec.Rules).To(HaveLen(2))
		Expect(route.Spec.Rules[0].Matches).To(HaveLen(3))
		Expect(route.Spec.Rules[0].BackendRefs[0].Name).To(BeEquivalentTo("hello-preview"))
		Expect(route.Spec.Rules[1].BackendRefs[0].Name).To(BeEquivalentTo("hello"))

		By("repeating what the Gateways say")
		s.eventuallyCondition(ctx, v1alpha1.ConditionRouteAccepted, v1alpha1.ReasonGatewayUnknown)
		report(ctx, route, metav1.ConditionFalse, "NotAllowedByListeners", "no listener takes routes from here")
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionRouteAccepted, v1alpha1.ReasonNotAccepted)).To(
			Equal("Gateway public (https): NotAllowedByListeners: no listener takes routes from here"))
		Eventually(s.events).WithArguments(ctx, v1alpha1.ReasonNotAccepted).Should(HaveLen(1))
		Expect(apimeta.IsStatusConditionTrue(s.get(ctx).Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())
		report(ctx, route, metav1.ConditionTrue, "Accepted", "")
		s.eventuallyCondition(ctx, v1alpha1.ConditionRouteAccepted, v1alpha1.ReasonAccepted)

		By("rolling out, which is no concern of the route")
		generation := route.Generation
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		Expect(routeOf(ctx, s).Generation).To(Equal(generation))

		By("repairing what somebody changes")
		s.mutate(ctx, route, func(o client.Object) {
			spec := &o.(*gatewayv1.HTTPRoute).Spec
			spec.Hostnames = append(spec.Hostnames, "other.example.com")
			spec.Rules[1].BackendRefs[0].Weight = new(int32(0)) // which would be no traffic at all
		})
		Eventually(func(g Gomega) {
			live := routeOf(ctx, s)
			g.Expect(live.Spec.Hostnames).To(HaveLen(1))
			g.Expect(live.Spec.Rules[1].BackendRefs[0].Weight).To(HaveValue(BeEquivalentTo(1)))
		}).Should(Succeed())

		By("going with spec.route")
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Route = nil })
		Eventually(func() bool { return apierrors.IsNotFound(k8s.Get(ctx, s.key(), route)) }).Should(BeTrue())
		Eventually(func() *metav1.Condition {
			return apimeta.FindStatusCondition(s.get(ctx).Status.Conditions, v1alpha1.ConditionRouteAccepted)
		}).Should(BeNil())
	})

	It("is left alone where its name is taken", func(ctx SpecContext) {
		installGatewayAPI(ctx)
		namespace := newNamespace(ctx)
		foreign := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hello"}}
		Expect(k8s.Create(ctx, foreign)).To(Succeed())
		startOperator()
		s := createIn(ctx, namespace, "hello", routed)
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionNameConflict, v1alpha1.ReasonNameTaken)).To(ContainSubstring("HTTPRoute hello"))
		Expect(routeOf(ctx, s).ResourceVersion).To(Equal(foreign.ResourceVersion))
		s.eventuallyCondition(ctx, v1alpha1.ConditionRouteAccepted, v1alpha1.ReasonNameTaken)
		s.eventuallyServes(ctx, "v1")
	})

	It("goes when spec.route was taken away while no operator ran, and costs nothing at rest or after a restart", func(ctx SpecContext) {
		installGatewayAPI(ctx)
		operator := startOperator()
		s := started(ctx, routed)
		other := started(ctx, routed)
		report(ctx, routeOf(ctx, s), metav1.ConditionTrue, "Accepted", "")
		s.eventuallyCondition(ctx, v1alpha1.ConditionRouteAccepted, v1alpha1.ReasonAccepted)
		routeOf(ctx, other)
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		operator.quiet(ctx)
		operator.stop()

		By("starting it again")
		operator = startOperator()
		Expect(operator.quiet(ctx).Writes()).To(BeZero(), "%v", operator.requests.Log())
		operator.stop()

		By("starting it again without spec.route")
		other.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Route = nil })
		startOperator()
		Eventually(func() bool { return apierrors.IsNotFound(k8s.Get(ctx, other.key(), &gatewayv1.HTTPRoute{})) }).Should(BeTrue())
		routeOf(ctx, s)
	})

	It("is made by an operator that may do nothing outside of its namespace, for Gateways in another one", func(ctx SpecContext) {
		installGatewayAPI(ctx)
		namespace := newNamespace(ctx)
		_, cfg := grant(ctx, namespace, managerRole().Rules)
		startOperatorIn(namespace, cfg, func(r *controllers.Reconciler) { r.GatewayNamespace = "gateways" })
		s := createIn(ctx, namespace, "hello", routed)
		s.eventuallyServes(ctx, "v1")
		route := routeOf(ctx, s)
		for _, parent := range route.Spec.ParentRefs {
			Expect(parent.Namespace).To(HaveValue(BeEquivalentTo("gateways")))
		}
		s.eventuallySays(ctx, v1alpha1.ConditionRouteAccepted, v1alpha1.ReasonGatewayUnknown, "exists in namespace gateways")
		report(ctx, route, metav1.ConditionTrue, "Accepted", "")
		s.eventuallyCondition(ctx, v1alpha1.ConditionRouteAccepted, v1alpha1.ReasonAccepted)
	})

	It("holds nothing up where the operator has no right to HTTPRoutes, and comes with it", func(ctx SpecContext) {
		installGatewayAPI(ctx)
		namespace := newNamespace(ctx)
		all := managerRole().Rules
		role, cfg := grant(ctx, namespace, slices.DeleteFunc(slices.Clone(all), func(rule rbacv1.PolicyRule) bool {
			return slices.Contains(rule.APIGroups, gatewayv1.GroupName)
		}))
		Expect(len(role.Rules)).To(BeNumerically("<", len(all)))
		startOperatorIn(namespace, cfg)
		s := createIn(ctx, namespace, "hello", routed, scaleDownDelay(0))
		s.eventuallyServes(ctx, "v1")
		s.eventuallySays(ctx, v1alpha1.ConditionRouteAccepted, v1alpha1.ReasonGatewayUnknown, "see the log of the operator")
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		Expect(apimeta.IsStatusConditionTrue(s.get(ctx).Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())

		role.Rules = all
		Expect(k8s.Update(ctx, role)).To(Succeed())
		routeOf(ctx, s)
	})
})
