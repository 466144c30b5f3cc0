package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/testbed"
)

// siteWith returns a site whose cluster has some objects.
func siteWith(t *testing.T, objects ...client.Object) *clusterSite {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	built := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	return &clusterSite{plane: &plane{}, run: "this", cluster: &testbed.Cluster{Client: built}}
}

func role(labels map[string]string) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "gin-operator-manager", Labels: labels}}
}

func TestAClusterWhereSomethingWouldBeLostIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		there client.Object
		want  []string // in the message
	}{
		"an empty one is taken": {there: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}},
		"a GinService": {
			there: &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}},
			want:  []string{"1 GinServices", "shop/web", "delete them first", "KUBECONFIG"},
		},
		"an operator, in whatever namespace": {
			there: &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "gin-operator", Labels: map[string]string{
				"app.kubernetes.io/name": "gin-operator", "app.kubernetes.io/component": "manager",
			}}},
			want: []string{"Deployment team-a/gin-operator", "make undeploy", "KUBECONFIG"},
		},
		"what an installation left": {there: role(nil), want: []string{"ClusterRole gin-operator-manager", "make undeploy", "KUBECONFIG"}},
		"what a benchmark left": {
			there: role(map[string]string{labelRun: "earlier"}), want: []string{"ClusterRole gin-operator-manager", removeByHand, "KUBECONFIG"},
		},
		"a namespace that the benchmark would make": {
			there: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespaceServices}}, want: []string{"Namespace " + namespaceServices},
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := siteWith(t, tc.there).refuse(t.Context(), []client.Object{role(nil)})
			if (err != nil) != (len(tc.want) > 0) {
				t.Fatalf("the error is %v", err)
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestOnlyWhatTheRunMadeIsRemoved(t *testing.T) {
	other := role(map[string]string{labelRun: "another"})
	other.Name = "of-another-run"
	foreign := role(nil)
	foreign.Name = "of-somebody-else"
	s := siteWith(t, role(map[string]string{labelRun: "this"}), other, foreign)
	if err := s.removeKind(t.Context(), rbacv1.SchemeGroupVersion.WithKind("ClusterRole")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"gin-operator-manager": false, other.Name: true, foreign.Name: true} {
		err := s.cluster.Client.Get(t.Context(), client.ObjectKey{Name: name}, &rbacv1.ClusterRole{})
		if client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		if got := !apierrors.IsNotFound(err); got != want {
			t.Errorf("that there is a ClusterRole %s is %t", name, got)
		}
	}
}

func TestEverythingThatIsInstalledIsRemoved(t *testing.T) {
	for _, folder := range []string{"crd/bases", "rbac"} {
		paths, err := filepath.Glob(filepath.Join("..", "..", "config", folder, "*.yaml"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("config/%s has %v, error %v", folder, paths, err)
		}
		for _, path := range paths {
			if filepath.Base(path) == "kustomization.yaml" {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			objects, err := readObjects(string(text))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			for _, object := range objects {
				kind := object.GetObjectKind().GroupVersionKind()
				if object.GetNamespace() != operatorNamespace && !slices.Contains(removable, kind) {
					t.Errorf("%s: nothing would remove %s %s", path, kind.Kind, object.GetName())
				}
			}
		}
	}
}

func TestAManifestIsReadObjectByObject(t *testing.T) {
	objects, err := readObjects("# what it is\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n")
	if err != nil || len(objects) != 2 || objects[0].GetName() != "a" || objects[1].GetName() != "b" {
		t.Errorf("%v were read, error %v", objects, err)
	}
	if _, err := readObjects("kind: [unclosed"); err == nil {
		t.Error("nonsense was read")
	}
}
