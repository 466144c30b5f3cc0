package ginservice

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

var _ = Describe("scaling", func() {
	BeforeEach(func() { startOperator() })

	It("answers /scale with the active colour alone", func(ctx SpecContext) {
		s := started(ctx, replicas(2), scaleDownDelay(600))
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		scale := &autoscalingv1.Scale{}
		gs := &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name}}
		Expect(k8s.SubResource("scale").Get(ctx, gs, scale)).To(Succeed())
		Expect(scale.Spec.Replicas).To(BeEquivalentTo(2))
		Expect(scale.Status.Replicas).To(BeEquivalentTo(2))
		selector, err := labels.Parse(scale.Status.Selector)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.podsMatching(ctx, selector)).To(And(HaveLen(2), HaveEach(HavePrefix("hello-green-"))))
	})

	It("fills in what /scale has to answer before it makes the autoscaler", func(ctx SpecContext) {
		s := started(ctx, autoscaled(2, 5))
		Expect(*s.get(ctx).Spec.Replicas).To(BeEquivalentTo(2))
		hpa := &autoscalingv2.HorizontalPodAutoscaler{}
		Eventually(k8s.Get).WithArguments(ctx, s.key(), hpa).Should(Succeed())
		Expect(hpa.Spec.ScaleTargetRef).To(Equal(autoscalingv2.CrossVersionObjectReference{
			APIVersion: "apps.gin-operator.dev/v1alpha1", Kind: "GinService", Name: "hello",
		}))
		Eventually(func(g Gomega) {
			g.Expect(k8s.Get(ctx, s.key(), hpa)).To(Succeed())
			able := apimetaOf(hpa, autoscalingv2.AbleToScale)
			g.Expect(able).NotTo(BeNil())
			g.Expect(able.Status).To(BeEquivalentTo("True"))
		}).Should(Succeed())
	})

	// The most repeated fault of operators: what an autoscaler writes is undone by the next pass.
	It("lets what the autoscaler wrote survive in every phase of a rollout", func(ctx SpecContext) {
		s := started(ctx, autoscaled(1, 10), manual, scaleDownDelay(600))
		expect := func(n int32, colors ...v1alpha1.Color) {
			GinkgoHelper()
			s.scale(ctx, n)
			for _, color := range colors {
				Eventually(s.wants).WithArguments(ctx, color).Should(Equal(n), string(color))
			}
			s.poke(ctx)
			s.poke(ctx)
			Expect(*s.get(ctx).Spec.Replicas).To(Equal(n))
		}
		expect(3, v1alpha1.Blue)

		unready := s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepDeploying)
		expect(4, v1alpha1.Blue, v1alpha1.Green)
		expect(2, v1alpha1.Blue)
		unready()
		gs := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		expect(5, v1alpha1.Blue)
		unready = s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		// The operator has to know of it: who promotes pods that are about to break gets them.
		Eventually(s.get).WithArguments(ctx).Should(HaveField("Status.Colors", ContainElement(And(
			HaveField("Color", v1alpha1.Green), HaveField("Ready", BeZero())))))
		s.promote(ctx, gs.Status.Rollout.Revision)
		s.eventuallyStep(ctx, v1alpha1.StepScalingUp)
		expect(6, v1alpha1.Blue, v1alpha1.Green)
		unready()
		s.eventuallyServes(ctx, "v2")
		Expect(s.wants(ctx, v1alpha1.Green)).To(BeEquivalentTo(6), "the new colour takes over at the live count")
		s.eventuallyStep(ctx, v1alpha1.StepDraining)
		expect(7, v1alpha1.Green)
		expect(3, v1alpha1.Green)
	})

	It("keeps the serving colour's size until the switch where a change brings a version and a number together", func(ctx SpecContext) {
		s := started(ctx, replicas(3), manual)
		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Image, gs.Spec.Replicas = image(s.namespace, "v2"), new(int32(1))
		})
		gs := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		Expect(s.wants(ctx, v1alpha1.Blue)).To(BeEquivalentTo(3))
		s.promote(ctx, gs.Status.Rollout.Revision)
		s.eventuallyServes(ctx, "v2")
		Expect(s.wants(ctx, v1alpha1.Green)).To(BeEquivalentTo(1))
	})

	It("keeps what runs when autoscaling is switched off, and when it is switched on", func(ctx SpecContext) {
		s := started(ctx, autoscaled(2, 10))
		s.scale(ctx, 4)
		Eventually(s.wants).WithArguments(ctx, v1alpha1.Blue).Should(BeEquivalentTo(4))
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Autoscaling = nil })
		Eventually(func() bool {
			return apierrors.IsNotFound(k8s.Get(ctx, s.key(), &autoscalingv2.HorizontalPodAutoscaler{}))
		}).Should(BeTrue())
		Consistently(s.wants).WithArguments(ctx, v1alpha1.Blue).Should(BeEquivalentTo(4))
		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: new(int32(1)), MaxReplicas: 10}
			gs.Spec.Replicas = nil // as kubectl replace with a manifest that has none
		})
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Spec.Replicas).NotTo(BeNil())
			g.Expect(*gs.Spec.Replicas).To(BeEquivalentTo(4))
		})
		Expect(s.wants(ctx, v1alpha1.Blue)).To(BeEquivalentTo(4))
	})

	// The autoscaler is one object that no rollout replaces, and what it may do is for the operator of a service to say at any time, whichever
	// version serves: neither the next version's affair, nor lost with a switch.
	It("has the autoscaler do what spec says now, in every phase of a rollout, and lets it be the same one throughout", func(ctx SpecContext) {
		s := started(ctx, autoscaled(2, 10), manual, scaleDownDelay(600))
		hpa := &autoscalingv2.HorizontalPodAutoscaler{}
		Eventually(k8s.Get).WithArguments(ctx, s.key(), hpa).Should(Succeed())
		first := hpa.UID
		expectBounds := func(minimum, maximum int32) {
			GinkgoHelper()
			s.change(ctx, autoscaled(minimum, maximum))
			Eventually(func(g Gomega) {
				g.Expect(k8s.Get(ctx, s.key(), hpa)).To(Succeed())
				g.Expect(*hpa.Spec.MinReplicas).To(Equal(minimum))
				g.Expect(hpa.Spec.MaxReplicas).To(Equal(maximum))
			}).Should(Succeed())
			Expect(hpa.UID).To(Equal(first))
			Expect(s.deployment(ctx, s.activeColor(ctx)).Spec.Template.Labels).To(HaveKeyWithValue(v1alpha1.LabelRevision, s.get(ctx).Status.ActiveRevision))
		}
		expectBounds(1, 9)
		Expect(s.deployment(ctx, v1alpha1.Blue).Generation).To(BeEquivalentTo(1), "bounds are no reason to touch pods")
		s.release(ctx, "v2")
		gs := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		expectBounds(2, 8)
		s.promote(ctx, gs.Status.Rollout.Revision)
		s.eventuallyStep(ctx, v1alpha1.StepDraining)
		expectBounds(1, 7)

		By("switching it off and on while another version waits")
		s.release(ctx, "v3")
		s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		serves := s.wants(ctx, v1alpha1.Green)
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Autoscaling = nil })
		Eventually(func() bool { return apierrors.IsNotFound(k8s.Get(ctx, s.key(), hpa)) }).Should(BeTrue())
		s.change(ctx, autoscaled(1, 6))
		Eventually(k8s.Get).WithArguments(ctx, s.key(), hpa).Should(Succeed())
		Expect(s.wants(ctx, v1alpha1.Green)).To(Equal(serves))
		s.promote(ctx, s.get(ctx).Status.Rollout.Revision)
		s.eventuallyServes(ctx, "v3")
		Expect(s.wants(ctx, v1alpha1.Blue)).To(Equal(serves))
	})

	It("scales to zero and back, and rolls out at zero", func(ctx SpecContext) {
		s := started(ctx, replicas(2), scaleDownDelay(0))
		s.scale(ctx, 0)
		s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonScaledToZero)
		Eventually(endpoints).WithArguments(ctx, s.namespace, s.name).Should(BeEmpty())
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		s.scale(ctx, 2)
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Status.Replicas).To(BeEquivalentTo(2))
			g.Expect(apimeta.IsStatusConditionTrue(gs.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())
		})
		Eventually(endpoints).WithArguments(ctx, s.namespace, s.name).Should(HaveEach(HavePrefix("hello-green-")))
	})

	It("has a disruption budget for the serving colour wherever more than one replica is wanted", func(ctx SpecContext) {
		s := started(ctx, replicas(1))
		budget := &policyv1.PodDisruptionBudget{}
		Expect(apierrors.IsNotFound(k8s.Get(ctx, s.key(), budget))).To(BeTrue())
		s.scale(ctx, 2)
		Eventually(k8s.Get).WithArguments(ctx, s.key(), budget).Should(Succeed())
		Expect(budget.Spec.Selector.MatchLabels).To(HaveKeyWithValue(v1alpha1.LabelColor, "blue"))
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		Eventually(func(g Gomega) {
			g.Expect(k8s.Get(ctx, s.key(), budget)).To(Succeed())
			g.Expect(budget.Spec.Selector.MatchLabels).To(HaveKeyWithValue(v1alpha1.LabelColor, "green"))
		}).Should(Succeed())
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.DisruptionBudget.Mode = v1alpha1.DisruptionBudgetDisabled })
		Eventually(func() bool { return apierrors.IsNotFound(k8s.Get(ctx, s.key(), budget)) }).Should(BeTrue())
	})
})

func apimetaOf(hpa *autoscalingv2.HorizontalPodAutoscaler, kind autoscalingv2.HorizontalPodAutoscalerConditionType) *autoscalingv2.HorizontalPodAutoscalerCondition {
	for i := range hpa.Status.Conditions {
		if hpa.Status.Conditions[i].Type == kind {
			return &hpa.Status.Conditions[i]
		}
	}
	return nil
}
