package ginservice

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
)

func podMonitorCRD() envtest.CRDInstallOptions {
	return envtest.CRDInstallOptions{
		Paths: []string{filepath.Join("testdata", "podmonitors.yaml")}, ErrorIfPathMissing: true, MaxTime: time.Minute, PollInterval: 50 * time.Millisecond,
	}
}

// installPodMonitors makes the cluster have PodMonitors. It may be called again.
func installPodMonitors() {
	GinkgoHelper()
	_, err := envtest.InstallCRDs(plane.Config(), podMonitorCRD())
	Expect(err).NotTo(HaveOccurred())
}

// removePodMonitors makes it have none, and waits until it does.
func removePodMonitors(ctx SpecContext) {
	GinkgoHelper()
	Expect(envtest.UninstallCRDs(plane.Config(), podMonitorCRD())).To(Succeed())
	Eventually(func() error { return k8s.List(ctx, &monitoring.PodMonitorList{}) }).WithTimeout(time.Minute).Should(Satisfy(func(err error) bool {
		return apierrors.IsNotFound(err) || apimeta.IsNoMatchError(err)
	}))
}

func measured(gs *v1alpha1.GinService) {
	gs.Spec.Monitoring = v1alpha1.Monitoring{Type: v1alpha1.MonitoringPodMonitor, Labels: map[string]string{"release": "prometheus"}}
}

func unmeasured(gs *v1alpha1.GinService) {
	gs.Spec.Monitoring = v1alpha1.Monitoring{Type: v1alpha1.MonitoringNone}
}

// podMonitorSpec is of the spec of a PodMonitor what the specs look at.
type podMonitorSpec struct {
	Selector            metav1.LabelSelector `json:"selector"`
	PodMetricsEndpoints []struct {
		Port, Path, Scheme string
	} `json:"podMetricsEndpoints"`
	SampleLimit int `json:"sampleLimit"`
}

func specOf(monitor *monitoring.PodMonitor) podMonitorSpec {
	GinkgoHelper()
	var spec podMonitorSpec
	Expect(json.Unmarshal(monitor.Spec.Raw, &spec)).To(Succeed())
	return spec
}

var _ = Describe("monitoring", func() {
	monitorOf := func(ctx SpecContext, s *service) *monitoring.PodMonitor {
		GinkgoHelper()
		monitor := &monitoring.PodMonitor{}
		// A cache that was refused may take up to a minute before it tries again.
		Eventually(func() error { return k8s.Get(ctx, s.key(), monitor) }).WithTimeout(2 * time.Minute).Should(Succeed())
		return monitor
	}
	annotations := func(ctx SpecContext, s *service, name string) map[string]string {
		svc := &corev1.Service{}
		if err := k8s.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: name}, svc); err != nil {
			return nil
		}
		return svc.Annotations
	}

	It("annotates the active Service alone by default, and takes that back, with no pod restarted", func(ctx SpecContext) {
		startOperator()
		s := started(ctx)
		Expect(annotations(ctx, s, "hello")).To(And(HaveKeyWithValue("prometheus.io/scrape", "true"), HaveKeyWithValue("prometheus.io/path", "/metrics"), Not(HaveKey("prometheus.io/port"))))
		Expect(annotations(ctx, s, "hello-preview")).NotTo(HaveKey("prometheus.io/scrape"))
		revision, pods := s.get(ctx).Status.ActiveRevision, s.podNames(ctx, v1alpha1.Blue)
		s.change(ctx, unmeasured)
		Eventually(annotations).WithArguments(ctx, s, "hello").Should(And(Not(HaveKey("prometheus.io/scrape")), Not(HaveKey("prometheus.io/path"))))
		s.eventuallyServes(ctx, "v1")
		Expect(s.get(ctx).Status.ActiveRevision).To(Equal(revision))
		Expect(s.podNames(ctx, v1alpha1.Blue)).To(ConsistOf(pods))
	})

	It("waits for prometheus-operator without holding anything up, comes with it, and survives its going", func(ctx SpecContext) {
		removePodMonitors(ctx)
		startOperator()
		s := started(ctx, measured, scaleDownDelay(0))
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionMonitored, v1alpha1.ReasonPodMonitorsMissing)).To(ContainSubstring("install prometheus-operator"))
		Eventually(s.events).WithArguments(ctx, v1alpha1.ReasonPodMonitorsMissing).Should(HaveLen(1))
		Expect(annotations(ctx, s, "hello")).NotTo(HaveKey("prometheus.io/scrape"))
		Expect(apimeta.IsStatusConditionTrue(s.get(ctx).Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())

		installPodMonitors()
		monitorOf(ctx, s)
		s.eventuallyCondition(ctx, v1alpha1.ConditionMonitored, v1alpha1.ReasonPodMonitorWritten)

		removePodMonitors(ctx)
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		Expect(apimeta.IsStatusConditionTrue(s.get(ctx).Status.Conditions, v1alpha1.ConditionStalled)).To(BeFalse())

		By("installing it again")
		installPodMonitors()
		s.release(ctx, "v3")
		s.eventuallyServes(ctx, "v3")
		monitorOf(ctx, s)
		s.eventuallyCondition(ctx, v1alpha1.ConditionMonitored, v1alpha1.ReasonPodMonitorWritten)
		Expect(s.events(ctx, v1alpha1.ReasonContested)).To(BeEmpty())
	})

	It("makes a PodMonitor for both colours, repairs it, and takes it back", func(ctx SpecContext) {
		installPodMonitors()
		startOperator()
		s := started(ctx, measured)
		monitor := monitorOf(ctx, s)
		Expect(metav1.IsControlledBy(monitor, s.get(ctx))).To(BeTrue())
		Expect(monitor.Labels).To(And(HaveKeyWithValue("release", "prometheus"), HaveKeyWithValue(v1alpha1.LabelManagedBy, v1alpha1.ManagedBy)))
		spec := specOf(monitor)
		Expect(spec.Selector.MatchLabels).To(Equal(map[string]string{v1alpha1.LabelUID: string(s.get(ctx).UID)}))
		Expect(spec.PodMetricsEndpoints).To(HaveLen(1))
		Expect(spec.PodMetricsEndpoints[0].Port).To(Equal("http"))
		Expect(spec.PodMetricsEndpoints[0].Path).To(Equal("/metrics"))
		s.eventuallyCondition(ctx, v1alpha1.ConditionMonitored, v1alpha1.ReasonPodMonitorWritten)

		By("rolling out, which is no concern of the PodMonitor")
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		Expect(monitorOf(ctx, s).Generation).To(Equal(monitor.Generation))

		By("changing what is owned, and what is not")
		s.mutate(ctx, monitor, func(o client.Object) {
			o.(*monitoring.PodMonitor).Spec = runtime.RawExtension{Raw: []byte(
				`{"sampleLimit":7,"selector":{},"podMetricsEndpoints":[{"port":"other","path":"/metrics","scheme":"https"}]}`)}
		})
		Eventually(func() podMonitorSpec { return specOf(monitorOf(ctx, s)) }).WithContext(ctx).Should(Equal(podMonitorSpec{
			Selector: spec.Selector, PodMetricsEndpoints: spec.PodMetricsEndpoints, SampleLimit: 7,
		}))

		By("following the labels of the spec, and going with it")
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Monitoring.Labels = map[string]string{"team": "shop"} })
		Eventually(func() map[string]string { return monitorOf(ctx, s).Labels }).WithContext(ctx).Should(And(HaveKeyWithValue("team", "shop"), Not(HaveKey("release"))))
		s.change(ctx, unmeasured)
		Eventually(func() bool { return apierrors.IsNotFound(k8s.Get(ctx, s.key(), monitor)) }).Should(BeTrue())
		Eventually(func() *metav1.Condition {
			return apimeta.FindStatusCondition(s.get(ctx).Status.Conditions, v1alpha1.ConditionMonitored)
		}).Should(BeNil())
	})

	It("leaves a PodMonitor alone that has its name", func(ctx SpecContext) {
		installPodMonitors()
		namespace := newNamespace(ctx)
		foreign := &monitoring.PodMonitor{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hello"}, Spec: runtime.RawExtension{Raw: []byte(`{"selector":{}}`)}}
		Expect(k8s.Create(ctx, foreign)).To(Succeed())
		startOperator()
		s := createIn(ctx, namespace, "hello", measured)
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionNameConflict, v1alpha1.ReasonNameTaken)).To(ContainSubstring("PodMonitor hello"))
		s.eventuallyCondition(ctx, v1alpha1.ConditionMonitored, v1alpha1.ReasonNameTaken)
		Expect(monitorOf(ctx, s).ResourceVersion).To(Equal(foreign.ResourceVersion))
		s.eventuallyServes(ctx, "v1")
	})

	It("costs nothing at rest or after a restart", func(ctx SpecContext) {
		installPodMonitors()
		operator := startOperator()
		s := started(ctx, measured)
		s.eventuallyCondition(ctx, v1alpha1.ConditionMonitored, v1alpha1.ReasonPodMonitorWritten)
		s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		operator.quiet(ctx)
		operator.stop()
		operator = startOperator()
		Expect(operator.quiet(ctx).Writes()).To(BeZero(), "%v", operator.requests.Log())
	})

	It("holds nothing up where the operator has no right to PodMonitors", func(ctx SpecContext) {
		installPodMonitors()
		namespace := newNamespace(ctx)
		role, cfg := grant(ctx, namespace, slices.DeleteFunc(managerRole().Rules, func(rule rbacv1.PolicyRule) bool {
			return slices.Contains(rule.APIGroups, monitoring.GroupVersion.Group)
		}))
		Expect(len(role.Rules)).To(BeNumerically("<", len(managerRole().Rules)))
		startOperatorIn(namespace, cfg)
		s := createIn(ctx, namespace, "hello", measured)
		s.eventuallyServes(ctx, "v1")
		s.eventuallySays(ctx, v1alpha1.ConditionMonitored, v1alpha1.ReasonPodMonitorUnknown, "see the log of the operator")
	})
})
