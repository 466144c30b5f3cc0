// Package install_test installs the operator from config/ with the real kubectl into a real API server, looks at what that gives to
// whom, and uninstalls it again. No pod runs: what the manager does once it is installed is the matter of the e2e tests.
package install_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/controlplane"
)

const operatorNamespace = "gin-operator-system"

func TestInstall(t *testing.T) {
	RegisterFailHandler(Fail)
	log.SetLogger(GinkgoLogr)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "Install")
}

var (
	cp       *controlplane.ControlPlane
	clients  kubernetes.Interface
	objects  metadata.Interface
	config   string
	overlays string
)

var _ = BeforeSuite(func(ctx context.Context) {
	var err error
	config, err = filepath.Abs(filepath.Join("..", "..", "..", "config"))
	Expect(err).NotTo(HaveOccurred())
	// Kustomize takes no absolute path for another kustomization, and a relative one is resolved without symbolic links.
	overlays, err = filepath.EvalSymlinks(GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())

	cp, err = controlplane.Start(ctx, controlplane.WithControllerManager("--controllers="+strings.Join([]string{
		"namespace-controller", "garbage-collector-controller", "serviceaccount-controller", "clusterrole-aggregation-controller",
	}, ",")))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cp.Stop)
	clients, err = kubernetes.NewForConfig(cp.Config())
	Expect(err).NotTo(HaveOccurred())
	objects, err = metadata.NewForConfig(cp.Config())
	Expect(err).NotTo(HaveOccurred())

	// The control plane comes with the CustomResourceDefinition, which is part of what is installed here.
	uninstall(ctx, filepath.Join(config, "crd"))
	// What the controllers make of a new cluster is there before anything is compared with it.
	Eventually(ctx, func(ctx context.Context) error {
		for _, namespace := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
			if _, err := clients.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	}).Should(Succeed())
})

// kubectl runs kubectl as an administrator and returns what it prints. The test fails where kubectl does.
func kubectl(ctx context.Context, arguments ...string) string {
	GinkgoHelper()
	output, err := tryKubectl(ctx, arguments...)
	Expect(err).NotTo(HaveOccurred(), "kubectl %s\n%s", strings.Join(arguments, " "), output)
	return output
}

func tryKubectl(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, cp.Binary("kubectl"), arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+cp.Kubeconfig())
	output, err := command.CombinedOutput()
	return string(output), err
}

// uninstall removes what a kustomization with the CustomResourceDefinition has brought, and waits until the API server tells of the API no
// longer, which it does for a moment after its end.
func uninstall(ctx context.Context, folder string) {
	GinkgoHelper()
	kubectl(ctx, "delete", "--wait", "-k", folder)
	Eventually(ctx, func(g Gomega, ctx context.Context) {
		_, err := objects.Resource(apiServices).Get(ctx, v1alpha1.GroupVersion.Version+"."+v1alpha1.GroupVersion.Group, metav1.GetOptions{})
		g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
		g.Expect(groups()).NotTo(ContainElement(v1alpha1.GroupVersion.Group))
	}).Should(Succeed())
}

// awaitAPI waits until the API server serves GinServices and tells of them.
func awaitAPI(ctx context.Context) {
	GinkgoHelper()
	kubectl(ctx, "wait", "--for=condition=Established", "crd/ginservices.apps.gin-operator.dev")
	Eventually(groups).Should(ContainElement(v1alpha1.GroupVersion.Group))
}

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// groups are the groups of the API that a client finds.
func groups() ([]string, error) {
	list, err := clients.Discovery().ServerGroups()
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range list.Groups {
		names = append(names, list.Groups[i].Name)
	}
	return names, nil
}

// overlay writes a kustomization that adds a component to others and moves all of it to a namespace, and returns its folder. Names are
// those of folders in config/.
func overlay(name, namespace string, resources ...string) string {
	GinkgoHelper()
	folder, err := os.MkdirTemp(overlays, "")
	Expect(err).NotTo(HaveOccurred())
	relative, err := filepath.Rel(folder, config)
	Expect(err).NotTo(HaveOccurred())
	kustomization := "namespace: " + namespace + "\ncomponents: [" + filepath.Join(relative, "components", name) + "]\nresources:\n"
	for _, resource := range resources {
		kustomization += "- " + filepath.Join(relative, resource) + "\n"
	}
	Expect(os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(kustomization), 0o600)).To(Succeed())
	return folder
}

// rendered returns the objects of a kustomization.
func rendered(ctx context.Context, folder string) []unstructured.Unstructured {
	GinkgoHelper()
	var list []unstructured.Unstructured
	for document := range strings.SplitSeq(kubectl(ctx, "kustomize", folder), "\n---\n") {
		var object unstructured.Unstructured
		Expect(yaml.Unmarshal([]byte(document), &object.Object)).To(Succeed())
		list = append(list, object)
	}
	return list
}

// everything returns all objects of the cluster that somebody made on purpose, with their UID and generation. What belongs to another object
// is left out: the garbage collector takes the pods of a Deployment that has been uninstalled in its own time.
func everything(ctx context.Context) map[string]string {
	GinkgoHelper()
	all := map[string]string{}
	_, lists, err := clients.Discovery().ServerGroupsAndResources()
	Expect(err).NotTo(HaveOccurred())
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		Expect(err).NotTo(HaveOccurred())
		for i := range list.APIResources {
			resource := &list.APIResources[i]
			if !slices.Contains(resource.Verbs, "list") || resource.Name == "events" || resource.Name == "componentstatuses" {
				continue
			}
			found, err := objects.Resource(version.WithResource(resource.Name)).List(ctx, metav1.ListOptions{})
			Expect(err).NotTo(HaveOccurred())
			for j := range found.Items {
				object := &found.Items[j]
				if len(object.OwnerReferences) > 0 {
					continue
				}
				key := fmt.Sprintf("%s %s %s/%s", list.GroupVersion, resource.Name, object.Namespace, object.Name)
				all[key] = fmt.Sprintf("%s %d", object.UID, object.Generation)
			}
		}
	}
	return all
}

// missing returns the keys of a second map that a first one does not have, in order.
func missing(first, second map[string]string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(second)), func(key string) bool {
		_, found := first[key]
		return found
	})
}
