package ginservice

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

func strategy(kind v1alpha1.StrategyType) manifest {
	return func(gs *v1alpha1.GinService) { gs.Spec.Strategy.Type = kind }
}

var _ = Describe("a rolling update", func() {
	BeforeEach(func() { startOperator() })

	It("replaces the pods that serve, code and configuration together", func(ctx SpecContext) {
		s := started(ctx, replicas(3), config("GREETING", "hello"), strategy(v1alpha1.StrategyRollingUpdate))
		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Image, gs.Spec.Config = image(s.namespace, "v2"), map[string]string{"GREETING": "hi"}
		})
		s.eventuallyServes(ctx, "v2")
		gs := s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		Expect(gs.Status.ActiveColor).To(Equal(v1alpha1.Blue))
		Expect(s.deployment(ctx, v1alpha1.Green)).To(BeNil())
		Expect(s.configOf(ctx, v1alpha1.Blue)).To(Equal(map[string]string{"GREETING": "hi"}))
		rolling := s.deployment(ctx, v1alpha1.Blue).Spec.Strategy.RollingUpdate
		Expect(*rolling.MaxSurge).To(Equal(intstr.FromString("25%")))
		Expect(*rolling.MaxUnavailable).To(Equal(intstr.FromInt32(0)))
		Eventually(s.events).WithArguments(ctx, "RolloutCompleted").Should(HaveLen(2))
	})

	It("replaces as many at a time as it may", func(ctx SpecContext) {
		s := started(ctx, replicas(2), strategy(v1alpha1.StrategyRollingUpdate), func(gs *v1alpha1.GinService) {
			gs.Spec.Strategy.RollingUpdate = &v1alpha1.RollingUpdate{MaxSurge: new(intstr.FromInt32(0)), MaxUnavailable: new(intstr.FromString("50%"))}
		})
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		rolling := s.deployment(ctx, v1alpha1.Blue).Spec.Strategy.RollingUpdate
		Expect(*rolling.MaxSurge).To(Equal(intstr.FromInt32(0)))
		Expect(*rolling.MaxUnavailable).To(Equal(intstr.FromString("50%")))
	})

	It("goes back when the deadline passes, keeps the configuration for that, and tries again when told to", func(ctx SpecContext) {
		s := started(ctx, replicas(2), config("GREETING", "hello"), strategy(v1alpha1.StrategyRollingUpdate), func(gs *v1alpha1.GinService) {
			gs.Spec.RevisionHistoryLimit = new(int32(0))
		})
		before := s.podNames(ctx, v1alpha1.Blue)
		heal := s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Image, gs.Spec.Config = image(s.namespace, "v2"), map[string]string{"GREETING": "hi"}
			deadline(3)(gs)
		})
		revision := s.eventuallyStep(ctx, v1alpha1.StepFailed).Status.Rollout.Revision
		s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonProgressDeadlineExceeded)
		Eventually(s.podNames).WithArguments(ctx, v1alpha1.Blue).Should(ConsistOf(before), "those that served do so all the time")
		Expect(s.configOf(ctx, v1alpha1.Blue)).To(Equal(map[string]string{"GREETING": "hello"}))
		Eventually(s.events).WithArguments(ctx, "RolloutFailed").Should(ConsistOf(ContainSubstring("comes back")))

		heal()
		s.change(ctx, deadline(600))
		s.annotate(ctx, v1alpha1.AnnotationRetry, revision)
		s.eventuallyServes(ctx, "v2")
	})

	It("goes back when it is aborted", func(ctx SpecContext) {
		s := started(ctx, replicas(2), strategy(v1alpha1.StrategyRollingUpdate))
		before := s.podNames(ctx, v1alpha1.Blue)
		s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		s.release(ctx, "v2")
		revision := s.eventuallyStep(ctx, v1alpha1.StepDeploying).Status.Rollout.Revision
		s.annotate(ctx, v1alpha1.AnnotationAbort, revision)
		s.eventuallyStep(ctx, v1alpha1.StepAborted)
		Eventually(s.podNames).WithArguments(ctx, v1alpha1.Blue).Should(ConsistOf(before))
	})

	It("may begin and end with a change of the strategy", func(ctx SpecContext) {
		s := started(ctx, replicas(2), manual, scaleDownDelay(1))
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		s.change(ctx, strategy(v1alpha1.StrategyRollingUpdate))
		s.eventuallyServes(ctx, "v2")
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		Eventually(s.wants).WithArguments(ctx, v1alpha1.Green).Should(BeZero())

		s.pods("v3", kubelet.Behavior{State: kubelet.NotReady})
		s.release(ctx, "v3")
		s.eventuallyStep(ctx, v1alpha1.StepDeploying)
		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Image, gs.Spec.Strategy.Type = image(s.namespace, "v4"), v1alpha1.StrategyBlueGreen
		})
		revision := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.Rollout.Revision
		s.promote(ctx, revision)
		s.eventuallyServes(ctx, "v4")
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Green))
	})
})
