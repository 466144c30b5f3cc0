// Package api_test tests the API itself against a real API server: which manifests it takes, what it says about the others, and how
// kubectl shows a GinService. No operator runs.
package api_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/controlplane"
)

const configFolder = "../../../config"

func TestAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	log.SetLogger(GinkgoLogr)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "API")
}

var (
	cp        *controlplane.ControlPlane
	client    kubernetes.Interface
	resources dynamic.NamespaceableResourceInterface
	namespace string
)

var _ = BeforeSuite(func(ctx context.Context) {
	var err error
	cp, err = controlplane.Start(ctx)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cp.Stop)
	client, err = kubernetes.NewForConfig(cp.Config())
	Expect(err).NotTo(HaveOccurred())
	dyn, err := dynamic.NewForConfig(cp.Config())
	Expect(err).NotTo(HaveOccurred())
	resources = dyn.Resource(v1alpha1.GroupVersion.WithResource("ginservices"))
})

var _ = BeforeEach(func(ctx context.Context) {
	ns, err := client.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "api-"}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	namespace = ns.Name
})

// readManifest returns the object in a file.
func readManifest(path string) *unstructured.Unstructured {
	GinkgoHelper()
	content, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	obj := &unstructured.Unstructured{}
	Expect(yaml.Unmarshal(content, &obj.Object)).To(Succeed())
	return obj
}

// withSpec returns a GinService with a spec that is given as YAML.
func withSpec(spec string) *unstructured.Unstructured {
	GinkgoHelper()
	content := map[string]any{}
	Expect(yaml.Unmarshal([]byte(spec), &content)).To(Succeed())
	return named("tried", content)
}

func named(name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       "GinService",
		"metadata":   map[string]any{"name": name},
		"spec":       spec,
	}}
}

// try asks the API server, as kubectl does, whether it takes an object, and stores nothing.
func try(ctx context.Context, obj *unstructured.Unstructured) error {
	_, err := resources.Namespace(namespace).Create(ctx, obj, metav1.CreateOptions{
		DryRun:          []string{metav1.DryRunAll},
		FieldValidation: metav1.FieldValidationStrict,
	})
	return err
}

// definition returns the CustomResourceDefinition that is installed, as its file has it.
func definition() *apiextensionsv1.CustomResourceDefinition {
	GinkgoHelper()
	content, err := os.ReadFile(filepath.Join(configFolder, "crd", "bases", "apps.gin-operator.dev_ginservices.yaml"))
	Expect(err).NotTo(HaveOccurred())
	crd := &apiextensionsv1.CustomResourceDefinition{}
	Expect(yaml.UnmarshalStrict(content, crd)).To(Succeed())
	Expect(crd.Spec.Versions).To(HaveLen(1))
	return crd
}

// schema returns the schema of a GinService.
func schema() *apiextensionsv1.JSONSchemaProps {
	GinkgoHelper()
	return definition().Spec.Versions[0].Schema.OpenAPIV3Schema
}

// walk calls visit for a schema and all that it contains. Paths look like spec.env[].name and spec.config{}.
func walk(path string, s *apiextensionsv1.JSONSchemaProps, visit func(path string, s *apiextensionsv1.JSONSchemaProps)) {
	visit(path, s)
	for name := range s.Properties {
		property := s.Properties[name]
		walk(strings.TrimPrefix(path+"."+name, "."), &property, visit)
	}
	if s.Items != nil && s.Items.Schema != nil {
		walk(path+"[]", s.Items.Schema, visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		walk(path+"{}", s.AdditionalProperties.Schema, visit)
	}
}
