package ginservice

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

func restartedAt(value string) manifest {
	return func(gs *v1alpha1.GinService) {
		metav1.SetMetaDataAnnotation(&gs.ObjectMeta, v1alpha1.AnnotationRestartedAt, value)
	}
}

// forget takes an annotation away.
func forget(annotation string) manifest {
	return func(gs *v1alpha1.GinService) { delete(gs.Annotations, annotation) }
}

var _ = Describe("a restart", func() {
	BeforeEach(func() { startOperator() })

	It("brings up new pods of the same code and configuration, without approval, and again only for another value", func(ctx SpecContext) {
		s := started(ctx, manual, replicas(2), config("GREETING", "hello"), scaleDownDelay(1))
		first := s.get(ctx).Status.ActiveRevision
		s.annotate(ctx, v1alpha1.AnnotationRestartedAt, "2026-03-01T12:00:00Z")
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Status.ActiveRevision).To(And(HavePrefix(first+"-"), HaveLen(len(first)+6)))
		})
		s.eventuallyServes(ctx, "v1")
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Green))
		Expect(s.configOf(ctx, v1alpha1.Green)).To(Equal(map[string]string{"GREETING": "hello"}))
		Eventually(s.events).WithArguments(ctx, "RolloutStarted").Should(ContainElement(ContainSubstring("restarting the pods")))
		second := s.eventuallyStep(ctx, v1alpha1.StepCompleted).Status.ActiveRevision

		s.change(ctx, forget(v1alpha1.AnnotationRestartedAt))
		s.poke(ctx)
		Consistently(func() string { return s.get(ctx).Status.Rollout.Revision }).Should(Equal(second), "taking it away restarts nothing")

		s.annotate(ctx, v1alpha1.AnnotationRestartedAt, "2026-03-02T12:00:00Z")
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Status.ActiveRevision).To(And(HavePrefix(first+"-"), Not(Equal(second))))
		})
		s.eventuallyServes(ctx, "v1")
	})

	// Copies of Secrets go stale. There are none: pods refer to the Secret itself, and those that start later get what it holds then.
	It("gives new pods what a Secret holds by now, of which nobody keeps a copy", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "credentials"}, StringData: map[string]string{"password": "old"}}
		Expect(k8s.Create(ctx, secret)).To(Succeed())
		s := createIn(ctx, namespace, "hello", func(gs *v1alpha1.GinService) {
			gs.Spec.Env = []v1alpha1.EnvVar{{Name: "PASSWORD", ValueFrom: &v1alpha1.EnvVarSource{
				SecretKeyRef: &v1alpha1.KeyReference{Name: "credentials", Key: "password"},
			}}}
		})
		s.eventuallyServes(ctx, "v1")
		before := s.get(ctx).Status.ActiveRevision
		secret.StringData = map[string]string{"password": "new"}
		Expect(k8s.Update(ctx, secret)).To(Succeed())
		s.poke(ctx)
		Expect(s.get(ctx).Status.ActiveRevision).To(Equal(before), "what a Secret holds is no part of a revision")

		s.annotate(ctx, v1alpha1.AnnotationRestartedAt, "now")
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) { g.Expect(gs.Status.ActiveRevision).NotTo(Equal(before)) })
		s.eventuallyServes(ctx, "v1")
		var secrets corev1.SecretList
		Expect(k8s.List(ctx, &secrets, client.InNamespace(namespace))).To(Succeed())
		Expect(secrets.Items).To(HaveLen(1))
		for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
			Expect(s.deployment(ctx, color).Spec.Template.Spec.Containers[0].Env).To(ContainElement(corev1.EnvVar{
				Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
					LocalObjectReference: corev1.LocalObjectReference{Name: "credentials"}, Key: "password",
				}},
			}))
		}
	})

	It("goes back to the pods that it replaces while they are warm", func(ctx SpecContext) {
		s := started(ctx, replicas(2), scaleDownDelay(600))
		before := s.podNames(ctx, v1alpha1.Blue)
		s.annotate(ctx, v1alpha1.AnnotationRestartedAt, "now")
		revision := s.eventuallyStep(ctx, v1alpha1.StepDraining).Status.Rollout.Revision
		s.annotate(ctx, v1alpha1.AnnotationAbort, revision)
		Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		Expect(s.podNames(ctx, v1alpha1.Blue)).To(ConsistOf(before))
	})

	It("is no retry of what has failed or was aborted", func(ctx SpecContext) {
		s := started(ctx, replicas(1))
		s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		s.release(ctx, "v2", deadline(3))
		failed := s.eventuallyStep(ctx, v1alpha1.StepFailed).Status.Rollout.Revision
		for _, change := range []manifest{restartedAt("one"), restartedAt("two"), forget(v1alpha1.AnnotationRestartedAt)} {
			s.change(ctx, change)
			s.poke(ctx)
			Consistently(func() string { return s.get(ctx).Status.Rollout.Revision }).WithTimeout(time.Second).Should(Equal(failed))
		}
		Eventually(s.events).WithArguments(ctx, "RolloutFailed").Should(HaveLen(1))

		s.release(ctx, "v3", deadline(600))
		aborted := s.eventuallyStep(ctx, v1alpha1.StepDraining).Status.Rollout.Revision
		Expect(aborted).NotTo(ContainSubstring("-"), "a new revision has nothing of an old restart")
	})

	It("stays aborted, and promoted, by the name of the revision without its suffix", func(ctx SpecContext) {
		s := started(ctx, manual, replicas(1))
		s.change(ctx, restartedAt("now"))
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) { g.Expect(gs.Status.ActiveRevision).To(ContainSubstring("-")) })
		s.eventuallyServes(ctx, "v1")
		s.release(ctx, "v2")
		second := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.Rollout.Revision
		name, _, _ := strings.Cut(second, "-")
		s.annotate(ctx, v1alpha1.AnnotationAbort, name)
		s.eventuallyStep(ctx, v1alpha1.StepAborted)
		s.change(ctx, restartedAt("later"))
		s.change(ctx, forget(v1alpha1.AnnotationAbort))
		s.annotate(ctx, v1alpha1.AnnotationRetry, second)
		s.promote(ctx, name)
		s.eventuallyServes(ctx, "v2")
	})

	It("moves no traffic where an abort names the revision that serves", func(ctx SpecContext) {
		s := started(ctx, replicas(1))
		first := s.get(ctx).Status.ActiveRevision
		s.annotate(ctx, v1alpha1.AnnotationAbort, first)
		s.change(ctx, restartedAt("now"))
		s.eventuallyStep(ctx, v1alpha1.StepAborted)
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonAborted)).To(ContainSubstring("remove the annotation " + v1alpha1.AnnotationAbort))
		Consistently(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		Expect(s.get(ctx).Status.ActiveRevision).To(Equal(first))
		s.change(ctx, forget(v1alpha1.AnnotationAbort))
		s.annotate(ctx, v1alpha1.AnnotationRetry, s.get(ctx).Status.Rollout.Revision)
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Status.ActiveRevision).To(HavePrefix(first + "-"))
		})
		s.eventuallyServes(ctx, "v1")
	})

	It("is undone by the revision that it restarted", func(ctx SpecContext) {
		s := started(ctx, replicas(2), scaleDownDelay(600))
		first, before := s.get(ctx).Status.ActiveRevision, s.podNames(ctx, v1alpha1.Blue)
		s.change(ctx, restartedAt("now"))
		s.eventuallyStep(ctx, v1alpha1.StepDraining)
		s.annotate(ctx, v1alpha1.AnnotationRollback, first)
		Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		Expect(s.podNames(ctx, v1alpha1.Blue)).To(ConsistOf(before))
	})

	It("replaces pods a few at a time with the strategy for that", func(ctx SpecContext) {
		s := started(ctx, replicas(2), strategy(v1alpha1.StrategyRollingUpdate))
		before := s.podNames(ctx, v1alpha1.Blue)
		s.annotate(ctx, v1alpha1.AnnotationRestartedAt, "now")
		Eventually(s.podNames).WithArguments(ctx, v1alpha1.Blue).Should(And(HaveLen(2), Not(ContainElements(before))))
		s.eventuallyServes(ctx, "v1")
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
	})
})

var _ = Describe("a rollback by annotation", func() {
	BeforeEach(func() { startOperator() })

	It("goes back to a revision of the history, code and configuration together, and to spec when it is removed", func(ctx SpecContext) {
		s := started(ctx, manual, config("GREETING", "hello"), scaleDownDelay(0), func(gs *v1alpha1.GinService) {
			gs.Annotations = map[string]string{v1alpha1.AnnotationChangeCause: "first"}
		})
		first := s.get(ctx).Status.ActiveRevision
		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Image, gs.Spec.Config = image(s.namespace, "v2"), map[string]string{"GREETING": "hi"}
			gs.Annotations[v1alpha1.AnnotationChangeCause] = "second"
		})
		second := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.Rollout.Revision
		s.promote(ctx, second)
		s.eventuallyServes(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)

		s.annotate(ctx, v1alpha1.AnnotationRollback, first)
		s.eventuallyServes(ctx, "v1")
		Expect(s.get(ctx).Status.ActiveRevision).To(Equal(first))
		Expect(s.configOf(ctx, s.activeColor(ctx))).To(Equal(map[string]string{"GREETING": "hello"}))
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonServing)).To(And(ContainSubstring(v1alpha1.AnnotationRollback), ContainSubstring(second)))
		Expect(s.revisions(ctx)).To(Equal(map[string]string{first: "first", second: "second"}), "each keeps the cause of its own time")

		By("holding what it names against a newer spec")
		s.release(ctx, "v3")
		s.poke(ctx)
		Consistently(func() string { return s.get(ctx).Status.ActiveRevision }).Should(Equal(first))

		By("going on with spec")
		s.change(ctx, forget(v1alpha1.AnnotationRollback))
		s.promote(ctx, s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.Rollout.Revision)
		s.eventuallyServes(ctx, "v3")
	})

	It("moves one selector while the revision is warm", func(ctx SpecContext) {
		s := started(ctx, manual, replicas(2), scaleDownDelay(600))
		first, before := s.get(ctx).Status.ActiveRevision, s.podNames(ctx, v1alpha1.Blue)
		s.release(ctx, "v2")
		s.promote(ctx, s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.Rollout.Revision)
		s.eventuallyStep(ctx, v1alpha1.StepDraining)
		s.annotate(ctx, v1alpha1.AnnotationRollback, first)
		Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		Expect(s.podNames(ctx, v1alpha1.Blue)).To(ConsistOf(before))
	})

	It("ends no rollout that is under way where the history has no such revision", func(ctx SpecContext) {
		s := started(ctx, manual, replicas(1))
		s.release(ctx, "v2")
		second := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.Rollout.Revision
		s.annotate(ctx, v1alpha1.AnnotationRollback, "nothing")
		s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonUnknownRevision)
		s.poke(ctx)
		gs := s.get(ctx)
		Expect(gs.Status.Rollout.Step).To(Equal(v1alpha1.StepWaitingForPromotion))
		Expect(gs.Status.PreviewRevision).To(Equal(second))
		s.change(ctx, forget(v1alpha1.AnnotationRollback))
		s.promote(ctx, second)
		s.eventuallyServes(ctx, "v2")
		Expect(s.events(ctx, "RolloutCancelled")).To(BeEmpty())
		Eventually(s.events).WithArguments(ctx, "RolloutStarted").Should(HaveLen(2))
	})

	It("changes nothing where the history has no such revision, and says what it has", func(ctx SpecContext) {
		s := started(ctx, replicas(1))
		first := s.get(ctx).Status.ActiveRevision
		s.annotate(ctx, v1alpha1.AnnotationRollback, "nothing")
		message := s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonUnknownRevision)
		Expect(message).To(And(ContainSubstring("nothing"), ContainSubstring("name one of "+first)))
		s.scale(ctx, 2)
		Eventually(s.wants).WithArguments(ctx, v1alpha1.Blue).Should(BeEquivalentTo(2), "it is still scaled")
		Eventually(s.events).WithArguments(ctx, v1alpha1.ReasonUnknownRevision).ShouldNot(BeEmpty())
		s.change(ctx, forget(v1alpha1.AnnotationRollback))
		s.eventuallyServes(ctx, "v1")
	})
})
