//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/testbed"
)

var _ = Describe("a metrics adapter in trouble", func() {
	const least, most = 2, 4
	var gs *v1alpha1.GinService
	var traffic *testbed.Load

	BeforeEach(func(ctx SpecContext) {
		installAdapter(ctx)
		awaitRegistered(ctx)
		gs = hello(newNamespace(ctx), onRate(least, most, "20"))
		create(ctx, gs)
		traffic = load(ctx, gs, 100)
		awaitScaled(ctx, gs, most)
	})

	It("has new credentials soon after its Secret was deleted, and the autoscaler goes on", func(ctx SpecContext) {
		var replicas []string
		for _, pod := range adapterPods(ctx) {
			replicas = append(replicas, forward(ctx, testbed.OperatorNamespace, "pod/"+pod.Name, 6443))
		}
		before := trusted(ctx)
		_, err := cluster.Kubectl(ctx, "delete", "secret", "-n", testbed.OperatorNamespace, testbed.AdapterName)
		Expect(err).NotTo(HaveOccurred())
		Eventually(func(g Gomega) {
			expectKept(ctx, gs, most)
			now := trusted(ctx)
			g.Expect(now).To(HaveEach(And(Not(BeEmpty()), Equal(now[0]), Not(Equal(before[0])))))
			for _, address := range replicas {
				g.Expect(handshake(ctx, address, now[0])).To(Succeed())
			}
			g.Expect(askAdapter(ctx, gs)).To(Succeed())
		}).WithContext(ctx).WithPolling(time.Second).Should(Succeed())
		expectNoneFailed(ctx, traffic)
		awaitScaled(ctx, gs, least)
	}, SpecTimeout(10*time.Minute))

	It("takes no pod away while it hangs, and while it has no values", func(ctx SpecContext) {
		if cluster.Own { // no process of another machine can be frozen from here
			By("freezing its processes, and ending the load")
			for _, pod := range adapterPods(ctx) {
				signal(&pod, syscall.SIGSTOP)
			}
			expectNoneFailed(ctx, traffic)
			expectKeptUntilRestarted(ctx, gs, most)
			awaitScaled(ctx, gs, least)
			traffic = startLoad(ctx, gs, testbed.LoadOptions{Name: "load-again", Rate: 100, Duration: 10 * time.Minute})
			awaitScaled(ctx, gs, most)
		}

		By("having it read no more than a byte of what a pod measures, and ending the load")
		changeAdapter(ctx, "patch", "--type=json",
			`--patch=[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--max-response-bytes=1"}]`)
		await(ctx, gs, func(g Gomega) {
			active := condition(gs, v1alpha1.ConditionAutoscalingActive)
			g.Expect(active.Status).To(Equal(metav1.ConditionFalse))
			g.Expect(active.Message).To(ContainSubstring("larger than 1 bytes"))
		})
		expectNoneFailed(ctx, traffic)
		// Twice the time after which the autoscaler would take pods away.
		Consistently(func(g Gomega) {
			expectKept(ctx, gs, most)
			g.Expect(condition(gs, v1alpha1.ConditionAutoscalingActive).Status).To(Equal(metav1.ConditionFalse))
		}).WithContext(ctx).WithTimeout(30 * time.Second).WithPolling(time.Second).Should(Succeed())

		By("having it read all of it again")
		changeAdapter(ctx, "rollout", "undo")
		awaitScaled(ctx, gs, least)
	}, SpecTimeout(15*time.Minute))
})

// awaitScaled waits until the autoscaler wants a number of pods, by what it has measured, and all are there.
func awaitScaled(ctx context.Context, gs *v1alpha1.GinService, replicas int32) {
	GinkgoHelper()
	await(ctx, gs, func(g Gomega) {
		g.Expect(gs.Spec.Replicas).To(HaveValue(Equal(replicas)))
		g.Expect(gs.Status.Replicas).To(Equal(replicas))
		g.Expect(condition(gs, v1alpha1.ConditionReady).Status).To(Equal(metav1.ConditionTrue))
		g.Expect(condition(gs, v1alpha1.ConditionAutoscalingActive).Status).To(Equal(metav1.ConditionTrue), "%+v", gs.Status.Conditions)
	})
}

// expectKept checks that the number of pods that are wanted is what it was.
func expectKept(ctx context.Context, gs *v1alpha1.GinService, replicas int32) {
	GinkgoHelper()
	Expect(cluster.Client.Get(ctx, client.ObjectKeyFromObject(gs), gs)).To(Succeed())
	Expect(gs.Spec.Replicas).To(HaveValue(Equal(replicas)), "%+v", gs.Status.Conditions)
}

// expectKeptUntilRestarted checks that the number of pods stays as it is until the kubelet has started a process of the adapter anew, and that the
// GinService says meanwhile that nobody measures.
func expectKeptUntilRestarted(ctx context.Context, gs *v1alpha1.GinService, replicas int32) {
	GinkgoHelper()
	said := false
	Eventually(func(g Gomega) {
		g.Expect(cluster.Client.Get(ctx, client.ObjectKeyFromObject(gs), gs)).To(Succeed())
		restarts := int32(0)
		for _, pod := range adapterPods(ctx) {
			restarts += pod.Status.ContainerStatuses[0].RestartCount
		}
		if restarts == 0 { // nor was there when the GinService was read
			Expect(gs.Spec.Replicas).To(HaveValue(Equal(replicas)), "%+v", gs.Status.Conditions)
			said = said || condition(gs, v1alpha1.ConditionAutoscalingActive).Status == metav1.ConditionFalse
		}
		g.Expect(restarts).To(BeNumerically(">", 0))
	}).WithContext(ctx).Should(Succeed())
	Expect(said).To(BeTrue(), "AutoscalingActive was never False while the adapter hung")
}

func adapterPods(ctx context.Context) []corev1.Pod {
	GinkgoHelper()
	var pods corev1.PodList
	Expect(cluster.Client.List(ctx, &pods, client.InNamespace(testbed.OperatorNamespace), client.MatchingLabels{"app.kubernetes.io/component": "metrics-adapter"})).To(Succeed())
	Expect(pods.Items).NotTo(BeEmpty())
	return pods.Items
}

// trusted returns what the API server verifies the adapter by, for each version of the API, and last what the adapter keeps; in base64, and empty
// where there is nothing.
func trusted(ctx context.Context) []string {
	GinkgoHelper()
	var all []string
	for _, version := range adapterVersions {
		bundle, err := cluster.Kubectl(ctx, "get", "apiservice", version, "-o", "jsonpath={.spec.caBundle}")
		Expect(err).NotTo(HaveOccurred())
		all = append(all, bundle)
	}
	kept, err := cluster.Kubectl(ctx, "get", "secret", "-n", testbed.OperatorNamespace, testbed.AdapterName, "--ignore-not-found", "-o", `jsonpath={.data.ca\.crt}`)
	Expect(err).NotTo(HaveOccurred())
	return append(all, kept)
}

// handshake asks a replica of the adapter for its certificate, and verifies it as the API server does.
func handshake(ctx context.Context, address, bundle string) error {
	GinkgoHelper()
	text, err := base64.StdEncoding.DecodeString(bundle)
	Expect(err).NotTo(HaveOccurred())
	roots := x509.NewCertPool()
	Expect(roots.AppendCertsFromPEM(text)).To(BeTrue())
	host := testbed.AdapterName + "." + testbed.OperatorNamespace + ".svc"
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS13}}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return connection.Close()
}

// askAdapter asks for the requests a second of the pods of a GinService, as its autoscaler does.
func askAdapter(ctx context.Context, gs *v1alpha1.GinService) error {
	return cluster.Clientset.Discovery().RESTClient().Get().
		AbsPath("/apis/custom.metrics.k8s.io/v1beta2/namespaces", gs.Namespace, "pods/*/http_requests_per_second").
		Param("labelSelector", gs.Status.Selector).Do(ctx).Error()
}
