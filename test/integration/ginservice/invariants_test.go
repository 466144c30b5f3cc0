package ginservice

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/invariants"
)

// observeInvariants watches a GinService, which need not exist yet, and its children for the rest of the spec, and fails it where the
// operator broke a promise at any version of them.
func observeInvariants(namespace, name string) *invariants.Observer {
	GinkgoHelper()
	watching, err := client.NewWithWatch(plane.Config(), client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	observer, err := invariants.Observe(watching, namespace, name)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		wrong, history, err := observer.Stop()
		Expect(err).NotTo(HaveOccurred())
		Expect(wrong).To(BeEmpty(), func() string { return history })
	})
	return observer
}

// allowOutage lets during take the service's pods or its Service away, and waits until the service is sound again: from then on it has to be
// reachable once more. Kubernetes copies the labels of a Service to its EndpointSlices, which tells that they don't follow an older selector.
func (s *service) allowOutage(ctx SpecContext, during func()) {
	GinkgoHelper()
	Expect(s.observer.Excuse(ctx, func() {
		during()
		round := fmt.Sprint(time.Now().UnixNano())
		svc := &corev1.Service{ObjectMeta: s.meta(s.name)}
		s.mutate(ctx, svc, func(o client.Object) { o.GetLabels()["round"] = round })
		Eventually(func(g Gomega) {
			var slices discoveryv1.EndpointSliceList
			g.Expect(k8s.List(ctx, &slices, client.InNamespace(s.namespace), client.MatchingLabels{discoveryv1.LabelServiceName: s.name})).To(Succeed())
			g.Expect(slices.Items).NotTo(BeEmpty())
			for i := range slices.Items {
				g.Expect(slices.Items[i].Labels).To(HaveKeyWithValue("round", round))
			}
			g.Expect(k8s.Get(ctx, s.key(), svc)).To(Succeed())
			pods := s.podsMatching(ctx, labels.SelectorFromSet(svc.Spec.Selector))
			g.Expect(pods).NotTo(BeEmpty())
			g.Expect(endpoints(ctx, s.namespace, s.name)).To(ConsistOf(pods))
		}).WithContext(ctx).Should(Succeed())
	})).To(Succeed())
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
