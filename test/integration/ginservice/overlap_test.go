package ginservice

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

func overlap(seconds int32) manifest {
	return func(gs *v1alpha1.GinService) {
		gs.Spec.Strategy.BlueGreen.Cutover = v1alpha1.CutoverOverlap
		gs.Spec.Strategy.BlueGreen.OverlapSeconds = new(seconds)
	}
}

// serving returns how many pods of each colour the active Service sends traffic to.
func (s *service) serving(ctx context.Context) map[v1alpha1.Color]int {
	pods := map[v1alpha1.Color]int{}
	for _, pod := range endpoints(ctx, s.namespace, s.name) {
		color := v1alpha1.Blue
		if strings.HasPrefix(pod, s.name+"-green-") {
			color = v1alpha1.Green
		}
		pods[color]++
	}
	return pods
}

var _ = Describe("a rollout with an overlap", func() {
	var operating *operator
	BeforeEach(func() { operating = startOperator() })

	both := map[v1alpha1.Color]int{v1alpha1.Blue: 2, v1alpha1.Green: 2}

	It("lets both colours serve before the new one does alone", func(ctx SpecContext) {
		s := started(ctx, replicas(2), overlap(600), scaleDownDelay(600))
		s.release(ctx, "v2")
		Eventually(s.serving).WithArguments(ctx).Should(Equal(both))
		gs := s.eventuallyStep(ctx, v1alpha1.StepOverlapping)
		Expect(gs.Status.ActiveColor).To(Equal(v1alpha1.Blue), "an autoscaler goes on measuring what it has measured")
		s.change(ctx, overlap(3))
		s.eventuallyServes(ctx, "v2")
		Expect(s.serving(ctx)).To(Equal(map[v1alpha1.Color]int{v1alpha1.Green: 2}))
		record := s.eventuallyStep(ctx, v1alpha1.StepDraining).Status.Rollout
		Expect(record.SwitchedAt.Sub(record.OverlapAt.Time)).To(BeNumerically(">=", 3*time.Second))
		Eventually(s.events).WithArguments(ctx, "OverlapStarted").Should(HaveLen(1))
		svc := &corev1.Service{}
		Expect(k8s.Get(ctx, s.key(), svc)).To(Succeed())
		Expect(svc.Annotations).NotTo(HaveKey("apps.gin-operator.dev/serving"))

		s.release(ctx, "v1", overlap(600))
		Eventually(s.serving).WithArguments(ctx).Should(Equal(both), "the way back overlaps too")
		s.change(ctx, overlap(1))
		s.eventuallyServes(ctx, "v1")
		Expect(s.get(ctx).Status.Rollout.Rollback).To(BeTrue())
	})

	It("goes on where another operator left it", func(ctx SpecContext) {
		s := started(ctx, replicas(2), overlap(600))
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepOverlapping)
		Eventually(s.serving).WithArguments(ctx).Should(Equal(both))
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) { g.Expect(gs.Status.Rollout.OverlapAt).NotTo(BeNil()) })
		began := s.get(ctx).Status.Rollout.OverlapAt
		operating.stop()
		s.change(ctx, overlap(5))
		startOperator()
		s.eventuallyServes(ctx, "v2")
		Expect(s.get(ctx).Status.Rollout.OverlapAt).To(Equal(began), "the time that has passed counts")
	})

	It("leaves the old colour alone when the new one breaks, and ends the rollout with the deadline", func(ctx SpecContext) {
		s := started(ctx, replicas(2), overlap(600))
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepOverlapping)
		Eventually(s.serving).WithArguments(ctx).Should(Equal(both))
		s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		Eventually(s.events).WithArguments(ctx, "OverlapStopped").Should(HaveLen(1))
		s.change(ctx, deadline(5))
		s.eventuallyStep(ctx, v1alpha1.StepFailed)
		Eventually(s.serving).WithArguments(ctx).Should(Equal(map[v1alpha1.Color]int{v1alpha1.Blue: 2}))
	})

	It("leaves the old colour alone when the rollout is aborted", func(ctx SpecContext) {
		s := started(ctx, replicas(2), overlap(600), func(gs *v1alpha1.GinService) {
			gs.Spec.Strategy.BlueGreen.AbortScaleDownDelaySeconds = new(int32(0))
		})
		s.release(ctx, "v2")
		revision := s.eventuallyStep(ctx, v1alpha1.StepOverlapping).Status.Rollout.Revision
		Eventually(s.serving).WithArguments(ctx).Should(Equal(both))
		s.annotate(ctx, v1alpha1.AnnotationAbort, revision)
		s.eventuallyStep(ctx, v1alpha1.StepAborted)
		Eventually(s.wants).WithArguments(ctx, v1alpha1.Green).Should(BeZero())
		Expect(s.serving(ctx)).To(Equal(map[v1alpha1.Color]int{v1alpha1.Blue: 2}))
	})

	It("repairs a selector that somebody changes while both serve", func(ctx SpecContext) {
		s := started(ctx, replicas(2), overlap(600))
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepOverlapping)
		Eventually(s.serving).WithArguments(ctx).Should(Equal(both))
		s.allowOutage(ctx, func() {
			svc := &corev1.Service{ObjectMeta: s.meta("hello")}
			s.mutate(ctx, svc, func(o client.Object) { o.(*corev1.Service).Spec.Selector["stray"] = "label" })
			Eventually(func(g Gomega) {
				g.Expect(k8s.Get(ctx, s.key(), svc)).To(Succeed())
				g.Expect(svc.Spec.Selector).To(HaveLen(1))
			}).WithContext(ctx).Should(Succeed())
		})
		Eventually(s.serving).WithArguments(ctx).Should(Equal(both))
	})
})
