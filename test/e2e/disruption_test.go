//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/testbed"
)

var _ = Describe("a deletion of pods", func() {
	It("one after another, 20 times, loses none of 100,000 requests at 1,000 a second", func(ctx SpecContext) {
		const deletions, pods, rate, requests = 20, 3, 1000, 100_000
		// All that decides on how a pod ends is left at its default, as it is for most users.
		gs := hello(newNamespace(ctx), withReplicas(pods))
		create(ctx, gs)
		color, before := gs.Status.ActiveColor, gs.DeepCopy()
		generation := deploymentOf(ctx, gs, color).Generation
		serving := awaitWhole(ctx, gs, pods)
		traffic, seen := load(ctx, gs, rate), record(ctx, gs)
		deleted := map[types.UID]bool{}
		for i := range deletions {
			// Spread over all requests, so that none of these are sent in peace.
			awaitRequests(ctx, traffic, i*requests/deletions)
			pod := &serving[chance.IntN(len(serving))]
			By(fmt.Sprintf("deleting %s, %d of %d", pod.Name, i+1, deletions))
			// No options: the grace period is the pod's own, as it is with kubectl delete.
			Expect(cluster.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})).To(Succeed())
			deleted[pod.UID] = true
			serving = awaitWhole(ctx, gs, pods)
			Expect(uidsOf(serving)).NotTo(ContainElement(pod.UID))
		}
		By("waiting until the last of them have ended, and all requests are sent")
		Eventually(podsOf).WithArguments(ctx, gs, color).WithContext(ctx).Should(HaveLen(pods))
		awaitRequests(ctx, traffic, requests)
		result := expectAnswers(ctx, traffic, 1)
		// Standard output, for it is a result to be read and not the trace of a failure.
		fmt.Printf("\ne2e: %d pods deleted, %d requests, %d failed, %.0f/s, p50 %.1f ms p99 %.1f ms\n",
			len(deleted), result.Requests, result.Failed, result.AchievedRate, result.LatencyMs.P50, result.LatencyMs.P99)
		Expect(deleted).To(HaveLen(deletions))
		Expect(result.Requests).To(BeNumerically(">=", requests))
		if *figuresJudge {
			Expect(result.AchievedRate).To(BeNumerically(">=", 0.9*rate), "the load generator did not keep up")
		}
		expectMoved(result)
		sights, _ := seen.since(0)
		for _, s := range sights {
			Expect(s.alone(color)).To(BeTrue(), "%+v", sights)
		}

		By("looking for anything that the operator made of it")
		awaitReady(ctx, gs)
		Expect(gs.Generation).To(Equal(before.Generation))
		Expect(gs.Status.ActiveColor).To(Equal(color))
		Expect(gs.Status.ActiveRevision).To(Equal(before.Status.ActiveRevision))
		Expect(gs.Status.Rollout).To(Equal(before.Status.Rollout))
		Expect(condition(gs, v1alpha1.ConditionAvailable)).To(Equal(condition(before, v1alpha1.ConditionAvailable)))
		Expect(deploymentOf(ctx, gs, color).Generation).To(Equal(generation))
		Expect(podsOf(ctx, gs, color.Other())).To(BeEmpty())
	}, SpecTimeout(10*time.Minute))
})

// awaitWhole waits until the colour that serves has all its pods, and the EndpointSlices of the active Service show them and no others as ready.
// It returns them, without those that are ending.
func awaitWhole(ctx context.Context, gs *v1alpha1.GinService, pods int) []corev1.Pod {
	GinkgoHelper()
	var whole []corev1.Pod
	Eventually(func(g Gomega) {
		whole = nil
		var names []string
		for _, pod := range podsOf(ctx, gs, gs.Status.ActiveColor) {
			if pod.DeletionTimestamp == nil {
				whole, names = append(whole, pod), append(names, pod.Name)
			}
		}
		g.Expect(names).To(HaveLen(pods))
		g.Expect(readyNames(ctx, gs)).To(ConsistOf(names))
		deployment := deploymentOf(ctx, gs, gs.Status.ActiveColor)
		g.Expect(deployment.Status.AvailableReplicas).To(BeEquivalentTo(pods))
	}).WithContext(ctx).Should(Succeed())
	return whole
}

// readyNames lists the pods that the EndpointSlices of the active Service show as ready.
func readyNames(ctx context.Context, gs *v1alpha1.GinService) []string {
	GinkgoHelper()
	var slices discoveryv1.EndpointSliceList
	Expect(cluster.Client.List(ctx, &slices, client.InNamespace(gs.Namespace),
		client.MatchingLabels{v1alpha1.LabelUID: string(gs.UID), v1alpha1.LabelRole: v1alpha1.RoleActive})).To(Succeed())
	var names []string
	for i := range slices.Items {
		for _, endpoint := range slices.Items[i].Endpoints {
			if endpoint.TargetRef != nil && (endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready) {
				names = append(names, endpoint.TargetRef.Name)
			}
		}
	}
	return names
}

// awaitRequests waits until a load has the outcome of a number of requests.
func awaitRequests(ctx context.Context, l *testbed.Load, wanted int) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		soFar, err := l.Result(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(soFar.Requests).To(BeNumerically(">=", wanted))
	}).WithContext(ctx).WithPolling(500 * time.Millisecond).Should(Succeed())
}

// expectMoved checks that connections which were kept open had to be opened anew: otherwise the pods that ended had none of them, and nothing
// was tried.
func expectMoved(result testbed.Result) {
	GinkgoHelper()
	fresh := int(loadFresh*float64(result.Requests)) + 1
	Expect(result.Connections.Opened-fresh).To(BeNumerically(">", 2*loadConnections), "connections opened to be kept, first ones included")
}
