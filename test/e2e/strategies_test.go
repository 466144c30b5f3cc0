//go:build e2e

package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

func byStrategy(kind v1alpha1.StrategyType, promotion v1alpha1.Promotion) func(*v1alpha1.GinServiceSpec) {
	return func(spec *v1alpha1.GinServiceSpec) {
		spec.Strategy.Type, spec.Strategy.BlueGreen.Promotion = kind, promotion
	}
}

// evict ends the pods of a colour one after the other, as a node's drain does: each as soon as the disruption budget lets it. It returns how
// often the budget did not.
func evict(ctx context.Context, gs *v1alpha1.GinService, color v1alpha1.Color) int {
	GinkgoHelper()
	refused := 0
	for _, pod := range podsOf(ctx, gs, color) {
		Eventually(func() error {
			eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
			err := cluster.Client.SubResource("eviction").Create(ctx, &pod, eviction)
			if apierrors.IsTooManyRequests(err) {
				refused++
				return err
			}
			return client.IgnoreNotFound(err)
		}).WithContext(ctx).Should(Succeed())
	}
	return refused
}

var _ = Describe("the strategy", func() {
	It("changes before and in the middle of rollouts, and pods are evicted, without a request being lost", func(ctx SpecContext) {
		rolling := byStrategy(v1alpha1.StrategyRollingUpdate, v1alpha1.PromotionAutomatic)
		blueGreen := byStrategy(v1alpha1.StrategyBlueGreen, v1alpha1.PromotionAutomatic)
		gated := byStrategy(v1alpha1.StrategyBlueGreen, v1alpha1.PromotionManual)
		gs := hello(newNamespace(ctx), withReplicas(3), withScaleDownDelay(2), rolling)
		create(ctx, gs)
		traffic := load(ctx, gs, 300)
		serves := func(color v1alpha1.Color) {
			GinkgoHelper()
			awaitReady(ctx, gs)
			Expect(gs.Status.ActiveColor).To(Equal(color))
		}

		By("replacing the pods that serve")
		change(ctx, gs, configured("STEP", "1"))
		serves(v1alpha1.Blue)

		By("bringing another version up beside them")
		change(ctx, gs, blueGreen, configured("STEP", "2"))
		serves(v1alpha1.Green)

		By("replacing the pods that serve instead, while a preview waits")
		change(ctx, gs, gated, configured("STEP", "3"))
		awaitStep(ctx, gs, v1alpha1.StepWaitingForPromotion)
		change(ctx, gs, rolling)
		serves(v1alpha1.Green)
		awaitEvent(ctx, gs, corev1.EventTypeNormal, "StrategyChanged")

		By("setting blue/green when some of the pods are replaced")
		change(ctx, gs, configured("STEP", "4"))
		await(ctx, gs, func(g Gomega) {
			deployment := deploymentOf(ctx, gs, v1alpha1.Green)
			g.Expect(gs.Status.ObservedGeneration).To(Equal(gs.Generation))
			g.Expect(deployment.Spec.Template.Labels).To(HaveKeyWithValue(v1alpha1.LabelRevision, gs.Status.Rollout.Revision))
			g.Expect(deployment.Status.ObservedGeneration).To(Equal(deployment.Generation))
			g.Expect(deployment.Status.UpdatedReplicas).To(BeNumerically(">", 0))
		})
		change(ctx, gs, gated)
		serves(v1alpha1.Green)

		By("evicting all pods while a preview waits")
		change(ctx, gs, configured("STEP", "5"))
		awaitStep(ctx, gs, v1alpha1.StepWaitingForPromotion)
		evict(ctx, gs, v1alpha1.Blue)
		Expect(evict(ctx, gs, v1alpha1.Green)).To(BeNumerically(">", 0), "the budget let all pods that serve go together")
		approve(ctx, gs, gs.Status.Rollout.Revision)
		serves(v1alpha1.Blue)
		awaitStep(ctx, gs, v1alpha1.StepCompleted)
		expectNoneFailed(ctx, traffic)

		By("looking for a disruption budget that could not count its pods")
		var events corev1.EventList
		Expect(cluster.Client.List(ctx, &events, client.InNamespace(gs.Namespace))).To(Succeed())
		for _, event := range events.Items {
			Expect(event.Reason).NotTo(Equal("CalculateExpectedPodCountFailed"), event.Message)
		}
	}, SpecTimeout(10*time.Minute))
})
