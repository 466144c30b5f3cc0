//go:build e2e

package e2e

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/testbed"
)

var _ = Describe("kubectl", func() {
	It("applies, waits for, shows, scales and deletes a GinService as it does a Deployment", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		kubectl := func(arguments ...string) string {
			GinkgoHelper()
			text, err := cluster.Kubectl(ctx, append(arguments, "-n", namespace)...)
			Expect(err).NotTo(HaveOccurred())
			return text
		}
		gs := hello(namespace)
		generation := func() int64 {
			GinkgoHelper()
			Expect(cluster.Client.Get(ctx, client.ObjectKeyFromObject(gs), gs)).To(Succeed())
			return gs.Generation
		}
		manifest := fmt.Sprintf(`{apiVersion: apps.gin-operator.dev/v1alpha1, kind: GinService, metadata: {name: hello},
spec: {image: "%s", config: {A: "1"}, resources: {requests: {cpu: 100m, memory: 16Mi}}}}`, testbed.SampleImage("v1"))
		apply := func(arguments ...string) {
			GinkgoHelper()
			Expect(cluster.Apply(ctx, manifest, append(arguments, "-n", namespace)...)).To(Succeed())
		}

		By("applying it and waiting for it")
		apply()
		kubectl("wait", "--for=condition=Ready", "--timeout=120s", "gsvc/hello")

		By("showing it")
		table := strings.Split(strings.TrimSpace(kubectl("get", "gsvc")), "\n")
		Expect(table).To(HaveLen(2))
		Expect(strings.Fields(table[0])).To(Equal([]string{"NAME", "READY", "ACTIVE", "REVISION", "PREVIEW", "STEP", "REPLICAS", "IMAGE", "AGE"}))
		generation()
		Expect(strings.Fields(table[1])[:6]).To(Equal([]string{"hello", "True", "blue", gs.Status.ActiveRevision, "Completed", "1"}))
		Expect(kubectl("get", "all")).To(ContainSubstring("ginservice.apps.gin-operator.dev/hello"))
		Expect(kubectl("explain", "ginservice.spec.drainSeconds")).To(ContainSubstring("Default: 5"))

		By("scaling it, which an apply of the manifest leaves alone")
		kubectl("scale", "--replicas=3", "gsvc/hello")
		await(ctx, gs, func(g Gomega) {
			g.Expect(gs.Status.Replicas).To(Equal(int32(3)))
			g.Expect(condition(gs, v1alpha1.ConditionReady).Status).To(BeEquivalentTo("True"))
		})
		Expect(podsOf(ctx, gs, v1alpha1.Blue)).To(HaveLen(3))
		Expect(strings.Fields(kubectl("get", "gsvc/hello", "--no-headers"))[5]).To(Equal("3"))
		before := generation()
		apply()
		apply()
		Expect(generation()).To(Equal(before))
		Expect(*gs.Spec.Replicas).To(Equal(int32(3)))

		By("applying it server-side, twice")
		apply("--server-side")
		before = generation()
		apply("--server-side")
		Expect(generation()).To(Equal(before))
		Expect(*gs.Spec.Replicas).To(Equal(int32(3)))
		Expect(podsOf(ctx, gs, v1alpha1.Blue)).To(HaveLen(3))
		Expect(gs.Status.ActiveColor).To(Equal(v1alpha1.Blue))

		By("deleting it, and with it all that it made")
		Expect(childrenIn(ctx, namespace)).NotTo(BeEmpty())
		kubectl("delete", "--timeout=60s", "gsvc/hello")
		Eventually(childrenIn).WithArguments(ctx, namespace).WithContext(ctx).Should(BeEmpty())
	})
})
