package ginservice

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/counting"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

// everything is a GinService that has each kind of child.
func everything() []manifest {
	return []manifest{autoscaled(2, 5), config("LEVEL", "info"), scaleDownDelay(0)}
}

// quiet waits until an operator has asked for nothing for two seconds, and returns what it had asked for by then.
func (o *operator) quiet(ctx context.Context) counting.Counts {
	GinkgoHelper()
	var last counting.Counts
	var since time.Time
	Eventually(func() bool {
		now := o.requests.Snapshot()
		if diff := o.requests.Since(last); diff.Writes()+diff.Reads()+diff.Events() > 0 || since.IsZero() {
			last, since = now, time.Now()
		}
		return time.Since(since) > 2*time.Second
	}).WithContext(ctx).WithTimeout(time.Minute).Should(BeTrue())
	return last
}

// pacedSince returns how many writes status may have taken since a time for what is told once a second at most: numbers, what an autoscaler
// reports, and a switch that the EndpointSlices take so long to confirm.
func pacedSince(began time.Time) int { return int(time.Since(began) / time.Second) }

// eventuallyMeasured waits for the autoscaler's final word: that nobody serves the metrics it scales on here.
func (s *service) eventuallyMeasured(ctx context.Context) {
	GinkgoHelper()
	s.eventuallyCondition(ctx, v1alpha1.ConditionAutoscalingActive, "FailedGetResourceMetric")
}

var _ = Describe("at rest", func() {
	It("writes nothing and asks nothing, after creation, after a rollout and after a restart of the operator", func(ctx SpecContext) {
		op := startOperator()
		s := started(ctx, everything()...)
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		s.eventuallyMeasured(ctx)
		measured := apimeta.FindStatusCondition(s.get(ctx).Status.Conditions, v1alpha1.ConditionAutoscalingActive)
		// A minute without measurements is worth an event, which is due by now if it took so long to get here.
		warnings := func() int { return min(1, int(time.Since(measured.LastTransitionTime.Time)/time.Minute)) }
		at := op.quiet(ctx)
		Consistently(func(g Gomega) {
			diff := op.requests.Since(at)
			g.Expect(diff.Writes()+diff.Reads()).To(BeZero(), "%v", diff)
			g.Expect(diff.Events()).To(BeNumerically("<=", warnings()), "%v", diff)
		}).WithTimeout(5 * time.Second).Should(Succeed())

		op.stop()
		again := startOperator()
		again.quiet(ctx)
		counted := again.requests.Snapshot()
		Expect(counted.Writes()).To(BeZero(), "%v", counted)
		Expect(counted.Events()).To(BeNumerically("<=", warnings()), "%v", counted)
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Green))
	})

	It("costs at most ten writes for a promotion, and three beyond the children for a creation", func(ctx SpecContext) {
		op := startOperator()
		began, before := time.Now(), op.requests.Snapshot()
		s := started(ctx, everything()...)
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		created := op.requests.Since(before)
		Expect(created.Writes()).To(BeNumerically("<=", 7+3+pacedSince(began)), "%v", created)
		Expect(created.Events()).To(BeNumerically("<=", 3), "%v", created)
		Expect(created.Reads()).To(BeZero(), "%v", created)
		s.eventuallyMeasured(ctx)
		op.quiet(ctx)
		began, before = time.Now(), op.requests.Snapshot()
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		promoted := op.requests.Since(before)
		Expect(promoted.Writes()).To(BeNumerically("<=", 10+pacedSince(began)), "%v", promoted)
		Expect(promoted.Events()).To(BeNumerically("<=", 5), "%v", promoted)
		Expect(promoted.Reads()).To(BeZero(), "%v", promoted)
	})
})

var _ = Describe("repair", func() {
	It("brings back what someone changed or deleted, and leaves alone what it does not own", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, everything()...)
		Eventually(k8s.Get).WithArguments(ctx, s.key(), &autoscalingv2.HorizontalPodAutoscaler{}).Should(Succeed())

		By("deleting children")
		s.allowOutage(ctx, func() {
			for _, child := range []client.Object{
				&corev1.Service{ObjectMeta: s.meta("hello")}, &corev1.Service{ObjectMeta: s.meta("hello-preview")},
				&autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: s.meta("hello")}, &policyv1.PodDisruptionBudget{ObjectMeta: s.meta("hello")},
				&corev1.ConfigMap{ObjectMeta: s.meta("hello-" + s.get(ctx).Status.ActiveRevision)},
				&appsv1.ControllerRevision{ObjectMeta: s.meta("hello-" + s.get(ctx).Status.ActiveRevision)},
				&appsv1.Deployment{ObjectMeta: s.meta("hello-blue")},
			} {
				Expect(k8s.Get(ctx, client.ObjectKeyFromObject(child), child)).To(Succeed())
				uid := child.GetUID()
				Expect(k8s.Delete(ctx, child)).To(Succeed())
				Eventually(func(g Gomega) {
					g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(child), child)).To(Succeed())
					g.Expect(child.GetUID()).NotTo(Equal(uid))
				}).Should(Succeed(), "%T %s", child, child.GetName())
			}
			s.eventuallyServes(ctx, "v1")
		})

		By("changing what the operator owns")
		s.allowOutage(ctx, func() {
			s.mutate(ctx, &corev1.Service{ObjectMeta: s.meta("hello")}, func(o client.Object) {
				o.(*corev1.Service).Spec.Selector = map[string]string{"app": "elsewhere"}
				o.(*corev1.Service).Spec.Ports[0].TargetPort.StrVal = "other"
			})
			Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		})
		s.mutate(ctx, &appsv1.Deployment{ObjectMeta: s.meta("hello-blue")}, func(o client.Object) {
			o.(*appsv1.Deployment).Spec.Replicas = new(int32(9))
			o.(*appsv1.Deployment).Spec.Template.Spec.Containers[0].Image = "example.com/elsewhere"
			o.SetLabels(nil)
		})
		Eventually(func(g Gomega) {
			deployment := s.deployment(ctx, v1alpha1.Blue)
			g.Expect(*deployment.Spec.Replicas).To(BeEquivalentTo(2))
			g.Expect(deployment.Spec.Template.Spec.Containers[0].Image).To(Equal(image(s.namespace, "v1")))
			g.Expect(deployment.Labels).To(HaveKeyWithValue(v1alpha1.LabelColor, "blue"))
			g.Expect(deployment.Labels).To(HaveKeyWithValue(v1alpha1.LabelManagedBy, v1alpha1.ManagedBy))
		}).Should(Succeed())
		s.mutate(ctx, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: s.meta("hello")}, func(o client.Object) {
			o.(*autoscalingv2.HorizontalPodAutoscaler).Spec.MaxReplicas = 99
		})
		Eventually(func(g Gomega) {
			hpa := &autoscalingv2.HorizontalPodAutoscaler{}
			g.Expect(k8s.Get(ctx, s.key(), hpa)).To(Succeed())
			g.Expect(hpa.Spec.MaxReplicas).To(BeEquivalentTo(5))
		}).Should(Succeed())

		By("adding what the operator does not own")
		s.mutate(ctx, &corev1.Service{ObjectMeta: s.meta("hello")}, func(o client.Object) {
			o.SetAnnotations(map[string]string{"cloud.example.com/lb": "7", "apps.gin-operator.dev/intent": o.GetAnnotations()["apps.gin-operator.dev/intent"]})
		})
		s.mutate(ctx, &appsv1.Deployment{ObjectMeta: s.meta("hello-blue")}, func(o client.Object) {
			metav1.SetMetaDataAnnotation(&o.(*appsv1.Deployment).Spec.Template.ObjectMeta, "kubectl.kubernetes.io/restartedAt", "now")
		})
		s.poke(ctx)
		svc := &corev1.Service{}
		Expect(k8s.Get(ctx, s.key(), svc)).To(Succeed())
		Expect(svc.Annotations).To(HaveKeyWithValue("cloud.example.com/lb", "7"))
		Expect(s.deployment(ctx, v1alpha1.Blue).Spec.Template.Annotations).To(HaveKey("kubectl.kubernetes.io/restartedAt"))
	})

	It("takes back what spec no longer asks for", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Service.Annotations = map[string]string{"dns.example.com/name": "hello"}
			gs.Spec.Env = []v1alpha1.EnvVar{{Name: "OLD", Value: "1"}, {Name: "KEPT", Value: "2"}}
		})
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Service.Annotations, gs.Spec.Env = nil, gs.Spec.Env[1:] })
		s.eventuallyServes(ctx, "v1")
		Eventually(func(g Gomega) {
			svc := &corev1.Service{}
			g.Expect(k8s.Get(ctx, s.key(), svc)).To(Succeed())
			g.Expect(svc.Annotations).NotTo(HaveKey("dns.example.com/name"))
		}).Should(Succeed())
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Env = nil })
		s.eventuallyStep(ctx, v1alpha1.StepDraining)
		// Back in blue, which held both variables before.
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		for _, variable := range s.deployment(ctx, v1alpha1.Blue).Spec.Template.Spec.Containers[0].Env {
			Expect(variable.Name).NotTo(BeElementOf("OLD", "KEPT"))
		}
	})

	It("rebuilds a status that is lost in the middle of a rollout", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, replicas(2), manual)
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		Eventually(func() error {
			gs := s.get(ctx)
			gs.Status = v1alpha1.GinServiceStatus{}
			return k8s.Status().Update(ctx, gs)
		}).Should(Succeed())
		s.poke(ctx)
		gs := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		s.promote(ctx, gs.Status.Rollout.Revision)
		s.eventuallyServes(ctx, "v2")
	})

	It("works on where an operator was stopped, with two of them at once", func(ctx SpecContext) {
		one := startOperator()
		s := started(ctx, replicas(2), scaleDownDelay(0))
		for n, version := range []string{"v2", "v3", "v4"} {
			other := startOperator()
			s.release(ctx, version)
			if n%2 == 0 {
				one.stop()
			}
			s.eventuallyServes(ctx, version)
			one.stop()
			one = other
		}
	})

	It("leaves nothing behind when a GinService is deleted, and makes all anew under the same name", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, everything()...)
		Expect(k8s.Delete(ctx, s.get(ctx))).To(Succeed())
		createIn(ctx, s.namespace, "hello", replicas(1)).eventuallyServes(ctx, "v1")
		Eventually(func(g Gomega) {
			g.Expect(apierrors.IsNotFound(k8s.Get(ctx, s.key(), &autoscalingv2.HorizontalPodAutoscaler{}))).To(BeTrue())
			var configs corev1.ConfigMapList
			g.Expect(k8s.List(ctx, &configs, client.InNamespace(s.namespace), client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})).To(Succeed())
			g.Expect(configs.Items).To(BeEmpty())
		}).Should(Succeed())
	})

	It("heals when pods of both colours come and go in a rollout", func(ctx SpecContext) {
		startOperator()
		// Pods that are ready between two crashes must not be available in the meantime, or traffic may move to them before undo.
		s := started(ctx, replicas(3), func(gs *v1alpha1.GinService) { gs.Spec.MinReadySeconds = new(int32(1)) })
		undo := s.pods("v2", kubelet.Behavior{State: kubelet.CrashLoop, Period: 200 * time.Millisecond})
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepDeploying)
		Expect(k8s.Delete(ctx, &corev1.Pod{ObjectMeta: s.meta(s.podNames(ctx, v1alpha1.Blue)[0])})).To(Succeed())
		undo()
		s.eventuallyServes(ctx, "v2")
	})
})

func (s *service) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: s.namespace, Name: name}
}

// mutate changes a child out of band.
func (s *service) mutate(ctx context.Context, child client.Object, change func(client.Object)) {
	GinkgoHelper()
	Eventually(func() error {
		if err := k8s.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: child.GetName()}, child); err != nil {
			return err
		}
		change(child)
		return k8s.Update(ctx, child)
	}).Should(Succeed())
}
