//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/testbed"
)

var (
	cluster *testbed.Cluster
	chance  *rand.Rand
	// operator is where the operator runs; empty while it is not installed.
	operator string
	// began is when the spec began.
	began time.Time
)

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	log.SetLogger(GinkgoLogr)
	// A machine that is busy with something else is slow, not wrong.
	SetDefaultEventuallyTimeout(3 * time.Minute)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	SetDefaultConsistentlyDuration(3 * time.Second)
	RunSpecs(t, "gin-operator on a real node")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	seed := uint64(GinkgoRandomSeed())
	chance = rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // to be had again with the same seed
	var err error
	// The first build of the cluster takes long enough to want to see it.
	cluster, err = testbed.Open(ctx, os.Stdout)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) { Expect(cluster.Close(ctx)).To(Succeed()) })
	clearDemo(ctx)
	refuseOthers(ctx)
	for _, version := range []string{"v1", "v2"} {
		Expect(cluster.AddSample(ctx, version)).To(Succeed())
	}
	if !cluster.Started {
		DeferCleanup(uninstall)
	}
})

var _ = BeforeEach(func(ctx SpecContext) {
	began = time.Now()
	ensureInstalled(ctx)
})

var _ = JustAfterEach(func(ctx SpecContext) {
	if CurrentSpecReport().Failed() {
		dump(ctx)
	}
})

var _ = AfterEach(func(ctx SpecContext) {
	if operator == "" {
		return
	}
	By("looking for anything that the operator was not allowed to do")
	logs, err := cluster.Kubectl(ctx, "logs", "-n", operator, "deployment/"+testbed.OperatorName, "--since-time="+began.UTC().Format(time.RFC3339))
	Expect(err).NotTo(HaveOccurred())
	Expect(logs).NotTo(ContainSubstring("forbidden: User"))
})

// ensureInstalled installs the operator for the whole cluster, unless it is.
func ensureInstalled(ctx context.Context) {
	GinkgoHelper()
	if operator == "" {
		Expect(cluster.Install(ctx, testbed.DefaultInstall, testbed.OperatorNamespace)).To(Succeed())
		operator = testbed.OperatorNamespace
	}
}

// clearDemo removes what the demo left, as the next demo would.
func clearDemo(ctx context.Context) {
	GinkgoHelper()
	var namespaces corev1.NamespaceList
	Expect(cluster.Client.List(ctx, &namespaces, client.HasLabels{"apps.gin-operator.dev/demo"})).To(Succeed())
	for i := range namespaces.Items {
		fmt.Printf("e2e: removing the namespace %s, which the demo left\n", namespaces.Items[i].Name)
		Expect(cluster.DeleteNamespace(ctx, namespaces.Items[i].Name)).To(Succeed())
	}
}

// refuseOthers fails where GinServices would be lost in the test.
func refuseOthers(ctx context.Context) {
	GinkgoHelper()
	var others v1alpha1.GinServiceList
	err := cluster.Client.List(ctx, &others)
	if isNoMatch(err) {
		return
	}
	Expect(err).NotTo(HaveOccurred())
	Expect(others.Items).To(BeEmpty(), "the test uninstalls the operator, and these GinServices with it: delete them first, or use another cluster")
}

var namespacesMade int

// newNamespace makes a namespace that enforces Pod Security `restricted`, for one spec.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespacesMade++
	name := fmt.Sprintf("e2e-%d-%d", GinkgoRandomSeed(), namespacesMade)
	Expect(cluster.CreateNamespace(ctx, name, nil)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		Expect(client.IgnoreNotFound(cluster.Client.Delete(ctx, namespace))).To(Succeed())
		// Nobody waits for it, so its pods needn't take their time.
		_, err := cluster.Kubectl(ctx, "delete", "pods", "--all", "-n", name, "--grace-period=1", "--wait=false")
		Expect(err).NotTo(HaveOccurred())
	})
	return name
}
