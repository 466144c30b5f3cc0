package install_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// clientSide and serverSide are the two ways to apply, each strict about unknown fields.
var (
	clientSide = []string{"apply", "--validate=strict"}
	serverSide = []string{"apply", "--validate=strict", "--server-side"}
)

var _ = Describe("The kustomization", Serial, func() {
	DescribeTable("is installed, changes nothing when it is applied again, and is uninstalled without a trace",
		func(ctx context.Context, apply []string) {
			before := everything(ctx)
			folder := filepath.Join(config, "default")
			kubectl(ctx, append(apply, "-k", folder)...)
			awaitAPI(ctx)
			kubectl(ctx, "apply", "--namespace=default", "-k", filepath.Join(config, "samples"))

			installed := everything(ctx)
			kubectl(ctx, append(apply, "-k", folder)...)
			kubectl(ctx, "apply", "--namespace=default", "-k", filepath.Join(config, "samples"))
			again := everything(ctx)
			for key, is := range installed {
				Expect(again).To(HaveKeyWithValue(key, is))
			}

			uninstall(ctx, folder)
			Eventually(ctx, func(g Gomega, ctx context.Context) {
				after := everything(ctx)
				g.Expect(missing(before, after)).To(BeEmpty(), "left behind")
				g.Expect(missing(after, before)).To(BeEmpty(), "taken away with it")
			}).Should(Succeed())
		},
		Entry("with kubectl apply -k", clientSide),
		Entry("with kubectl apply --server-side -k", serverSide),
	)

	Describe("in the cluster", Ordered, func() {
		BeforeAll(func(ctx context.Context) {
			kubectl(ctx, append(serverSide, "-k", filepath.Join(config, "default"))...)
			DeferCleanup(func(ctx context.Context) { uninstall(ctx, filepath.Join(config, "default")) })
			awaitAPI(ctx)
		})

		It("has a manager that Pod Security restricted admits, in a namespace that enforces it", func(ctx context.Context) {
			deployment, err := clients.AppsV1().Deployments(operatorNamespace).Get(ctx, "gin-operator", metav1.GetOptions{})
			Expect(err).NotTo(HaveOccurred())
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "manager", Labels: deployment.Spec.Template.Labels},
				Spec:       deployment.Spec.Template.Spec,
			}
			pods := clients.CoreV1().Pods(operatorNamespace)
			dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
			_, err = pods.Create(ctx, pod, dryRun)
			Expect(err).NotTo(HaveOccurred())

			pod.Spec.SecurityContext.RunAsNonRoot = nil
			_, err = pods.Create(ctx, pod, dryRun)
			Expect(apierrors.IsForbidden(err)).To(BeTrue(), "the namespace does not enforce restricted: %v", err)
		})

		It("takes every sample, alone and all at once", func(ctx context.Context) {
			samples, err := filepath.Glob(filepath.Join(config, "samples", "*.yaml"))
			Expect(err).NotTo(HaveOccurred())
			kubectl(ctx, append(serverSide, "--dry-run=server", "-k", filepath.Join(config, "samples"))...)
			applied := len(rendered(ctx, filepath.Join(config, "samples")))
			for _, sample := range samples {
				if filepath.Base(sample) == "kustomization.yaml" {
					continue
				}
				text, err := os.ReadFile(sample)
				Expect(err).NotTo(HaveOccurred())
				applied -= strings.Count(string(text), "\nkind: ")
				kubectl(ctx, append(clientSide, "--dry-run=server", "-f", sample)...)
			}
			Expect(applied).To(BeZero(), "config/samples/kustomization.yaml does not list every sample")
		})

		It("can be extended with each component", func(ctx context.Context) {
			components, err := os.ReadDir(filepath.Join(config, "components"))
			Expect(err).NotTo(HaveOccurred())
			Expect(components).NotTo(BeEmpty())
			for _, component := range components {
				folder := overlay(component.Name(), operatorNamespace, "default")
				list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
				for _, object := range rendered(ctx, folder) {
					// The kinds of prometheus-operator and cert-manager are not part of Kubernetes.
					if group := object.GroupVersionKind().Group; group != "monitoring.coreos.com" && group != "cert-manager.io" {
						list.Items = append(list.Items, object)
					}
				}
				document, err := list.MarshalJSON()
				Expect(err).NotTo(HaveOccurred())
				file := filepath.Join(folder, "objects.json")
				Expect(os.WriteFile(file, document, 0o600)).To(Succeed())
				kubectl(ctx, append(serverSide, "--force-conflicts", "--dry-run=server", "-f", file)...)
			}
		})
	})
})
