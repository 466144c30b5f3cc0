package ginservice

import (
	"context"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

// loseNode plays the loss of a node that ran a pod of each colour: they are not ready, then they are deleted, and nobody ever says that they have
// ended.
func (s *service) loseNode(ctx context.Context) {
	GinkgoHelper()
	var lost []string
	for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
		names := s.podNames(ctx, color)
		Expect(names).NotTo(BeEmpty())
		lost = append(lost, names[0])
	}
	DeferCleanup(node.Set(func(pod *corev1.Pod) bool { return pod.Namespace == s.namespace && slices.Contains(lost, pod.Name) },
		kubelet.Behavior{State: kubelet.NotReady, Linger: time.Hour}))
	for _, service := range []string{s.name, s.name + "-preview"} {
		Eventually(func() []string { return endpoints(ctx, s.namespace, service) }).Should(Not(ContainElement(BeElementOf(lost))))
	}
	for _, name := range lost {
		Expect(k8s.Delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}})).To(Succeed())
	}
}

// eventuallyReady waits until both colours have a number of ready pods.
func (s *service) eventuallyReady(ctx context.Context, n int32) {
	GinkgoHelper()
	s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
		g.Expect(gs.Status.Colors).To(HaveLen(2))
		for _, color := range gs.Status.Colors {
			g.Expect(color.Ready).To(Equal(n), "%s", color.Color)
		}
	})
}

var _ = Describe("a node that is lost with pods of both colours", func() {
	var s *service
	BeforeEach(func(ctx SpecContext) {
		startOperator()
		s = started(ctx, manual, replicas(3), scaleDownDelay(600))
	})

	It("ends no rollout whose pods were still starting", func(ctx SpecContext) {
		start := s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepDeploying)
		Eventually(s.podNames).WithArguments(ctx, v1alpha1.Green).Should(HaveLen(3))
		s.loseNode(ctx)
		start()
		s.promote(ctx, s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.Rollout.Revision)
		s.eventuallyServes(ctx, "v2")
	})

	It("ends no rollout that waits for its promotion, and moves no traffic", func(ctx SpecContext) {
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		s.loseNode(ctx)
		s.eventuallyReady(ctx, 3)
		waiting := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		Eventually(s.events).WithArguments(ctx, "PreviewReady").Should(HaveLen(1))
		s.promote(ctx, waiting.Status.Rollout.Revision)
		s.eventuallyServes(ctx, "v2")
	})

	It("is no obstacle on the way back to the warm colour", func(ctx SpecContext) {
		s.release(ctx, "v2")
		s.promote(ctx, s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.Rollout.Revision)
		s.eventuallyServes(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepDraining)
		s.loseNode(ctx)
		s.release(ctx, "v1")
		s.eventuallyServes(ctx, "v1")
		s.eventuallyReady(ctx, 3)
		Expect(s.events(ctx, "RolloutFailed")).To(BeEmpty())
	})
})
