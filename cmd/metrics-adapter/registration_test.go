package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// apiService returns an APIService of custom.metrics.k8s.io. Without a service it is served by the API server itself.
func apiService(version, service, bundle string, skipVerification bool) *unstructured.Unstructured {
	spec := map[string]any{"group": "custom.metrics.k8s.io", "version": version, "groupPriorityMinimum": int64(100), "versionPriority": int64(100)}
	if namespace, name, found := strings.Cut(service, "/"); found {
		spec["service"] = map[string]any{"namespace": namespace, "name": name, "port": int64(443)}
	}
	if bundle != "" {
		spec["caBundle"] = bundle
	}
	if skipVerification {
		spec["insecureSkipTLSVerify"] = true
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(apiServiceKind)
	object.SetName(version + ".custom.metrics.k8s.io")
	return object
}

// newTestRegistration returns a registration in a cluster with some objects, the events that it sends, and how often it has written.
func newTestRegistration(t *testing.T, objects ...client.Object) (r *registration, sent *events.FakeRecorder, writes *int) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), rbacv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	scheme.AddKnownTypeWithName(apiServiceKind, &unstructured.Unstructured{})
	scheme.AddKnownTypeWithName(apiServiceKind.GroupVersion().WithKind("APIServiceList"), &unstructured.UnstructuredList{})
	writes = new(int)
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: fieldOwner, UID: "uid-of-the-role"}}
	cluster := interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, role)...).Build(), interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			*writes++
			return c.Apply(ctx, object, options...)
		},
	})
	sent = events.NewFakeRecorder(10)
	return &registration{
		live: cluster, client: cluster, service: types.NamespacedName{Namespace: "gin-operator-system", Name: "gin-operator-metrics-adapter"}, role: fieldOwner,
		bundle: func() ([]byte, error) { return []byte("bundle"), nil }, events: sent, pod: &corev1.Pod{},
	}, sent, writes
}

// apiServices tells of all APIServices, in a line each.
func apiServices(t *testing.T, reader client.Reader) []string {
	t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(apiServiceKind.GroupVersion().WithKind("APIServiceList"))
	if err := reader.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for i := range list.Items {
		spec, _, err := unstructured.NestedMap(list.Items[i].Object, "spec")
		if err != nil {
			t.Fatal(err)
		}
		service, _, _ := unstructured.NestedMap(spec, "service")
		owner := ""
		for _, reference := range list.Items[i].GetOwnerReferences() {
			owner = fmt.Sprintf(" of %s %s %s", reference.Kind, reference.Name, reference.UID)
		}
		lines = append(lines, fmt.Sprintf("%s: %v/%v:%v bundle %v skip %v priority %v%s",
			list.Items[i].GetName(), service["namespace"], service["name"], service["port"], spec["caBundle"], spec["insecureSkipTLSVerify"], spec["versionPriority"], owner))
	}
	slices.Sort(lines)
	return lines
}

func TestRegistration(t *testing.T) {
	const (
		own = "gin-operator-system/gin-operator-metrics-adapter"
		of  = " of ClusterRole gin-operator-metrics-adapter uid-of-the-role"
		b1  = "v1beta1.custom.metrics.k8s.io: " + own + ":443 bundle YnVuZGxl skip false priority 100" + of
		b2  = "v1beta2.custom.metrics.k8s.io: " + own + ":443 bundle YnVuZGxl skip false priority 200" + of
	)
	for name, tc := range map[string]struct {
		objects []client.Object
		want    []string
		writes  int
		event   string
	}{
		"nobody serves the API": {want: []string{b1, b2}, writes: 2},
		"this one does, with an older authority": {
			objects: []client.Object{apiService("v1beta1", own, "b2xk", false), apiService("v1beta2", own, "b2xk", false)}, want: []string{b1, b2}, writes: 2,
		},
		"this one does, without verification": {
			objects: []client.Object{apiService("v1beta1", own, "", true)}, want: []string{b1, b2}, writes: 2,
		},
		"this one does, though the role is not its owner": {
			objects: []client.Object{apiService("v1beta1", own, "YnVuZGxl", false)}, want: []string{b1, b2}, writes: 2,
		},
		"another adapter does, with one version": {
			objects: []client.Object{apiService("v1beta1", "monitoring/prometheus-adapter", "", true)},
			want:    []string{"v1beta1.custom.metrics.k8s.io: monitoring/prometheus-adapter:443 bundle <nil> skip true priority 100"},
			event:   "v1beta1.custom.metrics.k8s.io is served by Service monitoring/prometheus-adapter",
		},
		"another adapter does, with the other one": {
			objects: []client.Object{apiService("v1beta2", "keda/keda", "eA==", false)},
			want:    []string{"v1beta2.custom.metrics.k8s.io: keda/keda:443 bundle eA== skip <nil> priority 100"},
			event:   "v1beta2.custom.metrics.k8s.io is served by Service keda/keda",
		},
		"another adapter takes one version over": {
			objects: []client.Object{apiService("v1beta1", "monitoring/prometheus-adapter", "", true), apiService("v1beta2", own, "YnVuZGxl", false)},
			want:    []string{"v1beta1.custom.metrics.k8s.io: monitoring/prometheus-adapter:443 bundle <nil> skip true priority 100"},
			event:   "v1beta1.custom.metrics.k8s.io is served by Service monitoring/prometheus-adapter",
		},
		"the same name in another namespace": {
			objects: []client.Object{apiService("v1beta1", "other/gin-operator-metrics-adapter", "", false)},
			want:    []string{"v1beta1.custom.metrics.k8s.io: other/gin-operator-metrics-adapter:443 bundle <nil> skip <nil> priority 100"},
			event:   "Service other/gin-operator-metrics-adapter",
		},
		"the API server itself": {
			objects: []client.Object{apiService("v1beta1", "", "", false)},
			want:    []string{"v1beta1.custom.metrics.k8s.io: <nil>/<nil>:<nil> bundle <nil> skip <nil> priority 100"},
			event:   "v1beta1.custom.metrics.k8s.io is served by the API server itself",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, sent, writes := newTestRegistration(t, tc.objects...)
			// The second and the third change nothing, and tell nothing again.
			for range 3 {
				if err := r.refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tc.want, apiServices(t, r.live)); diff != "" {
					t.Errorf("APIServices (-want +got):\n%s", diff)
				}
			}
			if *writes != tc.writes {
				t.Errorf("%d writes, want %d", *writes, tc.writes)
			}
			event := ""
			for len(sent.Events) > 0 {
				event += <-sent.Events
			}
			if (event == "") != (tc.event == "") || !strings.Contains(event, tc.event) || strings.Count(event, "APIServedByAnother") > 1 {
				t.Errorf("events %q, want one that says %q", event, tc.event)
			}
		})
	}
}

func TestARegistrationThatComesTooLate(t *testing.T) {
	r, sent, _ := newTestRegistration(t)
	cluster, raced := r.live, false
	r.live = hooked{Reader: cluster, after: func() {
		if !raced {
			raced = true
			other := apiService("v1beta1", "monitoring/prometheus-adapter", "", true)
			if err := r.client.Create(context.Background(), other, client.FieldOwner("helm")); err != nil {
				t.Error(err)
			}
		}
	}}
	for range 2 {
		if err := r.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"v1beta1.custom.metrics.k8s.io: monitoring/prometheus-adapter:443 bundle <nil> skip true priority 100"}
	if diff := cmp.Diff(want, apiServices(t, cluster)); diff != "" {
		t.Errorf("APIServices (-want +got):\n%s", diff)
	}
	if len(sent.Events) != 1 {
		t.Errorf("%d events, want one that tells of the other", len(sent.Events))
	}
}

func TestARegistrationNeedsItsRole(t *testing.T) {
	r, _, _ := newTestRegistration(t)
	r.role = "renamed"
	if err := r.refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "reading ClusterRole renamed, with which APIService v1beta1.custom.metrics.k8s.io is to go") {
		t.Errorf("error %v", err)
	}
	if lines := apiServices(t, r.live); len(lines) != 0 {
		t.Errorf("registered without an end: %v", lines)
	}
}

func TestAnAPIServiceThatSomebodyTookOverStaysWithoutTheAdapter(t *testing.T) {
	role := metav1.OwnerReference{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: fieldOwner, UID: "uid-of-the-role"}
	other := metav1.OwnerReference{APIVersion: "v1", Kind: "Namespace", Name: "monitoring", UID: "uid-of-theirs"}
	for by, want := range map[string][]metav1.OwnerReference{
		"monitoring/prometheus-adapter":                  {other},
		"another-namespace/gin-operator-metrics-adapter": {role, other}, // which goes with the same ClusterRole
	} {
		taken := apiService("v1beta1", by, "eA==", false)
		taken.SetOwnerReferences([]metav1.OwnerReference{role, other})
		r, _, _ := newTestRegistration(t, taken)
		for range 2 {
			if err := r.refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		now := apiService("v1beta1", "", "", false)
		if err := r.live.Get(t.Context(), client.ObjectKeyFromObject(taken), now); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, now.GetOwnerReferences()); diff != "" {
			t.Errorf("%s: owners (-want +got):\n%s", by, diff)
		}
		if owner, _ := r.ownerOf(now); owner != "Service "+by {
			t.Errorf("it is served by %s, not %s", owner, by)
		}
	}
}
