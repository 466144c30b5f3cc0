package names

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// Labels and names of Services have the narrowest limit, so every name is held to it.
func TestNamesOfTheLongestGinServiceFit(t *testing.T) {
	const revision = "bcdfghjklm"
	for _, name := range []string{"a", strings.Repeat("a", 52)} {
		children := map[string]string{
			"blue Deployment":         Deployment(name, v1alpha1.Blue),
			"green Deployment":        Deployment(name, v1alpha1.Green),
			"active Service":          ActiveService(name),
			"preview Service":         PreviewService(name),
			"revisioned":              Revisioned(name, revision),
			"HorizontalPodAutoscaler": HorizontalPodAutoscaler(name),
			"PodDisruptionBudget":     PodDisruptionBudget(name),
			"HTTPRoute":               HTTPRoute(name),
			"NetworkPolicy":           NetworkPolicy(name),
			"PodMonitor":              PodMonitor(name),
		}
		for child, got := range children {
			if problems := validation.IsDNS1035Label(got); len(problems) > 0 {
				t.Errorf("%s %q: %v", child, got, problems)
			}
			if problems := validation.IsValidLabelValue(got); len(problems) > 0 {
				t.Errorf("%s %q: %v", child, got, problems)
			}
		}
	}
}

func TestNamesOfOneKindDiffer(t *testing.T) {
	kinds := map[string][]string{
		"Deployment": {Deployment("hello", v1alpha1.Blue), Deployment("hello", v1alpha1.Green)},
		"Service":    {ActiveService("hello"), PreviewService("hello")},
		"ConfigMap":  {Revisioned("hello", "bcdfghjklm"), Revisioned("hello", "bcdfghjkln")},
	}
	for kind, names := range kinds {
		if names[0] == names[1] {
			t.Errorf("two of kind %s are called %s", kind, names[0])
		}
	}
}
