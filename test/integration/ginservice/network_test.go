package ginservice

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers"
)

// guarded lets one namespace in. That of the metrics is the default.
func guarded(gs *v1alpha1.GinService) {
	gs.Spec.Network = &v1alpha1.Network{IngressFrom: []v1alpha1.NetworkPeer{inNamespace("gateways")}}
}

func inNamespace(name string) v1alpha1.NetworkPeer {
	return v1alpha1.NetworkPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: name}}}
}

// opening is a rule in short: the namespaces that are let in, and the ports that are opened to them.
type opening struct{ from, ports []string }

func openings(policy *networkingv1.NetworkPolicy) []opening {
	var all []opening
	for _, rule := range policy.Spec.Ingress {
		short := opening{}
		for _, peer := range rule.From {
			switch {
			case peer.IPBlock != nil:
				short.from = append(short.from, peer.IPBlock.CIDR)
			case peer.NamespaceSelector != nil:
				short.from = append(short.from, peer.NamespaceSelector.MatchLabels[corev1.LabelMetadataName])
			default:
				short.from = append(short.from, "")
			}
		}
		for _, port := range rule.Ports {
			short.ports = append(short.ports, port.Port.String())
		}
		all = append(all, short)
	}
	return all
}

var _ = Describe("a network", func() {
	policyOf := func(ctx SpecContext, s *service) *networkingv1.NetworkPolicy {
		GinkgoHelper()
		policy := &networkingv1.NetworkPolicy{}
		Eventually(k8s.Get).WithArguments(ctx, s.key(), policy).Should(Succeed())
		return policy
	}
	eventuallyOpen := func(ctx SpecContext, s *service, want ...opening) {
		GinkgoHelper()
		Eventually(func() []opening { return openings(policyOf(ctx, s)) }).WithContext(ctx).Should(Equal(want))
	}
	operators := opening{[]string{"operators"}, []string{"http", "metrics"}}
	inOperators := func(r *controllers.Reconciler) { r.OperatorNamespace = "operators" }

	It("becomes a policy, follows the spec, and goes with it", func(ctx SpecContext) {
		operator := startOperator(inOperators)
		s := started(ctx, guarded)
		policy := policyOf(ctx, s)
		Expect(metav1.IsControlledBy(policy, s.get(ctx))).To(BeTrue())
		Expect(policy.Spec.PolicyTypes).To(HaveExactElements(networkingv1.PolicyTypeIngress))
		Expect(policy.Spec.PodSelector).To(Equal(metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelUID: string(s.get(ctx).UID)}}))
		eventuallyOpen(ctx, s, operators, opening{[]string{"monitoring"}, []string{"http"}}, opening{[]string{"gateways"}, []string{"http"}})

		By("rolling out, which is no concern of the policy")
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		Expect(policyOf(ctx, s).Generation).To(Equal(policy.Generation))
		s.eventuallyStep(ctx, v1alpha1.StepDraining)
		operator.quiet(ctx)

		By("changing who may call, and who may scrape")
		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Network.IngressFrom = []v1alpha1.NetworkPeer{{PodSelector: &metav1.LabelSelector{}}, {IPBlock: &v1alpha1.IPBlock{CIDR: "10.0.0.0/8", Except: []v1alpha1.CIDR{"10.1.0.0/16"}}}}
			gs.Spec.Network.MetricsFrom = []v1alpha1.NetworkPeer{inNamespace("observability")}
		})
		eventuallyOpen(ctx, s, operators, opening{[]string{"observability"}, []string{"http"}}, opening{[]string{"", "10.0.0.0/8"}, []string{"http"}})
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Network.IngressFrom = nil })
		eventuallyOpen(ctx, s, operators, opening{[]string{"observability"}, []string{"http"}})

		By("taking it away")
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Network = nil })
		Eventually(func() bool { return apierrors.IsNotFound(k8s.Get(ctx, s.key(), policy)) }).Should(BeTrue())
		s.eventuallyServes(ctx, "v2")
	})

	It("keeps both ports open to scrapers while a rollout moves the metrics to another one, and no longer", func(ctx SpecContext) {
		startOperator(inOperators)
		s := started(ctx, guarded, manual, scaleDownDelay(0))
		callers := opening{[]string{"gateways"}, []string{"http"}}
		eventuallyOpen(ctx, s, operators, opening{[]string{"monitoring"}, []string{"http"}}, callers)
		s.release(ctx, "v2", func(gs *v1alpha1.GinService) { gs.Spec.Ports.Metrics = new(int32(9090)) })
		revision := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.Rollout.Revision
		eventuallyOpen(ctx, s, operators, opening{[]string{"monitoring"}, []string{"http", "metrics"}}, callers)
		svc := &corev1.Service{}
		Expect(k8s.Get(ctx, s.key(), svc)).To(Succeed())
		Expect(svc.Annotations).NotTo(HaveKey("prometheus.io/port"), "the old version serves its metrics on the port of the Service")
		s.promote(ctx, revision)
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		eventuallyOpen(ctx, s, operators, opening{[]string{"monitoring"}, []string{"metrics"}}, callers)
		Expect(k8s.Get(ctx, s.key(), svc)).To(Succeed())
		Expect(svc.Annotations).To(HaveKeyWithValue("prometheus.io/port", "9090"))
	})

	It("repairs a policy that somebody opens, closes or deletes, and leaves alone what it does not own", func(ctx SpecContext) {
		startOperator(inOperators)
		s := started(ctx, guarded)
		policy := policyOf(ctx, s)
		whole := *policy.Spec.DeepCopy()
		everybody := networkingv1.NetworkPolicyIngressRule{}
		for what, change := range map[string]func(*networkingv1.NetworkPolicySpec){
			"a rule for everybody": func(spec *networkingv1.NetworkPolicySpec) { spec.Ingress = append(spec.Ingress, everybody) },
			"one more caller": func(spec *networkingv1.NetworkPolicySpec) {
				spec.Ingress[2].From = append(spec.Ingress[2].From, networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}})
			},
			"another port": func(spec *networkingv1.NetworkPolicySpec) { spec.Ingress[2].Ports[0].Port = new(intstr.FromInt32(1)) },
			"nobody":       func(spec *networkingv1.NetworkPolicySpec) { spec.Ingress = nil },
			"other pods":   func(spec *networkingv1.NetworkPolicySpec) { spec.PodSelector.MatchLabels["tier"] = "other" },
			"egress, too": func(spec *networkingv1.NetworkPolicySpec) {
				spec.PolicyTypes = append(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
			},
		} {
			s.mutate(ctx, &networkingv1.NetworkPolicy{ObjectMeta: s.meta("hello")}, func(o client.Object) { change(&o.(*networkingv1.NetworkPolicy).Spec) })
			Eventually(func() networkingv1.NetworkPolicySpec { return policyOf(ctx, s).Spec }).WithContext(ctx).Should(Equal(whole), what)
		}
		s.mutate(ctx, &networkingv1.NetworkPolicy{ObjectMeta: s.meta("hello")}, func(o client.Object) {
			metav1.SetMetaDataAnnotation(&o.(*networkingv1.NetworkPolicy).ObjectMeta, "example.com/note", "kept")
			delete(o.GetLabels(), v1alpha1.LabelManagedBy)
		})
		Eventually(func(g Gomega) {
			now := policyOf(ctx, s)
			g.Expect(now.Labels).To(HaveKeyWithValue(v1alpha1.LabelManagedBy, v1alpha1.ManagedBy))
			g.Expect(now.UID).To(Equal(policy.UID))
			g.Expect(now.Annotations).To(HaveKeyWithValue("example.com/note", "kept"))
		}).Should(Succeed())
		Expect(k8s.Delete(ctx, policy)).To(Succeed())
		Eventually(func() bool { return policyOf(ctx, s).UID != policy.UID }).Should(BeTrue())
	})

	It("leaves a policy alone that has its name", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		foreign := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hello"}}
		Expect(k8s.Create(ctx, foreign)).To(Succeed())
		startOperator()
		s := createIn(ctx, namespace, "hello", guarded)
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionNameConflict, v1alpha1.ReasonNameTaken)).To(ContainSubstring("NetworkPolicy hello"))
		Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		Expect(policyOf(ctx, s).ResourceVersion).To(Equal(foreign.ResourceVersion))

		By("without network, the name is free for anybody")
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Network = nil })
		s.eventuallyServes(ctx, "v1")
		Expect(policyOf(ctx, s).ResourceVersion).To(Equal(foreign.ResourceVersion))
	})

	It("says which caller the API server refuses, in terms of the spec", func(ctx SpecContext) {
		startOperator()
		s := create(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Network = &v1alpha1.Network{IngressFrom: []v1alpha1.NetworkPeer{
				inNamespace("gateways"), {PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a b": "c"}}},
			}}
		})
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonRejected)).To(ContainSubstring("spec.network.ingressFrom[1].podSelector"))
	})

	It("is deleted where the spec lost it while no operator ran, and costs nothing at rest or after a restart", func(ctx SpecContext) {
		operator := startOperator()
		s, other := started(ctx, guarded), started(ctx, guarded)
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		other.eventuallyStep(ctx, v1alpha1.StepCompleted)
		operator.quiet(ctx)
		operator.stop()
		operator = startOperator()
		Expect(operator.quiet(ctx).Writes()).To(BeZero(), "%v", operator.requests.Log())
		operator.stop()
		other.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Network = nil })
		startOperator()
		Eventually(func() bool {
			return apierrors.IsNotFound(k8s.Get(ctx, other.key(), &networkingv1.NetworkPolicy{}))
		}).Should(BeTrue())
		policyOf(ctx, s)
	})
})
