package controlplane_test

import (
	"context"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/gin-operator/gin-operator/test/kubelet"
)

var _ = Describe("A simulated kubelet", func() {
	var namespace string

	BeforeEach(func(ctx context.Context) {
		ns, err := client.CoreV1().Namespaces().Create(ctx,
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "kubelet-"}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		namespace = ns.Name
	})

	deploy := func(ctx context.Context, name string, replicas int32) {
		GinkgoHelper()
		_, err := client.AppsV1().Deployments(namespace).Create(ctx, deployment(namespace, name, replicas), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
	}
	podNames := func(ctx context.Context, g Gomega) []string {
		pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		var names []string
		for i := range pods.Items {
			names = append(names, pods.Items[i].Name)
		}
		return names
	}
	onlyPod := func(ctx context.Context, g Gomega) corev1.Pod {
		pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(pods.Items).To(HaveLen(1))
		g.Expect(pods.Items[0].Status.ContainerStatuses).To(HaveLen(1))
		return pods.Items[0]
	}

	It("lets a Deployment behind a Service become available, and heals it", func(ctx context.Context) {
		_, err := client.CoreV1().Services(namespace).Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec: corev1.ServiceSpec{
				Selector: map[string]string{"app": "web"},
				Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
			},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		deploy(ctx, "web", 3)
		Eventually(func(g Gomega) { g.Expect(availableReplicas(ctx, g, namespace, "web")).To(BeEquivalentTo(3)) }).Should(Succeed())
		var before []string
		Eventually(func(g Gomega) {
			before = readyTargets(ctx, g, namespace)
			g.Expect(before).To(ConsistOf(podNames(ctx, g)))
			g.Expect(before).To(HaveLen(3))
		}).Should(Succeed())

		Expect(client.CoreV1().Pods(namespace).Delete(ctx, before[0], metav1.DeleteOptions{})).To(Succeed())
		Eventually(func(g Gomega) {
			names := podNames(ctx, g)
			g.Expect(names).To(HaveLen(3))
			g.Expect(names).NotTo(ContainElement(before[0]))
			g.Expect(readyTargets(ctx, g, namespace)).To(ConsistOf(names))
		}).Should(Succeed())
	})

	It("lets a namespace with running pods go", func(ctx context.Context) {
		d := deployment(namespace, "web", 2)
		// The namespace controller comes back after half of this.
		d.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(1))
		_, err := client.AppsV1().Deployments(namespace).Create(ctx, d, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(func(g Gomega) { g.Expect(availableReplicas(ctx, g, namespace, "web")).To(BeEquivalentTo(2)) }).Should(Succeed())
		Expect(client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})).To(Succeed())
		Eventually(func(g Gomega) {
			_, err := client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
			g.Expect(err).To(MatchError(ContainSubstring("not found")))
		}).Should(Succeed())
	})

	DescribeTable("shows why a container does not start",
		func(ctx context.Context, behavior kubelet.Behavior, reason, message string, restarts int32) {
			DeferCleanup(node.Set(kubelet.Namespace(namespace), behavior))
			deploy(ctx, "web", 1)
			Eventually(func(g Gomega) {
				pod := onlyPod(ctx, g)
				waiting := pod.Status.ContainerStatuses[0].State.Waiting
				g.Expect(waiting).NotTo(BeNil())
				g.Expect(waiting.Reason).To(Equal(reason))
				g.Expect(waiting.Message).To(ContainSubstring(message))
				g.Expect(pod.Status.ContainerStatuses[0].RestartCount).To(Equal(restarts))
				g.Expect(isReady(&pod)).To(BeFalse())
			}).Should(Succeed())
		},
		Entry("crash loop", kubelet.Behavior{State: kubelet.CrashLoop}, "CrashLoopBackOff", "back-off", int32(5)),
		Entry("first failed pull", kubelet.Behavior{State: kubelet.ImagePullError}, "ErrImagePull", "registry.example.com/web:v1", int32(0)),
		Entry("failed pulls", kubelet.Behavior{State: kubelet.ImagePullBackOff}, "ImagePullBackOff", "registry.example.com/web:v1", int32(0)),
		Entry("missing Secret", kubelet.Behavior{State: kubelet.ConfigError, Message: `secret "db" not found`},
			"CreateContainerConfigError", `secret "db" not found`, int32(0)),
		Entry("not yet", kubelet.Behavior{Delay: time.Hour}, "ContainerCreating", "", int32(0)),
	)

	It("keeps pods from being ready until told otherwise, and takes that back", func(ctx context.Context) {
		undo := node.Set(kubelet.And(kubelet.Namespace(namespace), kubelet.Image("registry.example.com/web:v1")),
			kubelet.Behavior{State: kubelet.NotReady})
		deploy(ctx, "web", 1)
		Eventually(func(g Gomega) {
			pod := onlyPod(ctx, g)
			g.Expect(pod.Status.Phase).To(Equal(corev1.PodRunning))
			g.Expect(isReady(&pod)).To(BeFalse())
		}).Should(Succeed())
		undo()
		Eventually(func(g Gomega) { g.Expect(availableReplicas(ctx, g, namespace, "web")).To(BeEquivalentTo(1)) }).Should(Succeed())
		DeferCleanup(node.Set(kubelet.And(kubelet.Namespace(namespace), kubelet.Label("app", "web")), kubelet.Behavior{State: kubelet.NotReady}))
		Eventually(func(g Gomega) { g.Expect(availableReplicas(ctx, g, namespace, "web")).To(BeZero()) }).Should(Succeed())
	})

	It("lets a container run between two crashes", func(ctx context.Context) {
		DeferCleanup(node.Set(kubelet.Namespace(namespace), kubelet.Behavior{State: kubelet.CrashLoop, Period: 100 * time.Millisecond}))
		deploy(ctx, "web", 1)
		Eventually(func(g Gomega) {
			pod := onlyPod(ctx, g)
			g.Expect(isReady(&pod)).To(BeTrue())
			g.Expect(pod.Status.ContainerStatuses[0].RestartCount).To(BeNumerically(">=", 2))
		}).Should(Succeed())
		Eventually(func(g Gomega) {
			pod := onlyPod(ctx, g)
			g.Expect(isReady(&pod)).To(BeFalse())
		}).Should(Succeed())
	})

	It("leaves pods without a node pending", func(ctx context.Context) {
		undo := node.Set(kubelet.Namespace(namespace), kubelet.Behavior{State: kubelet.Unscheduled})
		deploy(ctx, "web", 1)
		Eventually(func(g Gomega) { g.Expect(podNames(ctx, g)).To(HaveLen(1)) }).Should(Succeed())
		Consistently(func(g Gomega) {
			pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(pods.Items[0].Spec.NodeName).To(BeEmpty())
		}, 200*time.Millisecond).Should(Succeed())
		undo()
		Eventually(func(g Gomega) { g.Expect(availableReplicas(ctx, g, namespace, "web")).To(BeEquivalentTo(1)) }).Should(Succeed())
	})
})

func availableReplicas(ctx context.Context, g Gomega, namespace, name string) int32 {
	d, err := client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	return d.Status.AvailableReplicas
}

// readyTargets returns the names of the pods that the EndpointSlices of a namespace show as ready.
func readyTargets(ctx context.Context, g Gomega, namespace string) []string {
	endpointSlices, err := client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	var names []string
	for i := range endpointSlices.Items {
		for _, endpoint := range endpointSlices.Items[i].Endpoints {
			if isTrue(endpoint.Conditions) {
				g.Expect(endpoint.TargetRef.Kind).To(Equal("Pod"))
				names = append(names, endpoint.TargetRef.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func isTrue(conditions discoveryv1.EndpointConditions) bool {
	return conditions.Ready != nil && *conditions.Ready
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
