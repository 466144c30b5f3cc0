package ginservice

import (
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/controlplane"
)

// idling lets the autoscaler take the last pod away, on the External metric jobs, of which each pod takes one.
func idling(gs *v1alpha1.GinService) {
	gs.Spec.Autoscaling = &v1alpha1.Autoscaling{
		MinReplicas: new(int32(0)), MaxReplicas: 3,
		Metrics:  []v1alpha1.Metric{{Type: v1alpha1.MetricExternal, Name: "jobs", AverageValue: resource.NewQuantity(1, resource.DecimalSI)}},
		Behavior: &v1alpha1.ScalingBehavior{ScaleDown: &v1alpha1.ScalingRules{StabilizationWindowSeconds: new(int32(0))}},
	}
}

// installJobs makes the metric jobs something that a spec can set. It may be called again, and nobody minds that the metric stays.
func installJobs() {
	GinkgoHelper()
	options := envtest.CRDInstallOptions{
		Paths: []string{filepath.Join("testdata", "jobs.yaml")}, ErrorIfPathMissing: true, MaxTime: time.Minute, PollInterval: 50 * time.Millisecond,
	}
	_, err := envtest.InstallCRDs(plane.Config(), options)
	Expect(err).NotTo(HaveOccurred())
}

// waiting says how many jobs wait for a service.
func (s *service) waiting(ctx SpecContext, jobs int64) {
	GinkgoHelper()
	metric := &unstructured.Unstructured{Object: map[string]any{"metricName": "jobs", "value": jobs, "timestamp": time.Now().UTC().Format(time.RFC3339)}}
	metric.SetAPIVersion("external.metrics.k8s.io/v1beta1")
	metric.SetKind("ExternalMetricValue")
	metric.SetNamespace(s.namespace)
	metric.SetName("waiting")
	Eventually(func() error {
		if err := client.IgnoreNotFound(k8s.Delete(ctx, metric.DeepCopy())); err != nil || jobs < 0 {
			return err
		}
		return k8s.Create(ctx, metric.DeepCopy())
	}).WithContext(ctx).Should(Succeed())
}

// unknown is what waiting takes where nobody knows how many wait.
const unknown = -1

func (s *service) autoscaler(ctx SpecContext) *autoscalingv2.HorizontalPodAutoscaler {
	GinkgoHelper()
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	Eventually(k8s.Get).WithArguments(ctx, s.key(), hpa).Should(Succeed())
	return hpa
}

// eventuallyHas waits until a number of pods is wanted and serves.
func (s *service) eventuallyHas(ctx SpecContext, pods int32) {
	GinkgoHelper()
	s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
		g.Expect(gs.Spec.Replicas).To(HaveValue(Equal(pods)))
		g.Expect(gs.Status.Replicas).To(Equal(pods))
		g.Expect(apimeta.IsStatusConditionTrue(gs.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())
	})
}

var _ = Describe("scaling to zero", func() {
	It("follows the autoscaler there and back, is rolled out there, and rests", func(ctx SpecContext) {
		op := startOperator()
		installJobs()
		s := started(ctx, idling, scaleDownDelay(0))
		s.eventuallyHas(ctx, 1)
		first := s.autoscaler(ctx).UID

		By("having nothing to do")
		s.waiting(ctx, 0)
		s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonScaledToZero)
		s.eventuallyCondition(ctx, v1alpha1.ConditionAvailable, v1alpha1.ReasonScaledToZero)
		s.eventuallyCondition(ctx, v1alpha1.ConditionAutoscalingActive, "ValidMetricFound")
		s.eventuallyHas(ctx, 0)
		Eventually(endpoints).WithArguments(ctx, s.namespace, s.name).Should(BeEmpty())
		at := op.quiet(ctx)
		Consistently(func(g Gomega) {
			diff := op.requests.Since(at)
			g.Expect(diff.Writes()+diff.Reads()+diff.Events()).To(BeZero(), "%v", diff)
		}).WithTimeout(5 * time.Second).Should(Succeed())

		By("releasing another version")
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		Expect(s.get(ctx).Spec.Replicas).To(HaveValue(BeZero()))
		Expect(s.podNames(ctx, v1alpha1.Green)).To(BeEmpty())

		By("not knowing whether there is something to do, and then having it")
		s.waiting(ctx, unknown)
		s.eventuallyCondition(ctx, v1alpha1.ConditionAutoscalingActive, "FailedGetExternalMetric")
		s.waiting(ctx, 2)
		s.eventuallyHas(ctx, 2)
		s.eventuallyServes(ctx, "v2")
		Eventually(endpoints).WithArguments(ctx, s.namespace, s.name).Should(And(HaveLen(2), HaveEach(HavePrefix("hello-green-"))))
		s.eventuallyCondition(ctx, v1alpha1.ConditionAutoscalingActive, "ValidMetricFound")
		Expect(s.autoscaler(ctx).UID).To(Equal(first), "another one would not know that it has gone to zero")
	})

	It("stays there where somebody has taken the pods away by hand", func(ctx SpecContext) {
		startOperator()
		installJobs()
		s := create(ctx, idling)
		s.waiting(ctx, 2)
		s.eventuallyHas(ctx, 2)
		s.scale(ctx, 0)
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionAutoscalingActive, "ScalingDisabled")).To(ContainSubstring("scale to one or more"))
		Consistently(func() *int32 { return s.get(ctx).Spec.Replicas }).WithTimeout(3 * time.Second).Should(HaveValue(BeZero()))
		s.scale(ctx, 1)
		s.eventuallyHas(ctx, 2)
		s.eventuallyCondition(ctx, v1alpha1.ConditionAutoscalingActive, "ValidMetricFound")
	})

	It("says what an older cluster lacks, keeps all else in order, and tries only now and then", func(ctx SpecContext) {
		old, err := controlplane.Start(ctx, controlplane.WithAPIServerFlags("--feature-gates=HPAScaleToZero=false"))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() error { return old.Stop() })
		there, err := client.New(old.Config(), client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())
		op := startOperatorAs(old.Config())
		gs := &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "hello"}}
		gs.Spec.Image = image(gs.Namespace, "v1")
		idling(gs)
		Expect(there.Create(ctx, gs)).To(Succeed())
		stalled := func(g Gomega) *metav1.Condition {
			g.Expect(there.Get(ctx, client.ObjectKeyFromObject(gs), gs)).To(Succeed())
			return apimeta.FindStatusCondition(gs.Status.Conditions, v1alpha1.ConditionStalled)
		}
		Eventually(stalled).Should(And(HaveField("Reason", v1alpha1.ReasonRejected), HaveField("Message", And(
			ContainSubstring("spec.autoscaling.minReplicas: Invalid value: 0"), ContainSubstring("needs Kubernetes 1.37, or the feature gate HPAScaleToZero"),
		))))
		Expect(gs.Spec.Replicas).To(HaveValue(BeEquivalentTo(1)))
		Expect(there.Get(ctx, client.ObjectKeyFromObject(gs), &corev1.Service{})).To(Succeed())
		at := op.quiet(ctx)
		Consistently(func() int { return op.requests.Since(at).Writes() }).WithTimeout(5 * time.Second).Should(BeZero())

		By("asking for what it has")
		Eventually(func() error {
			if err := there.Get(ctx, client.ObjectKeyFromObject(gs), gs); err != nil {
				return err
			}
			gs.Spec.Autoscaling.MinReplicas = new(int32(1))
			return there.Update(ctx, gs)
		}).Should(Succeed())
		Eventually(stalled).Should(BeNil())
		Expect(there.Get(ctx, client.ObjectKeyFromObject(gs), &autoscalingv2.HorizontalPodAutoscaler{})).To(Succeed())
	})
})
