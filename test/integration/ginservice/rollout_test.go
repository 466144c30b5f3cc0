package ginservice

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

var _ = Describe("a rollout", func() {
	BeforeEach(func() { startOperator() })

	It("brings up blue, then moves traffic to green and lets blue go", func(ctx SpecContext) {
		s := started(ctx, replicas(2), scaleDownDelay(1))
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		Expect(s.deployment(ctx, v1alpha1.Green)).To(BeNil())

		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Green))
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		Expect(s.wants(ctx, v1alpha1.Blue)).To(BeZero())
		Expect(s.wants(ctx, v1alpha1.Green)).To(BeEquivalentTo(2))
		// Events follow the status that they tell of.
		Eventually(s.events).WithArguments(ctx, "RolloutCompleted").Should(HaveLen(2))
		Eventually(s.events).WithArguments(ctx, "Promoted").Should(HaveLen(1))
		Eventually(s.events).WithArguments(ctx, "RolloutStarted").Should(HaveLen(2))
	})

	It("keeps the old colour warm until the delay has passed since the EndpointSlices confirmed the switch", func(ctx SpecContext) {
		s := started(ctx, replicas(1), scaleDownDelay(600))
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepDraining)
		Expect(s.wants(ctx, v1alpha1.Blue)).To(BeEquivalentTo(1))
		Expect(endpoints(ctx, s.namespace, s.name)).To(HaveEach(HavePrefix("hello-green-")))
		s.change(ctx, scaleDownDelay(2))
		gs := s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		Expect(gs.Status.Rollout.EndedAt.Sub(gs.Status.Rollout.SwitchedAt.Time)).To(BeNumerically(">=", 2*time.Second))
	})

	It("shows the preview on a Service of its own, of exactly the new revision", func(ctx SpecContext) {
		s := started(ctx, manual)
		Eventually(endpoints).WithArguments(ctx, s.namespace, "hello-preview").Should(HaveEach(HavePrefix("hello-blue-")))
		s.release(ctx, "v2")
		gs := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		Expect(endpoints(ctx, s.namespace, "hello-preview")).To(And(HaveLen(1), HaveEach(HavePrefix("hello-green-"))))
		preview := &corev1.Service{}
		Expect(k8s.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: "hello-preview"}, preview)).To(Succeed())
		Expect(preview.Spec.Selector).To(HaveKeyWithValue(v1alpha1.LabelRevision, gs.Status.Rollout.Revision))
		Expect(gs.Status.PreviewRevision).To(Equal(gs.Status.Rollout.Revision))
	})

	It("waits autoPromotionSeconds after the preview is ready", func(ctx SpecContext) {
		after := func(seconds int32) manifest {
			return func(gs *v1alpha1.GinService) { gs.Spec.Strategy.BlueGreen.AutoPromotionSeconds = new(seconds) }
		}
		s := started(ctx, after(600))
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		s.change(ctx, after(2))
		s.eventuallyServes(ctx, "v2")
		rollout := s.get(ctx).Status.Rollout
		Expect(rollout.ApprovedAt.Sub(rollout.ReadyAt.Time)).To(BeNumerically(">=", 2*time.Second))
	})

	It("promotes with promotion: Manual only what the annotation names", func(ctx SpecContext) {
		s := started(ctx, manual)
		s.release(ctx, "v2")
		second := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.Rollout.Revision
		s.release(ctx, "v3")
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Status.Rollout.Revision).NotTo(Equal(second))
			g.Expect(gs.Status.Rollout.Step).To(Equal(v1alpha1.StepWaitingForPromotion))
		})
		s.promote(ctx, second)
		Consistently(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue), "an approval of v2 must not promote v3")
		s.promote(ctx, s.get(ctx).Status.Rollout.Revision)
		s.eventuallyServes(ctx, "v3")
	})

	It("keeps a preview small until its promotion, then grows it to what serves before traffic moves", func(ctx SpecContext) {
		s := started(ctx, replicas(3), manual, func(gs *v1alpha1.GinService) { gs.Spec.Strategy.BlueGreen.PreviewReplicas = new(int32(1)) })
		s.release(ctx, "v2")
		gs := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		Expect(s.wants(ctx, v1alpha1.Green)).To(BeEquivalentTo(1))
		hold := s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		s.promote(ctx, gs.Status.Rollout.Revision)
		s.eventuallyStep(ctx, v1alpha1.StepScalingUp)
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		hold()
		s.eventuallyServes(ctx, "v2")
		Expect(s.wants(ctx, v1alpha1.Green)).To(BeEquivalentTo(3))
	})

	It("puts a newer spec in the place of the preview", func(ctx SpecContext) {
		s := started(ctx, replicas(2))
		s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepDeploying)
		s.release(ctx, "v3")
		s.eventuallyServes(ctx, "v3")
		s.eventually(ctx, func(g Gomega, _ *v1alpha1.GinService) {
			g.Expect(endpoints(ctx, s.namespace, s.name)).To(And(HaveLen(2), HaveEach(HavePrefix("hello-green-"))))
		})
		Eventually(s.events).WithArguments(ctx, "RolloutCancelled").Should(
			ConsistOf(ContainSubstring("gives way to revision " + s.get(ctx).Status.ActiveRevision)))
	})

	It("lets go of a preview that is taken back", func(ctx SpecContext) {
		s := started(ctx, manual, func(gs *v1alpha1.GinService) { gs.Spec.Strategy.BlueGreen.AbortScaleDownDelaySeconds = new(int32(0)) })
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		s.release(ctx, "v1")
		s.eventuallyStep(ctx, v1alpha1.StepCancelled)
		Eventually(s.wants).WithArguments(ctx, v1alpha1.Green).Should(BeZero())
		s.eventuallyServes(ctx, "v1")
		Eventually(s.events).WithArguments(ctx, "RolloutCancelled").Should(HaveLen(1))
	})

	It("goes back to the warm colour without approval, code and configuration together", func(ctx SpecContext) {
		s := started(ctx, manual, config("GREETING", "hello"), scaleDownDelay(600))
		first := s.get(ctx).Status.ActiveRevision
		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Image, gs.Spec.Config = image(s.namespace, "v2"), map[string]string{"GREETING": "hi"}
		})
		s.promote(ctx, s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.Rollout.Revision)
		s.eventuallyServes(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepDraining)
		pods := s.podNames(ctx, v1alpha1.Blue)

		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Image, gs.Spec.Config = image(s.namespace, "v1"), map[string]string{"GREETING": "hello"}
		})
		s.eventuallyServes(ctx, "v1")
		gs := s.get(ctx)
		Expect(gs.Status.ActiveRevision).To(Equal(first))
		Expect(gs.Status.Rollout.Rollback).To(BeTrue())
		Expect(s.podNames(ctx, v1alpha1.Blue)).To(Equal(pods), "the same pods serve again")
		Expect(s.configOf(ctx, v1alpha1.Blue)).To(Equal(map[string]string{"GREETING": "hello"}))

		By("and forth again, which needs no approval either")
		pods = s.podNames(ctx, v1alpha1.Green)
		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Image, gs.Spec.Config = image(s.namespace, "v2"), map[string]string{"GREETING": "hi"}
			delete(gs.Annotations, v1alpha1.AnnotationPromote)
		})
		s.eventuallyServes(ctx, "v2")
		Expect(s.get(ctx).Status.Rollout.Rollback).To(BeTrue())
		Expect(s.podNames(ctx, v1alpha1.Green)).To(Equal(pods))
		Eventually(s.events).WithArguments(ctx, "RolloutStarted").Should(ContainElements(
			And(HavePrefix("going back to revision "+first), HaveSuffix("in blue")), And(HavePrefix("going back to revision"), HaveSuffix("in green"))))
	})

	It("goes back to a revision whose pods are gone as a normal rollout, with its old configuration", func(ctx SpecContext) {
		s := started(ctx, config("GREETING", "hello"), scaleDownDelay(0))
		first := s.get(ctx).Status.ActiveRevision
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Config["GREETING"] = "hi" })
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) { g.Expect(gs.Status.ActiveRevision).NotTo(Equal(first)) })
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Config["GREETING"] = "hello" })
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Status.ActiveRevision).To(Equal(first))
			g.Expect(gs.Status.Rollout.Step).To(Equal(v1alpha1.StepCompleted))
		})
		Expect(s.configOf(ctx, s.activeColor(ctx))).To(Equal(map[string]string{"GREETING": "hello"}))
	})

	It("rolls out a change of configuration alone", func(ctx SpecContext) {
		s := started(ctx, config("LEVEL", "info"))
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Config["LEVEL"] = "debug" })
		Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Green))
		Expect(s.configOf(ctx, v1alpha1.Green)).To(Equal(map[string]string{"LEVEL": "debug"}))
		Expect(s.configOf(ctx, v1alpha1.Blue)).To(Equal(map[string]string{"LEVEL": "info"}))
	})

	It("leaves traffic where it is when the deadline passes, says why, and starts over with a fix", func(ctx SpecContext) {
		s := started(ctx, replicas(2))
		s.pods("v2", kubelet.Behavior{State: kubelet.CrashLoop})
		s.release(ctx, "v2")
		s.eventuallyCrashed(ctx, "v2")
		s.change(ctx, deadline(1))
		s.eventuallyStep(ctx, v1alpha1.StepFailed)
		message := s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonProgressDeadlineExceeded)
		Expect(message).To(And(ContainSubstring("exit code"), ContainSubstring("to try again, change the spec, or set the annotation")))
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		Expect(apimeta.IsStatusConditionTrue(s.get(ctx).Status.Conditions, v1alpha1.ConditionAvailable)).To(BeTrue())
		Expect(endpoints(ctx, s.namespace, s.name)).To(And(HaveLen(2), HaveEach(HavePrefix("hello-blue-"))))
		Eventually(s.wants).WithArguments(ctx, v1alpha1.Green).Should(BeZero())
		Eventually(s.events).WithArguments(ctx, "RolloutFailed").Should(HaveLen(1))

		s.release(ctx, "v3", deadline(600))
		s.eventuallyServes(ctx, "v3")
	})

	It("aborts a preview by an annotation, and tries again by another", func(ctx SpecContext) {
		s := started(ctx, manual, replicas(2), deadline(60))
		s.release(ctx, "v2")
		revision := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.Rollout.Revision
		s.annotate(ctx, v1alpha1.AnnotationAbort, revision)
		s.promote(ctx, revision)
		s.eventuallyStep(ctx, v1alpha1.StepAborted)
		message := s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonAborted)
		retry := v1alpha1.AnnotationRetry + ": " + revision
		Expect(message).To(And(ContainSubstring("remove the annotation "+v1alpha1.AnnotationAbort), ContainSubstring(retry)))
		Eventually(s.wants).WithArguments(ctx, v1alpha1.Green).Should(BeZero())
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		Eventually(s.events).WithArguments(ctx, "RolloutAborted").Should(HaveLen(1))

		s.change(ctx, func(gs *v1alpha1.GinService) { delete(gs.Annotations, v1alpha1.AnnotationAbort) })
		Consistently(s.wants).WithArguments(ctx, v1alpha1.Green).Should(BeZero())
		s.annotate(ctx, v1alpha1.AnnotationRetry, revision)
		s.eventuallyServes(ctx, "v2")
	})

	It("goes back to the pods that are still warm where a rollout is aborted after the switch", func(ctx SpecContext) {
		s := started(ctx, replicas(2), deadline(60), scaleDownDelay(600))
		before := s.podNames(ctx, v1alpha1.Blue)
		s.release(ctx, "v2")
		revision := s.eventuallyStep(ctx, v1alpha1.StepDraining).Status.Rollout.Revision
		s.annotate(ctx, v1alpha1.AnnotationAbort, revision)
		Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		Eventually(s.wants).WithArguments(ctx, v1alpha1.Green).Should(BeZero())
		Expect(s.podNames(ctx, v1alpha1.Blue)).To(ConsistOf(before))
		s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonAborted)
		Eventually(s.events).WithArguments(ctx, "RolloutAborted").Should(HaveLen(1))

		s.release(ctx, "v1")
		s.eventuallyServes(ctx, "v1")
		Expect(s.podNames(ctx, v1alpha1.Blue)).To(ConsistOf(before))
	})

	It("aborts a preview that nobody promotes", func(ctx SpecContext) {
		s := started(ctx, manual, deadline(60), func(gs *v1alpha1.GinService) { gs.Spec.Strategy.BlueGreen.PreviewTTLSeconds = new(int32(1)) })
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepAborted)
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonAborted)).To(ContainSubstring("previewTTLSeconds"))
		Eventually(s.wants).WithArguments(ctx, v1alpha1.Green).Should(BeZero())
		startOperator()
		Consistently(s.wants).WithArguments(ctx, v1alpha1.Green).Should(BeZero())
	})

	It("isn't fooled about the deadline by a preview that is ready between two crashes", func(ctx SpecContext) {
		s := started(ctx, replicas(2), func(gs *v1alpha1.GinService) { gs.Spec.MinReadySeconds = new(int32(2)) })
		s.pods("v2", kubelet.Behavior{State: kubelet.CrashLoop, Period: 300 * time.Millisecond})
		s.release(ctx, "v2", deadline(3))
		s.eventuallyStep(ctx, v1alpha1.StepFailed)
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
	})

	It("keeps a revision failed over a restart of the operator", func(ctx SpecContext) {
		s := started(ctx)
		s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		s.release(ctx, "v2", deadline(1))
		s.eventuallyStep(ctx, v1alpha1.StepFailed)
		Eventually(s.wants).WithArguments(ctx, v1alpha1.Green).Should(BeZero())
		startOperator()
		Consistently(s.wants).WithArguments(ctx, v1alpha1.Green).Should(BeZero())
	})

	It("records revisions, and forgets the oldest that no colour needs", func(ctx SpecContext) {
		s := started(ctx, config("N", "1"), scaleDownDelay(0), func(gs *v1alpha1.GinService) {
			gs.Spec.RevisionHistoryLimit = new(int32(1))
			gs.Annotations = map[string]string{v1alpha1.AnnotationChangeCause: "first try"}
		})
		first := s.get(ctx).Status.ActiveRevision
		Expect(s.revisions(ctx)).To(HaveKeyWithValue(first, "first try"))
		for _, version := range []string{"v2", "v3", "v4"} {
			s.release(ctx, version)
			s.eventuallyServes(ctx, version)
			s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		}
		Eventually(s.revisions).WithArguments(ctx).Should(HaveLen(3), "one in each colour, and one more")
		Expect(s.revisions(ctx)).NotTo(HaveKey(first))
		Eventually(func() bool {
			return apierrors.IsNotFound(k8s.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: "hello-" + first}, &corev1.ConfigMap{}))
		}).Should(BeTrue())
		for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
			Expect(s.configOf(ctx, color)).To(Equal(map[string]string{"N": "1"}))
		}
	})

	It("writes nothing but status while suspended, and goes on afterwards", func(ctx SpecContext) {
		s := started(ctx, replicas(1))
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Suspend = new(true) })
		s.eventuallyCondition(ctx, v1alpha1.ConditionProgressing, v1alpha1.ReasonSuspended)
		s.release(ctx, "v2")
		s.scale(ctx, 3)
		Consistently(func(g Gomega) {
			g.Expect(s.deployment(ctx, v1alpha1.Green)).To(BeNil())
			g.Expect(s.wants(ctx, v1alpha1.Blue)).To(BeEquivalentTo(1))
		}).Should(Succeed())
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Suspend = nil })
		s.eventuallyServes(ctx, "v2")
		Expect(s.wants(ctx, v1alpha1.Green)).To(BeEquivalentTo(3))
	})
})
