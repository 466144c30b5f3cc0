package resources

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// recorded writes rev into the history and reads the record as the API server's type.
func recorded(t *testing.T, gs *v1alpha1.GinService, rev Revision) *appsv1.ControllerRevision {
	t.Helper()
	intent, err := ControllerRevision(gs, rev, 3)
	if err != nil {
		t.Fatal(err)
	}
	record := &appsv1.ControllerRevision{}
	if err := json.Unmarshal(mustMarshal(t, intent), record); err != nil {
		t.Fatal(err)
	}
	return record
}

// requireRecordable fails unless the history gives back what was put into it.
func requireRecordable(t *testing.T, rev Revision) {
	t.Helper()
	got, err := WorkloadOf(recorded(t, &v1alpha1.GinService{}, rev))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rev, got); diff != "" {
		t.Errorf("-recorded +read back:\n%s", diff)
	}
}

func TestHistoryGivesBackWhatWasRecorded(t *testing.T) {
	for name, gs := range services(t) {
		t.Run(name, func(t *testing.T) { requireRecordable(t, RevisionOf(gs.Spec.WorkloadSpec)) })
	}
}

func TestHistoryThatWasTamperedWithIsRefused(t *testing.T) {
	gs := services(t)["everything"]
	cases := map[string]struct {
		change func(*appsv1.ControllerRevision)
		want   string
	}{
		"another image": {
			func(cr *appsv1.ControllerRevision) {
				cr.Data.Raw = []byte(strings.Replace(string(cr.Data.Raw), "hello:v1.2.0", "hello:evil", 1))
			},
			"is revision",
		},
		"no data": {
			func(cr *appsv1.ControllerRevision) { cr.Data = runtime.RawExtension{} },
			"decoding the data of ControllerRevision hello-",
		},
		"data that is no workload": {
			func(cr *appsv1.ControllerRevision) { cr.Data.Raw = []byte(`{"image": 3}`) },
			"decoding the data of ControllerRevision hello-",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			record := recorded(t, gs, RevisionOf(gs.Spec.WorkloadSpec))
			tc.change(record)
			if _, err := WorkloadOf(record); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestRevisionUnderAnotherNameIsNotRecorded(t *testing.T) {
	gs := services(t)["minimal"]
	rev := RevisionOf(gs.Spec.WorkloadSpec)
	rev.Workload.Image = "registry.example.com/hello:v2"
	if _, err := ControllerRevision(gs, rev, 1); err == nil {
		t.Error("a workload was recorded under the name of another one")
	}
}

func TestChangeCauseIsRecordedOnlyWhenThereIsOne(t *testing.T) {
	gs := services(t)["everything"]
	rev := RevisionOf(gs.Spec.WorkloadSpec)
	if got := recorded(t, gs, rev).Annotations[v1alpha1.AnnotationChangeCause]; got != "raise the memory limit" {
		t.Errorf("change-cause is %q", got)
	}
	gs.Annotations = nil
	if _, ok := recorded(t, gs, rev).Annotations[v1alpha1.AnnotationChangeCause]; ok {
		t.Error("a change-cause out of nothing")
	}
}
