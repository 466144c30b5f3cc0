package controllers

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

func TestEndpointsCountAsAvailable(t *testing.T) {
	green := rollout.Preview{Color: v1alpha1.Green, Revision: "new"}
	fresh := rollout.Color{Revision: "new", Replicas: 2, Settled: true}
	counted := func(n int32) rollout.Color {
		return rollout.Color{Revision: "new", Replicas: 2, Current: n, Updated: n, Available: n, Settled: true}
	}
	replacing := rollout.Color{Revision: "new", Replicas: 2, Current: 2, Settled: true}
	unsettled := rollout.Color{Revision: "new", Replicas: 2}
	other := rollout.Color{Revision: "old", Replicas: 2, Settled: true}
	for name, tc := range map[string]struct {
		live      rollout.Color
		previewed rollout.Preview
		endpoints int32
		minReady  *int32
		want      rollout.Color
	}{
		"pods that the Deployment does not count yet":       {live: fresh, previewed: green, endpoints: 2, want: counted(2)},
		"the first of them":                                 {live: fresh, previewed: green, endpoints: 1, want: counted(1)},
		"more of them than it counts":                       {live: counted(1), previewed: green, endpoints: 2, want: counted(2)},
		"EndpointSlices that are behind the Deployment":     {live: counted(2), previewed: green, endpoints: 1, want: counted(2)},
		"never more than it is to have":                     {live: fresh, previewed: green, endpoints: 5, want: counted(2)},
		"none that have to be ready for a while first":      {live: fresh, previewed: green, endpoints: 2, minReady: new(int32(5)), want: fresh},
		"none while there are pods of an earlier template":  {live: replacing, previewed: green, endpoints: 2, want: replacing},
		"none while the Deployment has not seen its change": {live: unsettled, previewed: green, endpoints: 2, want: unsettled},
		"none of another revision":                          {live: other, previewed: green, endpoints: 2, want: other},
		"none of the other colour":                          {live: fresh, previewed: rollout.Preview{Color: v1alpha1.Blue, Revision: "new"}, endpoints: 2, want: fresh},
	} {
		t.Run(name, func(t *testing.T) {
			o := &observation{gs: &v1alpha1.GinService{}}
			o.gs.Spec.MinReadySeconds = tc.minReady
			o.state = rollout.Observed{
				Colors: map[v1alpha1.Color]rollout.Color{v1alpha1.Green: tc.live}, Previewed: tc.previewed,
				PreviewEndpoints: map[v1alpha1.Color]int32{v1alpha1.Green: tc.endpoints},
			}
			o.countEndpoints()
			want := map[v1alpha1.Color]rollout.Color{v1alpha1.Green: tc.want}
			if diff := cmp.Diff(want, o.state.Colors); diff != "" {
				t.Error(diff)
			}
		})
	}
}
