package controllers

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// record is revision number i of a GinService: its ControllerRevision and its ConfigMap.
func record(gs *v1alpha1.GinService, i int64) (*appsv1.ControllerRevision, *corev1.ConfigMap) {
	name := fmt.Sprintf("r%d", i)
	revision := &appsv1.ControllerRevision{ObjectMeta: ownedBy(gs, gs.Name+"-"+name), Revision: i, Data: runtime.RawExtension{Raw: []byte("{}")}}
	revision.Labels = map[string]string{v1alpha1.LabelRevision: name}
	return revision, &corev1.ConfigMap{ObjectMeta: ownedBy(gs, gs.Name+"-"+name)}
}

func TestPruneHistory(t *testing.T) {
	for name, tc := range map[string]struct {
		limit   *int32
		change  func(*observation, *rollout.Plan)
		foreign string // a ConfigMap that belongs to somebody else
		kept    []string
		configs []string
	}{
		"nothing beyond the limit": {limit: new(int32(5)), kept: []string{"r1", "r2", "r3", "r4", "r5"}, configs: []string{"r1", "r2", "r3", "r4", "r5"}},
		"the oldest go first":      {limit: new(int32(2)), kept: []string{"r4", "r5"}, configs: []string{"r4", "r5"}},
		"no history":               {limit: new(int32(0)), kept: nil, configs: nil},
		"the default":              {limit: nil, kept: []string{"r1", "r2", "r3", "r4", "r5"}, configs: []string{"r1", "r2", "r3", "r4", "r5"}},
		"what a colour holds stays": {
			limit: new(int32(1)), kept: []string{"r1", "r5"}, configs: []string{"r1", "r5"},
			change: func(o *observation, _ *rollout.Plan) {
				o.state.Colors[v1alpha1.Green] = rollout.Color{Revision: "r1"}
			},
		},
		"what a colour is about to hold stays": {
			limit: new(int32(0)), kept: []string{"r2"}, configs: []string{"r2"},
			change: func(_ *observation, plan *rollout.Plan) {
				plan.Colors[v1alpha1.Green] = rollout.Target{Revision: "r2"}
			},
		},
		"somebody else's ConfigMap of that name stays": {limit: new(int32(0)), foreign: "r3", kept: nil, configs: []string{"r3"}},
	} {
		t.Run(name, func(t *testing.T) {
			gs := service()
			gs.Spec.RevisionHistoryLimit = tc.limit
			var objects []client.Object
			for i := int64(5); i > 0; i-- {
				revision, config := record(gs, i)
				if config.Name == gs.Name+"-"+tc.foreign {
					config.OwnerReferences = nil
				}
				objects = append(objects, revision, config)
			}
			w := newWorld(t, interceptor.Funcs{}, objects...)
			o := serving(gs)
			var err error
			if o.history, err = w.readHistory(t.Context(), gs); err != nil {
				t.Fatal(err)
			}
			plan := completed(o)
			if tc.change != nil {
				tc.change(o, &plan)
			}
			for range 2 { // the second time, everything is gone already
				if err := w.pruneHistory(t.Context(), o, plan); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.kept, w.names(t, &appsv1.ControllerRevisionList{})); diff != "" {
				t.Errorf("revisions: %s", diff)
			}
			if diff := cmp.Diff(tc.configs, w.names(t, &corev1.ConfigMapList{})); diff != "" {
				t.Errorf("configurations: %s", diff)
			}
		})
	}
}

// names returns the revisions that are in the names of all objects of a kind.
func (w *world) names(t *testing.T, list client.ObjectList) []string {
	t.Helper()
	if err := w.client.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	var names []string
	switch list := list.(type) {
	case *appsv1.ControllerRevisionList:
		for i := range list.Items {
			names = append(names, list.Items[i].Name[len("hello-"):])
		}
	case *corev1.ConfigMapList:
		for i := range list.Items {
			names = append(names, list.Items[i].Name[len("hello-"):])
		}
	}
	slices.Sort(names)
	return names
}

func TestHistoryKnowsItsNewest(t *testing.T) {
	gs := service()
	o := serving(gs)
	if o.newest() != "" || o.lastNumber() != 0 {
		t.Errorf("a history without a revision begins with %q, %d", o.newest(), o.lastNumber())
	}
	for _, i := range []int64{2, 12, 9} {
		revision, _ := record(gs, i)
		o.history = append(o.history, *revision)
	}
	if o.newest() != "hello-r12" || o.lastNumber() != 12 {
		t.Errorf("the newest is %q, %d", o.newest(), o.lastNumber())
	}
}

// A history that somebody tampered with is not believed.
func TestRevisionsAreFoundByWhatTheyHold(t *testing.T) {
	gs := service()
	o := serving(gs)
	old := service()
	old.Spec.Image = "example.com/hello:v0"
	genuine := resources.RevisionOf(old.Spec.WorkloadSpec)
	applied, err := resources.ControllerRevision(old, genuine, 1)
	if err != nil {
		t.Fatal(err)
	}
	recorded, _ := record(gs, 1)
	recorded.Name, recorded.Labels = names.Revisioned(gs.Name, genuine.Name), nil // labels are anybody's to change
	recorded.Data = *applied.Data
	tampered, _ := record(gs, 2)
	o.history = []appsv1.ControllerRevision{*tampered, *recorded}

	for name, tc := range map[string]struct {
		revision, image string
		known           bool
	}{
		"the wanted one, recorded or not":     {o.wanted.Name, "example.com/hello:v1", true},
		"one from the history":                {genuine.Name, "example.com/hello:v0", true},
		"one whose data are of another":       {"r2", "", false},
		"one that is nowhere":                 {"r7", "", false},
		"a Deployment that names no revision": {"", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			revision, known := o.revision(tc.revision)
			if known != tc.known || revision.Workload.Image != tc.image {
				t.Errorf("revision(%q) = %q, %t", tc.revision, revision.Workload.Image, known)
			}
		})
	}
}
