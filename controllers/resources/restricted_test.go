package resources

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

func TestPodsPassPodSecurityRestricted(t *testing.T) {
	for name, gs := range services(t) {
		t.Run(name, func(t *testing.T) {
			requireRestricted(t, render(t, gs, RevisionOf(gs.Spec.WorkloadSpec)))
		})
	}
}

// FuzzDeployment renders random specifications that the rules of the CRD allow.
func FuzzDeployment(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		gs := services(t)["minimal"]
		gs.Spec.WorkloadSpec = randomWorkload(seed)
		rev := RevisionOf(gs.Spec.WorkloadSpec)

		deployment := render(t, gs, rev)
		requireRestricted(t, deployment)
		requireUniqueNames(t, deployment)
		requireLossless(t, child{"Deployment", Deployment(gs, v1alpha1.Green, rev, 1), &appsv1.Deployment{}})

		written := gs.Spec.WorkloadSpec.DeepCopy()
		normalizeValue(reflect.ValueOf(written).Elem())
		dropEmptyAffinity(&written.Scheduling) // One that is empty and none are the same, but not equal.
		asWritten := render(t, gs, Revision{Name: rev.Name, Workload: *written})
		if !apiequality.Semantic.DeepEqual(asWritten, deployment) {
			t.Errorf("leaving out defaults makes another pod; -specification +normal form:\n%s", cmp.Diff(asWritten, deployment))
		}
	})
}

// render builds the Deployment of the blue colour and reads it as the API server's type.
func render(t *testing.T, gs *v1alpha1.GinService, rev Revision) *appsv1.Deployment {
	t.Helper()
	deployment := &appsv1.Deployment{}
	if err := json.Unmarshal(mustMarshal(t, Deployment(gs, v1alpha1.Blue, rev, 1)), deployment); err != nil {
		t.Fatal(err)
	}
	return deployment
}

// requireRestricted evaluates the pod with the checks of the API server's own admission plugin, at their latest version.
func requireRestricted(t *testing.T, deployment *appsv1.Deployment) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &deployment.Spec.Template
	level := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	results := evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec)
	if len(results) == 0 {
		t.Fatal("no check was run")
	}
	for _, result := range results {
		if !result.Allowed {
			t.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
}

// requireUniqueNames checks the lists that server-side apply merges by a key: two entries with one key are refused.
func requireUniqueNames(t *testing.T, deployment *appsv1.Deployment) {
	t.Helper()
	pod := &deployment.Spec.Template.Spec
	keys := map[string][]string{}
	for i := range pod.Containers[0].Env {
		keys["env"] = append(keys["env"], pod.Containers[0].Env[i].Name)
	}
	for i := range pod.Containers[0].Ports {
		keys["ports"] = append(keys["ports"], pod.Containers[0].Ports[i].Name)
	}
	for i := range pod.Containers[0].VolumeMounts {
		keys["volumeMounts"] = append(keys["volumeMounts"], pod.Containers[0].VolumeMounts[i].MountPath)
	}
	for i := range pod.Volumes {
		keys["volumes"] = append(keys["volumes"], pod.Volumes[i].Name)
	}
	for list, names := range keys {
		if sets.New(names...).Len() != len(names) {
			t.Errorf("%s has a key twice: %q", list, names)
		}
	}
}
