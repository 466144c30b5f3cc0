//go:build e2e

package e2e

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// sight is what the EndpointSlices of a GinService's two Services showed from a moment on: ready endpoints by role and colour.
type sight struct {
	at              time.Time
	active, preview map[v1alpha1.Color]int
}

// alone reports whether a colour, and no other, is behind the active Service.
func (s sight) alone(color v1alpha1.Color) bool {
	return s.active[color] > 0 && s.active[color.Other()] == 0
}

// recorder notes every state of the EndpointSlices that the API server tells of.
type recorder struct {
	service string

	mu     sync.Mutex
	slices map[string]discoveryv1.EndpointSlice
	sights []sight
}

// record records the EndpointSlices of a GinService until the spec ends. The first sight is what there is now.
func record(ctx context.Context, gs *v1alpha1.GinService) *recorder {
	GinkgoHelper()
	var there discoveryv1.EndpointSliceList
	ours := []client.ListOption{client.InNamespace(gs.Namespace), client.MatchingLabels{v1alpha1.LabelUID: string(gs.UID)}}
	Expect(cluster.Client.List(ctx, &there, ours...)).To(Succeed())
	r := &recorder{service: gs.Name, slices: map[string]discoveryv1.EndpointSlice{}}
	for i := range there.Items {
		r.slices[there.Items[i].Name] = there.Items[i]
	}
	r.look()
	w, err := cluster.Client.Watch(ctx, &discoveryv1.EndpointSliceList{}, append(ours, since(&there))...)
	Expect(err).NotTo(HaveOccurred())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for event := range w.ResultChan() {
			r.note(event) // which must not read gs: the spec reads it anew all the time
		}
	}()
	DeferCleanup(func() { w.Stop(); <-ended })
	return r
}

// since makes a watch begin where a list ended.
func since(list client.ObjectList) client.ListOption {
	return &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}}
}

func (r *recorder) note(event watch.Event) {
	slice, ok := event.Object.(*discoveryv1.EndpointSlice)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slices[slice.Name] = *slice
	if event.Type == watch.Deleted {
		delete(r.slices, slice.Name)
	}
	r.look()
}

// look notes what the slices show now.
func (r *recorder) look() {
	now := sight{at: time.Now(), active: map[v1alpha1.Color]int{}, preview: map[v1alpha1.Color]int{}}
	for key := range r.slices {
		counted := now.active
		if r.slices[key].Labels[v1alpha1.LabelRole] == v1alpha1.RolePreview {
			counted = now.preview
		}
		for _, endpoint := range r.slices[key].Endpoints {
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				counted[colorOf(endpoint, r.service)]++
			}
		}
	}
	r.sights = append(r.sights, now)
}

// colorOf returns the colour of an endpoint, which is part of the name of its pod.
func colorOf(endpoint discoveryv1.Endpoint, name string) v1alpha1.Color {
	for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
		if endpoint.TargetRef != nil && strings.HasPrefix(endpoint.TargetRef.Name, name+"-"+string(color)+"-") {
			return color
		}
	}
	return "none"
}

// since returns what was seen after the first n sights, and how many there are now.
func (r *recorder) since(n int) ([]sight, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var later []sight
	for _, s := range r.sights[n:] {
		later = append(later, sight{at: s.at, active: maps.Clone(s.active), preview: maps.Clone(s.preview)})
	}
	return later, len(r.sights)
}

// awaitAlone waits until a colour alone is behind the active Service and returns all that was seen after the first n sights.
func (r *recorder) awaitAlone(ctx context.Context, n int, color v1alpha1.Color) []sight {
	GinkgoHelper()
	var seen []sight
	Eventually(func(g Gomega) {
		seen, _ = r.since(n)
		g.Expect(seen).NotTo(BeEmpty())
		g.Expect(seen[len(seen)-1].alone(color)).To(BeTrue(), "%+v", seen[len(seen)-1])
	}).WithContext(ctx).WithPolling(20 * time.Millisecond).Should(Succeed())
	return seen
}

// expectTakenOver checks that a colour took over with all the pods that had served, and that no moment was without a ready endpoint.
func expectTakenOver(seen []sight, color v1alpha1.Color, serving int) {
	GinkgoHelper()
	for _, s := range seen {
		Expect(s.active[v1alpha1.Blue]+s.active[v1alpha1.Green]).To(BeNumerically(">", 0), "no ready endpoint: %+v", seen)
	}
	for _, s := range seen {
		if s.alone(color) {
			Expect(s.active[color]).To(BeNumerically(">=", serving), "%s took over with too few pods: %+v", color, seen)
			return
		}
	}
	Fail("never alone: " + string(color))
}
