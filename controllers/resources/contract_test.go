package resources

import (
	"io"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/ginkit"
)

// fieldValues stands in for the kubelet, which fills in what a pod says of itself.
var fieldValues = map[string]string{"metadata.name": "minimal-blue-x7", "metadata.namespace": "default"}

// What the operator sets in a pod is what ginkit reads there. Each has tests of its own; this one holds them together.
func TestGinkitReadsWhatTheOperatorSets(t *testing.T) {
	gs := services(t)["minimal"]
	rev := RevisionOf(v1alpha1.WorkloadSpec{
		Ports:                         v1alpha1.Ports{HTTP: new(int32(9000)), Metrics: new(int32(9001))},
		TerminationGracePeriodSeconds: new(int32(40)), DrainSeconds: new(int32(10)),
		Resources: v1alpha1.Resources{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("100Mi")}},
	})
	var environ, names []string
	for _, v := range render(t, gs, rev).Spec.Template.Spec.Containers[0].Env {
		value := v.Value
		if v.ValueFrom != nil {
			value = fieldValues[v.ValueFrom.FieldRef.FieldPath]
		}
		environ = append(environ, v.Name+"="+value)
		names = append(names, v.Name)
	}
	kit, err := ginkit.New(ginkit.WithEnvironment(environ), ginkit.WithLogs(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	got := kit.Settings()
	if got.Port != 9000 || *got.MetricsPort != 9001 || time.Duration(got.Shutdown) != 30*time.Second {
		t.Errorf("ports %d and %d, %s to stop; want 9000, 9001, 30s", got.Port, *got.MetricsPort, time.Duration(got.Shutdown))
	}
	want := ginkit.Identity{
		Version: "dev", Service: gs.Name, Color: "blue", Revision: rev.Name, Pod: "minimal-blue-x7", Namespace: "default",
	}
	if got.Identity != want {
		t.Errorf("identity %+v, want %+v", got.Identity, want)
	}

	// GIN_MODE is Gin's, and GOMEMLIMIT the Go runtime's: the kit follows it when the pod is resized.
	read := append(variablesOf(reflect.TypeFor[ginkit.Settings]()), "GIN_MODE", "GOMEMLIMIT")
	for _, name := range names {
		if !slices.Contains(read, name) {
			t.Errorf("the operator sets %s, and nothing in a pod reads it", name)
		}
	}
}

// variablesOf returns the variables that the fields of a struct are read from.
func variablesOf(of reflect.Type) []string {
	var names []string
	for field := range of.Fields() {
		if name, tagged := field.Tag.Lookup("env"); tagged {
			names = append(names, name)
		} else if field.Type.Kind() == reflect.Struct {
			names = append(names, variablesOf(field.Type)...)
		}
	}
	return names
}
