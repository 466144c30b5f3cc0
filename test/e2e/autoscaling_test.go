//go:build e2e

package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

var _ = Describe("autoscaling on CPU", func() {
	It("scales up under load while a rollout is in flight, is carried over by the switch of any strategy, and scales down after", func(ctx SpecContext) {
		const most = 4
		gs := hello(newNamespace(ctx), withScaleDownDelay(5), func(spec *v1alpha1.GinServiceSpec) {
			spec.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("16Mi")}
			spec.Strategy.BlueGreen.Promotion = v1alpha1.PromotionManual
			spec.Autoscaling = &v1alpha1.Autoscaling{
				// One pod alone is not ready for a moment when this machine is busy, and that is nobody's fault.
				MinReplicas: new(int32(2)), MaxReplicas: most,
				Metrics: []v1alpha1.Metric{{Type: v1alpha1.MetricCPU, AverageUtilization: new(int32(50))}},
				// Just after a switch, what is measured of the new pods is from before they had any traffic.
				Behavior: &v1alpha1.ScalingBehavior{ScaleDown: &v1alpha1.ScalingRules{StabilizationWindowSeconds: new(int32(40))}},
			}
		})
		create(ctx, gs)
		autoscaler := autoscalerOf(ctx, gs).UID
		seen := record(ctx, gs)
		change(ctx, gs, toVersion("v2"))
		awaitStep(ctx, gs, v1alpha1.StepWaitingForPromotion)

		By("loading it while its new version waits for an approval")
		// 100 requests a second of 4 ms of CPU each are the work of four pods and more, at half of 100m.
		traffic := load(ctx, gs, 100, "/api/v1/load/cpu?ms=4")
		await(ctx, gs, func(g Gomega) {
			g.Expect(*gs.Spec.Replicas).To(Equal(int32(most)))
			g.Expect(gs.Status.Rollout.Step).To(Equal(v1alpha1.StepWaitingForPromotion))
			ready, n := seen.since(0)
			g.Expect(ready[n-1].active[v1alpha1.Blue]).To(Equal(most))
			g.Expect(gs.Status.Replicas).To(Equal(int32(most)))
		})

		By("approving it")
		_, before := seen.since(0)
		approve(ctx, gs, gs.Status.Rollout.Revision)
		expectTakenOver(seen.awaitAlone(ctx, before, v1alpha1.Green), v1alpha1.Green, most)
		awaitStep(ctx, gs, v1alpha1.StepCompleted)
		Expect(*gs.Spec.Replicas).To(Equal(int32(most)))
		Expect(autoscalerOf(ctx, gs).UID).To(Equal(autoscaler), "the autoscaler was made anew, and with it its memory lost")

		By("letting both colours serve for a while, and then replacing the pods that serve, under the same load")
		for _, strategy := range []func(*v1alpha1.GinServiceSpec){
			func(spec *v1alpha1.GinServiceSpec) {
				spec.Strategy.BlueGreen.Promotion, spec.Strategy.BlueGreen.Cutover = v1alpha1.PromotionAutomatic, v1alpha1.CutoverOverlap
				spec.Strategy.BlueGreen.OverlapSeconds = new(int32(5))
			},
			func(spec *v1alpha1.GinServiceSpec) { spec.Strategy.Type = v1alpha1.StrategyRollingUpdate },
		} {
			change(ctx, gs, strategy, configured("PROMOTION", string(gs.Status.ActiveColor)+gs.Status.ActiveRevision))
			awaitReady(ctx, gs)
			awaitStep(ctx, gs, v1alpha1.StepCompleted)
			// How many pods that takes is for the autoscaler to say: while both colours serve, each has half of the load.
			await(ctx, gs, func(g Gomega) {
				g.Expect(deploymentOf(ctx, gs, gs.Status.ActiveColor).Spec.Replicas).To(HaveValue(Equal(*gs.Spec.Replicas)))
			})
			Expect(autoscalerOf(ctx, gs).UID).To(Equal(autoscaler))
		}
		serving := gs.Status.ActiveColor

		By("ending the load")
		expectNoneFailed(ctx, traffic)
		await(ctx, gs, func(g Gomega) {
			g.Expect(*gs.Spec.Replicas).To(Equal(int32(2)))
			now, n := seen.since(0)
			g.Expect(now[n-1].active).To(Equal(map[v1alpha1.Color]int{serving: 2}))
		})
	})
})

func autoscalerOf(ctx context.Context, gs *v1alpha1.GinService) *autoscalingv2.HorizontalPodAutoscaler {
	GinkgoHelper()
	var hpa autoscalingv2.HorizontalPodAutoscaler
	Expect(cluster.Client.Get(ctx, client.ObjectKeyFromObject(gs), &hpa)).To(Succeed())
	return &hpa
}
