package ginservice

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

// limitPods gives the namespace a quota of pods, which is in force when it returns.
func (s *service) limitPods(ctx context.Context, pods int64) {
	GinkgoHelper()
	quota := &corev1.ResourceQuota{ObjectMeta: s.meta("few")}
	quota.Spec.Hard = corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(pods, resource.DecimalSI)}
	Expect(k8s.Create(ctx, quota)).To(Succeed())
	Eventually(func(g Gomega) {
		g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(quota), quota)).To(Succeed())
		g.Expect(quota.Status.Hard).NotTo(BeEmpty())
	}).Should(Succeed())
}

// Each trouble ends in a condition and one event that say what to do, and what serves goes on serving.
var _ = Describe("trouble", func() {
	BeforeEach(func() { startOperator() })

	stillServing := func(ctx SpecContext, s *service) {
		GinkgoHelper()
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		Expect(endpoints(ctx, s.namespace, s.name)).To(HaveEach(HavePrefix("hello-blue-")))
		Expect(apimeta.IsStatusConditionTrue(s.get(ctx).Status.Conditions, v1alpha1.ConditionAvailable)).To(BeTrue())
	}

	DescribeTable("with pods that can't start", func(ctx SpecContext, behavior kubelet.Behavior, says string) {
		s := started(ctx, replicas(1))
		s.pods("v2", behavior)
		s.release(ctx, "v2")
		var message string
		Eventually(func(g Gomega) {
			condition := apimeta.FindStatusCondition(s.get(ctx).Status.Conditions, v1alpha1.ConditionReady)
			g.Expect(condition.Reason).To(Equal(v1alpha1.ReasonPodsNotStarting))
			message = condition.Message
		}).WithContext(ctx).WithTimeout(time.Minute).Should(Succeed())
		Expect(message).To(ContainSubstring(says))
		Eventually(s.events).WithArguments(ctx, v1alpha1.ReasonPodsNotStarting).Should(HaveLen(1))
		stillServing(ctx, s)
		s.release(ctx, "v3")
		s.eventuallyServes(ctx, "v3")
	},
		Entry("an image that does not exist", kubelet.Behavior{State: kubelet.ImagePullBackOff}, "can't be pulled: check spec.image"),
		Entry("a Secret that is missing", kubelet.Behavior{State: kubelet.ConfigError}, "check spec.env, spec.envFrom"),
		Entry("a container that crashes", kubelet.Behavior{State: kubelet.CrashLoop}, "look at its logs"),
	)

	It("needs no room for a third colour when a newer preview takes the place of one", func(ctx SpecContext) {
		s := started(ctx, replicas(2), manual)
		s.release(ctx, "v2")
		before := s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion).Status.PreviewRevision
		s.limitPods(ctx, 4)
		s.release(ctx, "v3")
		Eventually(func(g Gomega) {
			gs := s.get(ctx)
			g.Expect(gs.Status.Rollout.Step).To(Equal(v1alpha1.StepWaitingForPromotion))
			g.Expect(gs.Status.PreviewRevision).To(And(Equal(gs.Status.Rollout.Revision), Not(Equal(before))))
		}).Should(Succeed())
		// Beside the pods of v2 none of v3 could start, and those would not go before. What a quota counts may lag behind, so that a pod is
		// refused at first all the same.
		Expect(endpoints(ctx, s.namespace, "hello-preview")).To(HaveLen(2))
	})

	It("names a quota that refuses pods", func(ctx SpecContext) {
		s := started(ctx, replicas(1))
		s.limitPods(ctx, 1)
		s.release(ctx, "v2")
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonPodsNotStarting)).To(
			And(ContainSubstring("exceeded quota: few"), ContainSubstring("raise the quota")))
		Eventually(s.events).WithArguments(ctx, v1alpha1.ReasonPodsNotStarting).Should(HaveLen(1))
		stillServing(ctx, s)
	})

	It("neither adopts nor changes what has a child's name, and goes on once the name is free", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		foreign := []*corev1.Service{
			{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hello"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}},
			{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hello-preview", Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}},
				Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
			},
		}
		for _, svc := range foreign {
			Expect(k8s.Create(ctx, svc)).To(Succeed())
		}
		s := createIn(ctx, namespace, "hello", replicas(1))
		for _, svc := range foreign {
			s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
				condition := apimeta.FindStatusCondition(gs.Status.Conditions, v1alpha1.ConditionNameConflict)
				g.Expect(condition).NotTo(BeNil())
			})
			now := &corev1.Service{}
			Expect(k8s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: svc.Name}, now)).To(Succeed())
			Expect(now.ResourceVersion).To(Equal(svc.ResourceVersion))
		}
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonNameTaken)).To(ContainSubstring("delete or rename it"))
		Eventually(s.events).WithArguments(ctx, v1alpha1.ReasonNameTaken).ShouldNot(BeEmpty())
		for _, svc := range foreign {
			Expect(k8s.Delete(ctx, svc)).To(Succeed())
		}
		// The operator looks again after a minute, or when it is woken, which may be before it learns that the names are free.
		Eventually(func(g Gomega) {
			s.annotate(ctx, "nudge", time.Now().Format(time.RFC3339Nano))
			g.Expect(apimeta.FindStatusCondition(s.get(ctx).Status.Conditions, v1alpha1.ConditionNameConflict)).To(BeNil())
		}).WithContext(ctx).WithPolling(500 * time.Millisecond).Should(Succeed())
		s.eventuallyServes(ctx, "v1")
		Expect(apimeta.FindStatusCondition(s.get(ctx).Status.Conditions, v1alpha1.ConditionNameConflict)).To(BeNil())
	})

	It("leaves a Deployment alone that another controller owns under the idle colour's name", func(ctx SpecContext) {
		s := started(ctx, replicas(1))
		labels := map[string]string{"app": "other"}
		other := &appsv1.Deployment{ObjectMeta: s.meta("hello-green")}
		other.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
		other.Spec = appsv1.DeploymentSpec{Replicas: new(int32(0)), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "example.com/x"}}},
		}}
		Expect(k8s.Create(ctx, other)).To(Succeed())
		s.release(ctx, "v2")
		s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonNameTaken)
		Consistently(func(g Gomega) {
			now := s.deployment(ctx, v1alpha1.Green)
			g.Expect(now.Generation).To(Equal(other.Generation))
			g.Expect(now.OwnerReferences).To(BeEmpty())
		}).Should(Succeed())
		stillServing(ctx, s)
		s.scale(ctx, 2)
		Eventually(s.wants).WithArguments(ctx, v1alpha1.Blue).Should(BeEquivalentTo(2))
	})

	It("says that a configuration is too large, and goes on scaling what serves", func(ctx SpecContext) {
		s := started(ctx, replicas(1))
		s.change(ctx, func(gs *v1alpha1.GinService) {
			// Characters of three bytes: too large for a ConfigMap, though not for the rule of the CRD, which counts characters.
			gs.Spec.Config = map[string]string{}
			for _, key := range []string{"A", "B", "C", "D"} {
				gs.Spec.Config[key] = strings.Repeat("界", 100_000)
			}
		})
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonConfigTooLarge)).To(ContainSubstring("1048576"))
		Eventually(s.events).WithArguments(ctx, v1alpha1.ReasonConfigTooLarge).Should(HaveLen(1))
		stillServing(ctx, s)
		s.scale(ctx, 2)
		Eventually(s.wants).WithArguments(ctx, v1alpha1.Blue).Should(BeEquivalentTo(2))
	})

	It("repeats what the API server refuses", func(ctx SpecContext) {
		s := started(ctx, replicas(1))
		s.change(ctx, unschedulable)
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonRejected)).To(ContainSubstring("operator"))
		Eventually(s.events).WithArguments(ctx, v1alpha1.ReasonRejected).Should(HaveLen(1))
		stillServing(ctx, s)
	})

	It("serves what corrects a first spec that the API server refuses", func(ctx SpecContext) {
		s := create(ctx, replicas(1), unschedulable)
		message := s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonRejected)
		Expect(message).To(ContainSubstring("spec.scheduling.affinity.nodeAffinity"))
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Scheduling.Affinity = nil })
		s.eventuallyServes(ctx, "v1")
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		Expect(s.get(ctx).Status.Rollout.Step).To(Equal(v1alpha1.StepCompleted))
	})

	It("says why new pods don't start although old ones of the same colour are still there", func(ctx SpecContext) {
		s := started(ctx, replicas(1), scaleDownDelay(600))
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepDraining)
		s.pods("v3", kubelet.Behavior{State: kubelet.CrashLoop})
		s.release(ctx, "v3")
		s.eventuallyCrashed(ctx, "v3")
		s.change(ctx, deadline(1))
		message := s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonProgressDeadlineExceeded)
		Expect(message).To(And(ContainSubstring("0 of 1 pods"), ContainSubstring("exit code")))
	})

	It("keeps all else in order where one child is refused", func(ctx SpecContext) {
		s := started(ctx, autoscaled(2, 5))
		forbidScalingAbove(ctx, s, 5)
		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Image = image(s.namespace, "v2")
			gs.Spec.Autoscaling.MaxReplicas = 6
		})
		Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Green))
		s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonRejected)
		Eventually(func(g Gomega) {
			budget := &policyv1.PodDisruptionBudget{}
			g.Expect(k8s.Get(ctx, s.key(), budget)).To(Succeed())
			g.Expect(budget.Spec.Selector.MatchLabels).To(HaveKeyWithValue(v1alpha1.LabelColor, "green"))
		}).Should(Succeed())
	})

	It("takes half of a rolling update back once it may, where the API server refuses that and something newer comes", func(ctx SpecContext) {
		s := started(ctx, replicas(2), manual, strategy(v1alpha1.StrategyRollingUpdate))
		before := s.podNames(ctx, v1alpha1.Blue)
		s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		s.release(ctx, "v2")
		Eventually(s.podNames).WithArguments(ctx, v1alpha1.Blue).Should(HaveLen(3))
		deployments := admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"*"}, Resources: []string{"deployments"}}
		undo := s.allowOnly(ctx, deployments, fmt.Sprintf("object.spec.template.spec.containers[0].image != %q", image(s.namespace, "v1")), func() error {
			blue := s.deployment(ctx, v1alpha1.Blue)
			blue.Spec.Template.Spec.Containers[0].Image = image(s.namespace, "v1")
			return k8s.Update(ctx, blue, client.DryRunAll)
		})
		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Image, gs.Spec.Strategy.Type = image(s.namespace, "v3"), v1alpha1.StrategyBlueGreen
		})
		s.eventuallySays(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonRejected, "denied request")
		Expect(s.get(ctx).Status.Rollout.Step).To(Equal(v1alpha1.StepDeploying))
		undo(ctx)
		Eventually(s.podNames).WithArguments(ctx, v1alpha1.Blue).Should(ConsistOf(before))
		s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
	})

	It("says that the API server can't be written to, and goes on once it can", func(ctx SpecContext) {
		s := started(ctx, replicas(1))
		hook := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}, Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "down.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: new(admissionv1.SideEffectClassNone),
			ClientConfig:      admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: s.namespace, Name: "nobody"}},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: s.namespace}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.OperationAll},
				Rule:       admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
			}},
		}}}
		Expect(k8s.Create(ctx, hook)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(k8s.Delete(ctx, hook))).To(Succeed()) })
		refused := func() error {
			deployment := s.deployment(ctx, v1alpha1.Blue)
			metav1.SetMetaDataAnnotation(&deployment.ObjectMeta, "example.com/try", "1")
			return k8s.Update(ctx, deployment, client.DryRunAll)
		}
		Eventually(refused).Should(MatchError(ContainSubstring("failed calling webhook")))
		s.release(ctx, "v2")
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonReconcileError)).To(ContainSubstring("webhook"))
		stillServing(ctx, s)
		Expect(k8s.Delete(ctx, hook)).To(Succeed())
		s.eventuallyServes(ctx, "v2")
	})

	It("keeps an autoscaler's trouble out of Ready", func(ctx SpecContext) {
		s := started(ctx, replicas(1), func(gs *v1alpha1.GinService) {
			gs.Spec.Autoscaling = &v1alpha1.Autoscaling{MaxReplicas: 3, Metrics: []v1alpha1.Metric{
				{Type: v1alpha1.MetricPods, Name: "nobody_serves_this", AverageValue: resource.NewQuantity(1, resource.DecimalSI)},
			}}
		})
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionAutoscalingActive, "FailedGetPodsMetric")).To(ContainSubstring("nobody_serves_this"))
		Expect(apimeta.IsStatusConditionTrue(s.get(ctx).Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())
	})
})

// forbidScalingAbove has the API server refuse autoscalers with a higher maximum in a service's namespace, and waits until it does.
func forbidScalingAbove(ctx SpecContext, s *service, most int32) {
	GinkgoHelper()
	resources := admissionv1.Rule{APIGroups: []string{"autoscaling"}, APIVersions: []string{"*"}, Resources: []string{"horizontalpodautoscalers"}}
	s.allowOnly(ctx, resources, fmt.Sprintf("object.spec.maxReplicas <= %d", most), func() error {
		hpa := &autoscalingv2.HorizontalPodAutoscaler{}
		Expect(k8s.Get(ctx, s.key(), hpa)).To(Succeed())
		hpa.Spec.MaxReplicas = most + 1
		return k8s.Update(ctx, hpa, client.DryRunAll)
	})
}

// allowOnly has the API server refuse changes in a service's namespace after which an expression does not hold, until it does so for an attempt.
// It returns what ends that.
func (s *service) allowOnly(ctx SpecContext, resources admissionv1.Rule, expression string, attempt func() error) (undo func(context.Context)) {
	GinkgoHelper()
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
	policy.Spec.Validations = []admissionv1.Validation{{Expression: expression}}
	policy.Spec.MatchConstraints = &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Update}, Rule: resources},
	}}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
	binding.Spec = admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName:        policy.Name,
		ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		MatchResources: &admissionv1.MatchResources{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: s.namespace}},
		},
	}
	undo = func(ctx context.Context) {
		Expect(client.IgnoreNotFound(k8s.Delete(ctx, binding))).To(Succeed())
		Expect(client.IgnoreNotFound(k8s.Delete(ctx, policy))).To(Succeed())
	}
	DeferCleanup(func(ctx SpecContext) { undo(ctx) })
	Expect(k8s.Create(ctx, policy)).To(Succeed())
	Expect(k8s.Create(ctx, binding)).To(Succeed())
	Eventually(attempt).Should(MatchError(ContainSubstring("denied request")))
	return undo
}
