//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/testbed"
)

// adapterVersions are the APIServices of the metrics adapter.
var adapterVersions = []string{"v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"}

// installAdapter installs the metrics adapter beside the operator until the spec ends. Then all goes that was installed, and what the adapter has
// made has to follow by itself, but for its Secret, as docs/operations.md says. It is ready whether or not it has registered.
func installAdapter(ctx context.Context) {
	GinkgoHelper()
	// As in namespacedInstall.
	folder := filepath.Join(cluster.Root, "dist", "e2e", "install-adapter")
	Expect(os.MkdirAll(folder, 0o755)).To(Succeed())
	DeferCleanup(os.RemoveAll, folder)
	const text = "resources: [../../../config/default]\ncomponents: [../../../config/components/metrics-adapter]\n"
	Expect(os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o644)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		const kinds = "deployments,services,serviceaccounts,roles,rolebindings,poddisruptionbudgets,clusterroles,clusterrolebindings"
		_, err := cluster.Kubectl(ctx, "delete", kinds, "-n", testbed.OperatorNamespace, "-l", "app.kubernetes.io/component=metrics-adapter")
		Expect(err).NotTo(HaveOccurred())
		Eventually(func(g Gomega) {
			left, err := namesOf(ctx, "apiservices", "-l", "app.kubernetes.io/component=metrics-adapter")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(left).To(BeEmpty())
		}).WithContext(ctx).Should(Succeed())
		kept, err := namesOf(ctx, "secrets", "-n", testbed.OperatorNamespace, "-l", "app.kubernetes.io/component=metrics-adapter")
		Expect(err).NotTo(HaveOccurred())
		Expect(kept).To(ConsistOf("secret/" + testbed.AdapterName))
		_, err = cluster.Kubectl(ctx, "delete", "-n", testbed.OperatorNamespace, kept[0])
		Expect(err).NotTo(HaveOccurred())
	})
	Expect(cluster.InstallAdapter(ctx, folder)).To(Succeed())
}

// awaitRegistered waits until the API server serves custom.metrics.k8s.io.
func awaitRegistered(ctx context.Context) {
	GinkgoHelper()
	for _, version := range adapterVersions {
		Eventually(func() ([]string, error) { return namesOf(ctx, "apiservices") }).WithContext(ctx).Should(ContainElement(ContainSubstring(version)))
		_, err := cluster.Kubectl(ctx, "wait", "--for=condition=Available", "apiservice/"+version, "--timeout=90s")
		Expect(err).NotTo(HaveOccurred())
	}
}

// onRate scales on requests a second.
func onRate(least, most int32, each string) func(*v1alpha1.GinServiceSpec) {
	return func(spec *v1alpha1.GinServiceSpec) {
		wanted := resource.MustParse(each)
		spec.Autoscaling = &v1alpha1.Autoscaling{
			MinReplicas: &least, MaxReplicas: most,
			Metrics:  []v1alpha1.Metric{{Type: v1alpha1.MetricPods, Name: "http_requests_per_second", AverageValue: &wanted}},
			Behavior: &v1alpha1.ScalingBehavior{ScaleDown: &v1alpha1.ScalingRules{StabilizationWindowSeconds: new(int32(15))}},
		}
	}
}

// onRequestsTo scales from zero on the requests a second that another GinService gets.
func onRequestsTo(other *v1alpha1.GinService, most int32, each string) func(*v1alpha1.GinServiceSpec) {
	return func(spec *v1alpha1.GinServiceSpec) {
		wanted := resource.MustParse(each)
		spec.Autoscaling = &v1alpha1.Autoscaling{
			MinReplicas: new(int32(0)), MaxReplicas: most,
			Metrics: []v1alpha1.Metric{{
				Type: v1alpha1.MetricObject, Name: "http_requests_per_second", AverageValue: &wanted,
				Object: &v1alpha1.MetricObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "GinService", Name: other.Name},
			}},
			Behavior: &v1alpha1.ScalingBehavior{ScaleDown: &v1alpha1.ScalingRules{StabilizationWindowSeconds: new(int32(15))}},
		}
	}
}

// awaitAsleep waits until a GinService has been scaled to zero by its autoscaler, and says so.
func awaitAsleep(ctx context.Context, gs *v1alpha1.GinService) {
	GinkgoHelper()
	await(ctx, gs, func(g Gomega) {
		g.Expect(gs.Spec.Replicas).To(HaveValue(BeZero()))
		g.Expect(gs.Status.Replicas).To(BeZero())
		g.Expect(condition(gs, v1alpha1.ConditionReady)).To(And(HaveField("Status", metav1.ConditionTrue), HaveField("Reason", v1alpha1.ReasonScaledToZero)))
		g.Expect(condition(gs, v1alpha1.ConditionAvailable)).To(And(HaveField("Status", metav1.ConditionFalse), HaveField("Reason", v1alpha1.ReasonScaledToZero)))
		g.Expect(condition(gs, v1alpha1.ConditionAutoscalingActive)).To(And(HaveField("Status", metav1.ConditionTrue), HaveField("Reason", "ValidMetricFound")))
		g.Expect(podsOf(ctx, gs, v1alpha1.Blue)).To(BeEmpty())
		g.Expect(podsOf(ctx, gs, v1alpha1.Green)).To(BeEmpty())
	})
	Expect(autoscalerOf(ctx, gs).Status.Conditions).To(ContainElement(And(
		HaveField("Type", autoscalingv2.ScaledToZero), HaveField("Status", corev1.ConditionTrue))))
}

// versionsOf returns what changes with each write to a GinService and to its children. What the autoscaler reports of itself is its own affair.
func versionsOf(ctx context.Context, gs *v1alpha1.GinService) map[string]string {
	GinkgoHelper()
	Expect(cluster.Client.Get(ctx, client.ObjectKeyFromObject(gs), gs)).To(Succeed())
	versions := map[string]string{"itself": gs.ResourceVersion, "autoscaler": fmt.Sprint(autoscalerOf(ctx, gs).Generation)}
	var deployments appsv1.DeploymentList
	var services corev1.ServiceList
	for _, list := range []client.ObjectList{&deployments, &services} {
		Expect(cluster.Client.List(ctx, list, client.InNamespace(gs.Namespace), client.MatchingLabels{v1alpha1.LabelInstance: gs.Name})).To(Succeed())
	}
	for i := range deployments.Items {
		versions["Deployment "+deployments.Items[i].Name] = deployments.Items[i].ResourceVersion
	}
	for i := range services.Items {
		versions["Service "+services.Items[i].Name] = services.Items[i].ResourceVersion
	}
	return versions
}

// changeAdapter has kubectl change the adapter's Deployment, and waits until its pods are as it wants them.
func changeAdapter(ctx context.Context, arguments ...string) {
	GinkgoHelper()
	deployment := []string{"-n", testbed.OperatorNamespace, "deployment/" + testbed.AdapterName}
	_, err := cluster.Kubectl(ctx, append(arguments, deployment...)...)
	Expect(err).NotTo(HaveOccurred())
	_, err = cluster.Kubectl(ctx, append([]string{"rollout", "status", "--timeout=120s"}, deployment...)...)
	Expect(err).NotTo(HaveOccurred())
}

// scaleAdapter sets the number of the adapter's pods, and waits until there are so many.
func scaleAdapter(ctx context.Context, replicas int) {
	GinkgoHelper()
	changeAdapter(ctx, "scale", fmt.Sprintf("--replicas=%d", replicas))
	if replicas == 0 {
		_, err := cluster.Kubectl(ctx, "wait", "--for=delete", "pods", "-n", testbed.OperatorNamespace, "-l", "app.kubernetes.io/component=metrics-adapter", "--timeout=60s")
		Expect(err).NotTo(HaveOccurred())
	}
}

var _ = Describe("autoscaling on requests", func() {
	It("follows the load with a promotion in the middle, and takes nothing away while nobody measures", func(ctx SpecContext) {
		const least, most = 2, 4
		installAdapter(ctx)
		awaitRegistered(ctx)
		gs := hello(newNamespace(ctx), withScaleDownDelay(5), onRate(least, most, "20"))
		create(ctx, gs)
		await(ctx, gs, func(g Gomega) {
			g.Expect(condition(gs, v1alpha1.ConditionAutoscalingActive).Status).To(Equal(metav1.ConditionTrue), "%+v", gs.Status.Conditions)
		})

		By("loading it with the work of five pods")
		seen := record(ctx, gs)
		traffic := load(ctx, gs, 100)
		began := time.Now()
		await(ctx, gs, func(g Gomega) {
			now, n := seen.since(0)
			g.Expect(now[n-1].active[v1alpha1.Blue]).To(BeNumerically(">", least))
		})
		took := time.Since(began)
		fmt.Printf("\ne2e: a new pod was ready %.1f s after a step of load\n", took.Seconds())
		if *figuresJudge {
			// One sync of the cluster's autoscaler, a start of a pod, and two seconds.
			Expect(took).To(BeNumerically("<=", 5*time.Second+3*time.Second+2*time.Second))
		}
		await(ctx, gs, func(g Gomega) { g.Expect(gs.Status.Replicas).To(Equal(int32(most))) })

		By("promoting another version")
		_, before := seen.since(0)
		change(ctx, gs, toVersion("v2"))
		awaitStep(ctx, gs, v1alpha1.StepCompleted)
		expectTakenOver(seen.awaitAlone(ctx, before, v1alpha1.Green), v1alpha1.Green, most)

		By("ending the adapter, and then the load")
		scaleAdapter(ctx, 0)
		expectNoneFailed(ctx, traffic)
		await(ctx, gs, func(g Gomega) {
			g.Expect(condition(gs, v1alpha1.ConditionAutoscalingActive).Status).To(Equal(metav1.ConditionFalse), "%+v", gs.Status.Conditions)
		})
		Consistently(func(g Gomega) {
			g.Expect(cluster.Client.Get(ctx, client.ObjectKeyFromObject(gs), gs)).To(Succeed())
			g.Expect(gs.Spec.Replicas).To(HaveValue(Equal(int32(most))))
		}).WithContext(ctx).WithTimeout(45 * time.Second).WithPolling(time.Second).Should(Succeed())

		By("starting the adapter again")
		scaleAdapter(ctx, 2)
		await(ctx, gs, func(g Gomega) {
			g.Expect(gs.Spec.Replicas).To(HaveValue(Equal(int32(least))))
			g.Expect(condition(gs, v1alpha1.ConditionAutoscalingActive).Status).To(Equal(metav1.ConditionTrue), "%+v", gs.Status.Conditions)
		})
	}, SpecTimeout(15*time.Minute))

	It("has no pods of a worker while another service has no requests, and some of its newest version once it has", func(ctx SpecContext) {
		const most = 3
		installAdapter(ctx)
		awaitRegistered(ctx)
		front := hello(newNamespace(ctx))
		create(ctx, front)
		worker := hello(front.Namespace, withScaleDownDelay(5), onRequestsTo(front, most, "20"))
		worker.Name = "worker"
		create(ctx, worker)
		autoscaler := autoscalerOf(ctx, worker).UID

		By("leaving it alone")
		awaitAsleep(ctx, worker)
		var asleep map[string]string
		Eventually(func() bool { // what the Deployment's controller reports comes last
			before := asleep
			asleep = versionsOf(ctx, worker)
			return maps.Equal(before, asleep)
		}).WithContext(ctx).WithPolling(5 * time.Second).Should(BeTrue())
		// Six looks of the autoscaler, and as many scrapes.
		Consistently(func() map[string]string { return versionsOf(ctx, worker) }).WithContext(ctx).
			WithTimeout(30 * time.Second).WithPolling(time.Second).Should(Equal(asleep))

		By("releasing another version while it sleeps")
		change(ctx, worker, toVersion("v2"))
		awaitStep(ctx, worker, v1alpha1.StepCompleted)
		awaitAsleep(ctx, worker)

		By("loading the front end with the work of three pods")
		traffic := load(ctx, front, 50)
		began := time.Now()
		await(ctx, worker, func(g Gomega) {
			g.Expect(condition(worker, v1alpha1.ConditionAvailable).Status).To(Equal(metav1.ConditionTrue))
		})
		AddReportEntry("from the first request to a pod of the worker that is ready", time.Since(began).String())
		await(ctx, worker, func(g Gomega) {
			g.Expect(worker.Status.Replicas).To(Equal(int32(most)))
			g.Expect(condition(worker, v1alpha1.ConditionReady).Reason).To(Equal(v1alpha1.ReasonServing))
		})
		Expect(podsOf(ctx, worker, worker.Status.ActiveColor)).To(And(HaveLen(most), HaveEach(
			HaveField("Spec.Containers", ContainElement(HaveField("Image", cluster.Rewrite(testbed.SampleImage("v2"))))))))
		Expect(podsOf(ctx, worker, worker.Status.ActiveColor.Other())).To(BeEmpty())

		By("ending the load")
		expectNoneFailed(ctx, traffic)
		awaitAsleep(ctx, worker)
		Expect(autoscalerOf(ctx, worker).UID).To(Equal(autoscaler), "another one would not know that it has gone to zero")
	}, SpecTimeout(15*time.Minute))

	It("leaves the API to an adapter that was there before", func(ctx SpecContext) {
		const other = `apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.custom.metrics.k8s.io}
spec:
  group: custom.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {namespace: monitoring, name: prometheus-adapter}
`
		Expect(cluster.Apply(ctx, other)).To(Succeed())
		forget := func(ctx SpecContext) {
			_, err := cluster.Kubectl(ctx, "delete", "--ignore-not-found", "apiservice", adapterVersions[0])
			Expect(err).NotTo(HaveOccurred())
		}
		DeferCleanup(forget)
		installAdapter(ctx)
		Eventually(func(g Gomega) {
			events, err := cluster.Kubectl(ctx, "get", "events", "-n", testbed.OperatorNamespace, "-o", "custom-columns=R:.reason,M:.message")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(events).To(ContainSubstring("APIServedByAnother"))
			g.Expect(events).To(ContainSubstring("Service monitoring/prometheus-adapter"))
		}).WithContext(ctx).Should(Succeed())
		names, err := namesOf(ctx, "apiservices")
		Expect(err).NotTo(HaveOccurred())
		Expect(names).NotTo(ContainElement(ContainSubstring(adapterVersions[1])))

		By("uninstalling the other one")
		forget(ctx)
		awaitRegistered(ctx)
	}, SpecTimeout(10*time.Minute))
})
