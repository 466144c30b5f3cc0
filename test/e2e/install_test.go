//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/testbed"
)

var _ = Describe("an installation", func() {
	It("leaves no trace when it is removed, and takes GinServices with all they made along", func(ctx SpecContext) {
		gs, first := hello(newNamespace(ctx), withReplicas(2)), hello(newNamespace(ctx))
		create(ctx, gs)
		create(ctx, first)
		By("deleting a GinService first")
		// Kubernetes looks for new kinds every 30 s. Until it has found this one, it can't tell that the owners of the children are gone,
		// and it never finds one that comes and goes in between.
		Expect(cluster.Client.Delete(ctx, first)).To(Succeed())
		Eventually(childrenIn).WithArguments(ctx, first.Namespace).WithContext(ctx).Should(BeEmpty())
		By("removing the operator")
		Expect(tracesOfOperator(ctx)).NotTo(BeEmpty())
		uninstall(ctx)
		// The API server tells of an API for a moment after its end.
		Eventually(tracesOfOperator).WithArguments(ctx).WithContext(ctx).Should(BeEmpty())
		Eventually(childrenIn).WithArguments(ctx, gs.Namespace).WithContext(ctx).Should(BeEmpty())
	})

	It("for one namespace needs no ClusterRole and touches no other namespace", func(ctx SpecContext) {
		uninstall(ctx)
		own, other := newNamespace(ctx), newNamespace(ctx)
		kustomization := namespacedInstall(own)
		Expect(cluster.Install(ctx, kustomization, own)).To(Succeed())
		operator = own
		DeferCleanup(func(ctx SpecContext) {
			_, err := cluster.Kubectl(ctx, "delete", "--ignore-not-found", "-k", kustomization)
			Expect(err).NotTo(HaveOccurred())
			operator = ""
		})
		Expect(tracesOfOperator(ctx)).NotTo(ContainElement(HavePrefix("clusterrole")))

		stranger := hello(other)
		Expect(cluster.Client.Create(ctx, stranger)).To(Succeed())
		gs := hello(own, withReplicas(2), withScaleDownDelay(0))
		create(ctx, gs)
		change(ctx, gs, toVersion("v2"))
		awaitReady(ctx, gs)
		Expect(gs.Status.ActiveColor).To(Equal(v1alpha1.Green))
		Expect(childrenIn(ctx, other)).To(BeEmpty())
	})
})

// uninstall removes the operator, the CustomResourceDefinition and every GinService, and waits until they are gone.
func uninstall(ctx context.Context) {
	GinkgoHelper()
	_, err := cluster.Kubectl(ctx, "delete", "--ignore-not-found", "--timeout=120s", "-k", testbed.DefaultInstall)
	Expect(err).NotTo(HaveOccurred())
	operator = ""
}

// tracesOfOperator lists all that belongs to no namespace and has a name of the operator's.
func tracesOfOperator(ctx context.Context) ([]string, error) {
	kinds, err := cluster.Kubectl(ctx, "api-resources", "--namespaced=false", "--verbs=list", "-o", "name")
	if err != nil {
		return nil, err
	}
	names, err := namesOf(ctx, strings.Join(strings.Fields(kinds), ","))
	if err != nil {
		return nil, err
	}
	var traces []string
	for _, name := range names {
		if strings.Contains(name, "gin-operator") || strings.Contains(name, "ginservice") {
			traces = append(traces, name)
		}
	}
	return traces, nil
}

// childrenIn lists what GinServices have, or had, made in a namespace: by their labels, and what those made in turn.
func childrenIn(ctx context.Context, namespace string) ([]string, error) {
	kinds := "deployments,replicasets,pods,services,endpointslices,configmaps,controllerrevisions,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies"
	return namesOf(ctx, kinds, "-n", namespace, "-l", "app.kubernetes.io/managed-by=gin-operator")
}

func namesOf(ctx context.Context, kinds string, arguments ...string) ([]string, error) {
	text, err := cluster.Kubectl(ctx, append([]string{"get", kinds, "-o", "name", "--ignore-not-found"}, arguments...)...)
	return strings.Fields(text), err
}

// namespacedInstall writes a kustomization as somebody would who has one namespace.
func namespacedInstall(namespace string) string {
	GinkgoHelper()
	// A kustomization refers to others by relative paths, so it lies in the checkout, where git ignores it.
	folder := filepath.Join(cluster.Root, "dist", "e2e", "install-"+namespace)
	Expect(os.MkdirAll(folder, 0o755)).To(Succeed())
	DeferCleanup(os.RemoveAll, folder)
	const text = `resources: [../../../config/crd, ../../../config/rbac, ../../../config/manager]
components: [../../../config/components/namespaced]
namespace: %s
`
	Expect(os.WriteFile(filepath.Join(folder, "kustomization.yaml"), fmt.Appendf(nil, text, namespace), 0o644)).To(Succeed())
	return folder
}
