package resources

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// TestRestarted guards that a restart is a revision of its own, that it is the same one everywhere, and that its record can be read back.
func TestRestarted(t *testing.T) {
	gs := &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Name: "hello-world", Namespace: "shop", UID: "1"}}
	gs.Spec.Image = "app"
	plain := RevisionOf(gs.Spec.WorkloadSpec)
	first, again, second := plain.Restarted("2026-03-01"), plain.Restarted("2026-03-01"), plain.Restarted("2026-03-02")
	if first.Name != again.Name || first.Name == second.Name || first.Name == plain.Name {
		t.Errorf("%s, %s, %s, %s", plain.Name, first.Name, again.Name, second.Name)
	}
	if got := first.Restarted("2026-03-02"); got.Name != second.Name {
		t.Errorf("restarted again it is %s, want %s", got.Name, second.Name)
	}
	other := RevisionOf(v1alpha1.WorkloadSpec{Image: "other"})
	if !SameWorkload(first.Name, second.Name) || !SameWorkload(plain.Name, second.Name) || SameWorkload(plain.Name, other.Name) || SameWorkload("", plain.Name) {
		t.Error("revisions are taken for others")
	}
	for _, revision := range []Revision{plain, first} {
		record, err := ControllerRevision(gs, revision, 1)
		if err != nil {
			t.Fatal(err)
		}
		back, err := WorkloadOf(&appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: *record.Name}, Data: *record.Data})
		if err != nil || back.Name != revision.Name {
			t.Errorf("%s is read back as %s: %v", revision.Name, back.Name, err)
		}
		record.Data.Raw = []byte(`{"image":"changed"}`)
		if _, err := WorkloadOf(&appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: *record.Name}, Data: *record.Data}); err == nil {
			t.Error("a record that somebody changed is believed")
		}
	}
}
