package resources

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// serviceUID is the UID of every GinService in testdata, which has none in its manifest.
const serviceUID = "0c4d1a3e-5f0b-4f6e-9a53-2f1f3c1f7a10"

// services reads testdata/<case>/ginservice.yaml for every case, strictly.
func services(tb testing.TB) map[string]*v1alpha1.GinService {
	tb.Helper()
	paths, err := filepath.Glob("testdata/*/ginservice.yaml")
	if err != nil || len(paths) == 0 {
		tb.Fatalf("testdata has no manifests: %v", err)
	}
	services := make(map[string]*v1alpha1.GinService, len(paths))
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		gs := &v1alpha1.GinService{}
		if err := yaml.UnmarshalStrict(data, gs); err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
		gs.UID = serviceUID
		services[filepath.Base(filepath.Dir(path))] = gs
	}
	return services
}

// child is a built object beside an empty one of the type that the API server has for it.
type child struct {
	kind   string
	intent any
	typed  any
}

// children builds everything for gs, as if its blue colour served and held its spec.
func children(tb testing.TB, gs *v1alpha1.GinService) []child {
	tb.Helper()
	rev := RevisionOf(gs.Spec.WorkloadSpec)
	history, err := ControllerRevision(gs, rev, 7)
	if err != nil {
		tb.Fatal(err)
	}
	built := []child{
		{"Deployment", Deployment(gs, v1alpha1.Blue, rev, 3), &appsv1.Deployment{}},
		{"ControllerRevision", history, &appsv1.ControllerRevision{}},
		{"active Service", ActiveService(gs, v1alpha1.Blue, false, gs.Spec.Ports), &corev1.Service{}},
		{"active Service of both", ActiveService(gs, v1alpha1.Blue, true, gs.Spec.Ports), &corev1.Service{}},
		{"preview Service", PreviewService(gs, v1alpha1.Blue, rev.Name), &corev1.Service{}},
	}
	if intent := ConfigMap(gs, rev); intent != nil {
		built = append(built, child{"ConfigMap", intent, &corev1.ConfigMap{}})
	}
	if intent := HorizontalPodAutoscaler(gs); intent != nil {
		built = append(built, child{"HorizontalPodAutoscaler", intent, &autoscalingv2.HorizontalPodAutoscaler{}})
	}
	if intent := PodDisruptionBudget(gs, v1alpha1.Blue); intent != nil {
		built = append(built, child{"PodDisruptionBudget", intent, &policyv1.PodDisruptionBudget{}})
	}
	if intent := HTTPRoute(gs, "gateways"); intent != nil {
		built = append(built, child{"HTTPRoute", intent, &gatewayv1.HTTPRoute{}})
	}
	metricsPort, _ := MetricsPort(gs.Spec.Ports)
	if intent := NetworkPolicy(gs, "operators", []string{metricsPort}); intent != nil {
		built = append(built, child{"NetworkPolicy", intent, &networkingv1.NetworkPolicy{}})
	}
	if intent := PodMonitor(gs, []string{metricsPort}); intent != nil {
		built = append(built, child{"PodMonitor", intent, &monitoring.PodMonitor{}})
	}
	return built
}

func TestChildrenAreThoseOfTheGoldenFiles(t *testing.T) {
	for name, gs := range services(t) {
		t.Run(name, func(t *testing.T) {
			var documents [][]byte
			for _, c := range children(t, gs) {
				document, err := yaml.Marshal(c.intent)
				if err != nil {
					t.Fatal(err)
				}
				documents = append(documents, document)
			}
			got := bytes.Join(documents, []byte("---\n"))
			path := filepath.Join("testdata", name, "children.yaml")
			if *update {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v (-update writes it)", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("what template version %s renders is frozen once released (docs/designs/0001-revisions.md); -want +got:\n%s", TemplateVersion, diff)
			}
		})
	}
}

func TestTheAPIServersTypesDropNothingOfAnIntent(t *testing.T) {
	for name, gs := range services(t) {
		t.Run(name, func(t *testing.T) {
			for _, c := range children(t, gs) {
				requireLossless(t, c)
			}
		})
	}
}

// requireLossless fails if writing the intent as the API server's type, and reading it back, loses or changes a field. Then the live
// object would never contain its intent, and be applied in each pass.
func requireLossless(t *testing.T, c child) {
	t.Helper()
	intent := mustMarshal(t, c.intent)
	decoder := json.NewDecoder(bytes.NewReader(intent))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(c.typed); err != nil {
		t.Fatalf("%s: %v", c.kind, err)
	}
	want, live := tree(t, intent), tree(t, mustMarshal(t, c.typed))
	if diff := cmp.Diff(want, intersect(want, live)); diff != "" {
		t.Errorf("%s: -intent +what is left of it:\n%s", c.kind, diff)
	}
}

// intersect is live without the members of objects that want doesn't have.
func intersect(want, live any) any {
	switch want := want.(type) {
	case map[string]any:
		liveObject, ok := live.(map[string]any)
		if !ok {
			return live
		}
		common := map[string]any{}
		for key := range want {
			if value, ok := liveObject[key]; ok {
				common[key] = intersect(want[key], value)
			}
		}
		return common
	case []any:
		liveList, ok := live.([]any)
		if !ok || len(liveList) != len(want) {
			return live
		}
		common := make([]any, len(want))
		for i := range want {
			common[i] = intersect(want[i], liveList[i])
		}
		return common
	default:
		return live
	}
}

func mustMarshal(tb testing.TB, object any) []byte {
	tb.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func tree(tb testing.TB, data []byte) any {
	tb.Helper()
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		tb.Fatal(err)
	}
	return tree
}
