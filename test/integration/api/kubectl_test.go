package api_test

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// kubectlWith runs kubectl in the test's namespace with this input, and returns all that it says.
func kubectlWith(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, cp.Binary("kubectl"),
		append([]string{"--kubeconfig", cp.Kubeconfig(), "--namespace", namespace, "--cache-dir", GinkgoT().TempDir()}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// kubectl runs kubectl in the test's namespace, and returns what it says once that succeeded.
func kubectl(ctx context.Context, args ...string) string {
	GinkgoHelper()
	out, err := kubectlWith(ctx, "", args...)
	Expect(err).NotTo(HaveOccurred(), out)
	return out
}

func get(ctx context.Context, name string) *unstructured.Unstructured {
	GinkgoHelper()
	obj, err := resources.Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	return obj
}

func create(ctx context.Context, obj *unstructured.Unstructured) {
	GinkgoHelper()
	_, err := resources.Namespace(namespace).Create(ctx, obj, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// getScale returns what /scale answers.
func getScale(ctx context.Context, name string) *autoscalingv1.Scale {
	GinkgoHelper()
	obj, err := resources.Namespace(namespace).Get(ctx, name, metav1.GetOptions{}, "scale")
	Expect(err).NotTo(HaveOccurred())
	scale := &autoscalingv1.Scale{}
	Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, scale)).To(Succeed())
	return scale
}

var _ = Describe("Applying the same manifest twice", func() {
	for _, file := range []string{"testdata/minimal.yaml", "testdata/everything.yaml"} {
		for kind, flags := range map[string][]string{
			"client-side": nil,
			"server-side": {"--server-side"},
		} {
			It("moves no generation: "+file+", "+kind, func(ctx context.Context) {
				apply := append([]string{"apply", "-f", file}, flags...)
				kubectl(ctx, apply...)
				name := readManifest(file).GetName()
				first := get(ctx, name)
				Expect(first.GetGeneration()).To(BeEquivalentTo(1))
				kubectl(ctx, apply...)
				second := get(ctx, name)
				Expect(second.GetGeneration()).To(BeEquivalentTo(1))
				Expect(second.GetResourceVersion()).To(Equal(first.GetResourceVersion()), "and writes nothing at all")
			})
		}
	}

	It("leaves alone what was scaled in between", func(ctx context.Context) {
		for _, flags := range [][]string{nil, {"--server-side", "--force-conflicts"}} {
			apply := append([]string{"apply", "-f", "testdata/minimal.yaml"}, flags...)
			kubectl(ctx, apply...)
			kubectl(ctx, "scale", "gsvc/hello", "--replicas=7")
			kubectl(ctx, apply...)
			Expect(getScale(ctx, "hello").Spec.Replicas).To(BeEquivalentTo(7))
		}
	})
})

var _ = Describe("The scale subresource", func() {
	BeforeEach(func(ctx context.Context) { create(ctx, withSpec(`{image: app}`)) })

	It("has no answer while nobody has set replicas, so an autoscaler waits for the operator to fill it in", func(ctx context.Context) {
		_, err := resources.Namespace(namespace).Get(ctx, "tried", metav1.GetOptions{}, "scale")
		Expect(apierrors.IsInternalError(err)).To(BeTrue(), "got %v", err)
		Expect(err).To(MatchError(ContainSubstring(`the spec replicas field ".spec.replicas" does not exist`)))
	})

	It("says that it has no pods and no selector until the operator reports some", func(ctx context.Context) {
		kubectl(ctx, "scale", "gsvc/tried", "--replicas=2")
		scale := getScale(ctx, "tried")
		Expect(scale.Spec.Replicas).To(BeEquivalentTo(2))
		Expect(scale.Status.Replicas).To(BeZero())
		Expect(scale.Status.Selector).To(BeEmpty())
	})

	It("sets replicas that nobody has set, and nothing else", func(ctx context.Context) {
		before := get(ctx, "tried")
		_, err := resources.Namespace(namespace).Patch(ctx, "tried", types.MergePatchType,
			[]byte(`{"spec":{"replicas":4}}`), metav1.PatchOptions{}, "scale")
		Expect(err).NotTo(HaveOccurred())
		after := get(ctx, "tried")
		Expect(unstructured.SetNestedField(before.Object, int64(4), "spec", "replicas")).To(Succeed())
		Expect(after.Object["spec"]).To(Equal(before.Object["spec"]))
		Expect(getScale(ctx, "tried").Spec.Replicas).To(BeEquivalentTo(4))
	})

	It("shows the selector and the pods of the colour that serves", func(ctx context.Context) {
		kubectl(ctx, "scale", "gsvc/tried", "--replicas=3")
		status, err := json.Marshal(map[string]any{"status": map[string]any{"replicas": 2, "selector": "a=b"}})
		Expect(err).NotTo(HaveOccurred())
		_, err = resources.Namespace(namespace).Patch(ctx, "tried", types.MergePatchType, status, metav1.PatchOptions{}, "status")
		Expect(err).NotTo(HaveOccurred())
		scale := getScale(ctx, "tried")
		Expect(scale.Status.Replicas).To(BeEquivalentTo(2))
		Expect(scale.Status.Selector).To(Equal("a=b"))
	})

	It("refuses a number that spec.replicas can't have", func(ctx context.Context) {
		_, err := resources.Namespace(namespace).Patch(ctx, "tried", types.MergePatchType,
			[]byte(`{"spec":{"replicas":10001}}`), metav1.PatchOptions{}, "scale")
		Expect(err).To(MatchError(ContainSubstring("spec.replicas")))
	})

	It("is what kubectl scale uses", func(ctx context.Context) {
		kubectl(ctx, "scale", "ginservice/tried", "--replicas=3")
		Expect(getScale(ctx, "tried").Spec.Replicas).To(BeEquivalentTo(3))
		out, err := kubectlWith(ctx, "", "scale", "gsvc/tried", "--current-replicas=2", "--replicas=5")
		Expect(err).To(HaveOccurred(), out)
		Expect(getScale(ctx, "tried").Spec.Replicas).To(BeEquivalentTo(3))
	})
})

var _ = Describe("kubectl", func() {
	BeforeEach(func(ctx context.Context) { create(ctx, withSpec(`{image: registry.example.com/app:v1}`)) })

	It("shows what matters in its columns", func(ctx context.Context) {
		status := map[string]any{"status": map[string]any{
			"replicas": 3, "activeColor": "blue", "activeRevision": "7f8d9c", "previewRevision": "5b6c7d",
			"rollout": map[string]any{"revision": "5b6c7d", "step": "WaitingForPromotion"},
			"conditions": []any{map[string]any{
				"type": "Ready", "status": "False", "reason": "RollingOut", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
			}},
		}}
		patch, err := json.Marshal(status)
		Expect(err).NotTo(HaveOccurred())
		_, err = resources.Namespace(namespace).Patch(ctx, "tried", types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		Expect(err).NotTo(HaveOccurred())
		lines := strings.Split(kubectl(ctx, "get", "gsvc"), "\n")
		Expect(strings.Fields(lines[0])).To(Equal(
			[]string{"NAME", "READY", "ACTIVE", "REVISION", "PREVIEW", "STEP", "REPLICAS", "IMAGE", "AGE"}))
		Expect(strings.Fields(lines[1])[:8]).To(Equal(
			[]string{"tried", "False", "blue", "7f8d9c", "5b6c7d", "WaitingForPromotion", "3", "registry.example.com/app:v1"}))
	})

	It("lists GinServices under their names, and with everything else", func(ctx context.Context) {
		for _, name := range []string{"gsvc", "ginservice", "ginservices", "all"} {
			Expect(kubectl(ctx, "get", name, "-o", "name")).To(Equal("ginservice.apps.gin-operator.dev/tried\n"))
		}
	})

	It("explains each field", func(ctx context.Context) {
		// The API server publishes the schema of a new resource a moment after it serves the resource.
		Eventually(func(g Gomega) {
			out, err := kubectlWith(ctx, "", "explain", "gsvc.spec.strategy.blueGreen")
			g.Expect(err).NotTo(HaveOccurred(), out)
			g.Expect(out).To(ContainSubstring("promotion is Automatic to move traffic as soon as the new revision is ready"))
			g.Expect(out).To(ContainSubstring("scaleDownDelaySeconds is how long, in seconds,"))
		}).Should(Succeed())
		Expect(kubectl(ctx, "explain", "gsvc.spec.strategy")).To(ContainSubstring("how a new revision replaces the old one"))
	})

	It("names the field and the fix when it applies a wrong manifest", func(ctx context.Context) {
		out, err := kubectlWith(ctx, `
apiVersion: apps.gin-operator.dev/v1alpha1
kind: GinService
metadata: {name: wrong}
spec: {image: app, drainSeconds: 60}
`, "apply", "-f", "-")
		Expect(err).To(HaveOccurred())
		Expect(out).To(ContainSubstring(`The GinService "wrong" is invalid: spec: Invalid value: `))
		Expect(out).To(ContainSubstring("drainSeconds: must be less than terminationGracePeriodSeconds"))
	})
})
