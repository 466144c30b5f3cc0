package ginservice

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
)

// history is what a watcher saw of a service, oldest first.
type history struct {
	mutex sync.Mutex
	lines []string
	wrong []string
}

func (h *history) add(format string, args ...any) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

func (h *history) violate(format string, args ...any) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	line := "VIOLATION: " + fmt.Sprintf(format, args...)
	h.lines, h.wrong = append(h.lines, line), append(h.wrong, line)
}

// outage lets a spec take pods away itself, which is no fault of the operator's.
var outage sync.Map

// observeInvariants watches the active Service and its EndpointSlices for the rest of the spec, and fails it where at any version of
// them the selector named no colour, or a switch or a scale-down left a service without ready pods that had some.
func observeInvariants(s *service) {
	GinkgoHelper()
	watching, err := client.NewWithWatch(plane.Config(), client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	h := &history{}
	var done sync.WaitGroup
	done.Go(func() { h.watchSelector(ctx, watching, s) })
	done.Go(func() { h.watchEndpoints(ctx, watching, s) })
	DeferCleanup(func() {
		cancel()
		done.Wait()
		Expect(h.wrong).To(BeEmpty(), func() string { return strings.Join(h.lines, "\n") })
	})
}

func (h *history) watchSelector(ctx context.Context, c client.WithWatch, s *service) {
	events, err := c.Watch(ctx, &corev1.ServiceList{}, client.InNamespace(s.namespace), client.MatchingFields{"metadata.name": s.name})
	if err != nil {
		return
	}
	for event := range events.ResultChan() {
		svc, ok := event.Object.(*corev1.Service)
		if !ok {
			continue
		}
		if owner := metav1.GetControllerOf(svc); owner == nil || owner.Kind != "GinService" {
			continue // somebody else's Service under our name
		}
		color := v1alpha1.Color(svc.Spec.Selector[v1alpha1.LabelColor])
		h.add("%s Service %s selects %q", svc.ResourceVersion, event.Type, color)
		if !color.Valid() && !selectsBoth(svc) {
			if _, ours := outage.Load(s.namespace); !ours {
				h.violate("the selector is %v", svc.Spec.Selector)
			}
		}
	}
}

func (h *history) watchEndpoints(ctx context.Context, c client.WithWatch, s *service) {
	events, err := c.Watch(ctx, &discoveryv1.EndpointSliceList{}, client.InNamespace(s.namespace), client.MatchingLabels{discoveryv1.LabelServiceName: s.name})
	if err != nil {
		return
	}
	available := false
	for event := range events.ResultChan() {
		slice, ok := event.Object.(*discoveryv1.EndpointSlice)
		if !ok {
			continue
		}
		var ready []string
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready && endpoint.TargetRef != nil {
				ready = append(ready, endpoint.TargetRef.Name)
			}
		}
		slices.Sort(ready)
		h.add("%s EndpointSlice %s has %v ready", slice.ResourceVersion, event.Type, ready)
		if _, ours := outage.Load(s.namespace); available && len(ready) == 0 && !ours && event.Type != "DELETED" {
			h.violate("no endpoint is ready, though the service has been available")
		}
		available = available || len(ready) > 0
	}
}

// selectsBoth reports whether a Service selects both colours of its GinService, and says which of them served before.
func selectsBoth(svc *corev1.Service) bool {
	return len(svc.Spec.Selector) == 1 && svc.Spec.Selector[v1alpha1.LabelUID] == string(metav1.GetControllerOf(svc).UID) &&
		v1alpha1.Color(svc.Annotations[resources.AnnotationServing]).Valid()
}

// allowOutage says that the spec itself takes the service's pods or its Service away.
func (s *service) allowOutage() {
	outage.Store(s.namespace, true)
}

// checkContract checks at the end of each spec that the conditions keep the kstatus rules.
func (s *service) checkContract(ctx SpecContext) {
	gs := &v1alpha1.GinService{}
	if err := k8s.Get(ctx, s.key(), gs); client.IgnoreNotFound(err) == nil && err != nil {
		return
	}
	Expect(contractViolations(gs)).To(BeEmpty())
}

// contractViolations returns what is wrong with a status by the rules of kstatus.
func contractViolations(gs *v1alpha1.GinService) []string {
	var wrong []string
	conditions := gs.Status.Conditions
	if len(conditions) == 0 {
		return nil // the operator has not come to it yet
	}
	ready := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready == nil {
		wrong = append(wrong, "Ready is missing")
	}
	for _, kind := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionNameConflict} {
		if condition := apimeta.FindStatusCondition(conditions, kind); condition != nil && condition.Status != metav1.ConditionTrue {
			wrong = append(wrong, kind+" is present and not True")
		}
	}
	reconciling, stalled := apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReconciling), apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled)
	if reconciling && stalled {
		wrong = append(wrong, "Reconciling and Stalled at once")
	}
	if ready != nil && ready.Status == metav1.ConditionTrue && (reconciling || stalled) {
		wrong = append(wrong, "Ready with Reconciling or Stalled")
	}
	for _, condition := range conditions {
		if condition.Message == "" || condition.Reason == "" || condition.ObservedGeneration > gs.Generation || condition.LastTransitionTime.After(time.Now().Add(time.Second)) {
			wrong = append(wrong, fmt.Sprintf("%+v", condition))
		}
	}
	return wrong
}
