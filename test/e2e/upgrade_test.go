//go:build e2e

package e2e

import (
	"fmt"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

var _ = Describe("an upgrade", func() {
	It("loses none of 1,000 requests a second in five promotions", func(ctx SpecContext) {
		const promotions, pods, rate = 5, 3, 1000
		gs := hello(newNamespace(ctx), withReplicas(pods), withScaleDownDelay(2))
		create(ctx, gs)
		revisions := map[string]bool{gs.Status.ActiveRevision: true}
		traffic, seen := load(ctx, gs, rate), record(ctx, gs)
		for i := range promotions {
			next := gs.Status.ActiveColor.Other()
			By(fmt.Sprintf("promoting %s", next))
			_, before := seen.since(0)
			change(ctx, gs, toVersion([]string{"v2", "v1"}[i%2]), configured("PROMOTION", strconv.Itoa(i)))
			expectTakenOver(seen.awaitAlone(ctx, before, next), next, pods)
			// The pods that served before drain while the next promotion is under way.
			awaitStep(ctx, gs, v1alpha1.StepCompleted)
			revisions[gs.Status.ActiveRevision] = true
		}
		By("waiting until all pods that served before have ended")
		Eventually(podsOf).WithArguments(ctx, gs, gs.Status.ActiveColor.Other()).WithContext(ctx).Should(BeEmpty())
		result := expectAnswers(ctx, traffic, promotions+1)
		if *figuresJudge {
			Expect(result.AchievedRate).To(BeNumerically(">=", 0.9*rate), "the load generator did not keep up")
		}
		for revision := range revisions {
			Expect(result.Revisions).To(HaveKey(revision))
		}
	}, SpecTimeout(10*time.Minute))

	It("goes back to the colour that is still warm without starting a pod", func(ctx SpecContext) {
		gs := hello(newNamespace(ctx), withReplicas(2), withScaleDownDelay(600))
		create(ctx, gs)
		first, warm := gs.Status.ActiveRevision, podsOf(ctx, gs, v1alpha1.Blue)
		Expect(warm).To(HaveLen(2))
		traffic, seen := load(ctx, gs, 200), record(ctx, gs)
		change(ctx, gs, toVersion("v2"))
		awaitReady(ctx, gs)
		Expect(gs.Status.ActiveColor).To(Equal(v1alpha1.Green))

		_, before := seen.since(0)
		change(ctx, gs, toVersion("v1"))
		expectTakenOver(seen.awaitAlone(ctx, before, v1alpha1.Blue), v1alpha1.Blue, 2)
		awaitReady(ctx, gs)
		Expect(gs.Status.ActiveColor).To(Equal(v1alpha1.Blue))
		Expect(gs.Status.ActiveRevision).To(Equal(first))
		Expect(gs.Status.Rollout.Rollback).To(BeTrue())
		Expect(uidsOf(podsOf(ctx, gs, v1alpha1.Blue))).To(ConsistOf(uidsOf(warm)))
		expectNoneFailed(ctx, traffic)
	})

	It("waits for an approval that names the revision", func(ctx SpecContext) {
		gs := hello(newNamespace(ctx), withReplicas(2), withScaleDownDelay(0), func(spec *v1alpha1.GinServiceSpec) {
			spec.Strategy.BlueGreen.Promotion = v1alpha1.PromotionManual
			spec.Strategy.BlueGreen.PreviewReplicas = new(int32(1))
		})
		create(ctx, gs)
		seen := record(ctx, gs)
		old := gs.Status.ActiveRevision
		change(ctx, gs, toVersion("v2"))
		awaitStep(ctx, gs, v1alpha1.StepWaitingForPromotion)
		Expect(gs.Status.PreviewRevision).NotTo(Or(BeEmpty(), Equal(old)))
		Expect(*deploymentOf(ctx, gs, v1alpha1.Green).Spec.Replicas).To(Equal(int32(1)))

		By("approving another revision")
		approve(ctx, gs, old)
		Consistently(func(g Gomega) {
			g.Expect(cluster.Client.Get(ctx, client.ObjectKeyFromObject(gs), gs)).To(Succeed())
			g.Expect(gs.Status.ActiveColor).To(Equal(v1alpha1.Blue))
		}).WithContext(ctx).Should(Succeed())

		By("approving this one")
		_, before := seen.since(0)
		approve(ctx, gs, gs.Status.Rollout.Revision)
		expectTakenOver(seen.awaitAlone(ctx, before, v1alpha1.Green), v1alpha1.Green, 2)
		awaitReady(ctx, gs)
	})
})

// approve approves a revision as a user does.
func approve(ctx SpecContext, gs *v1alpha1.GinService, revision string) {
	GinkgoHelper()
	_, err := cluster.Kubectl(ctx, "annotate", "--overwrite", "-n", gs.Namespace, "ginservice/"+gs.Name, v1alpha1.AnnotationPromote+"="+revision)
	Expect(err).NotTo(HaveOccurred())
}

func uidsOf(pods []corev1.Pod) []types.UID {
	var uids []types.UID
	for i := range pods {
		uids = append(uids, pods[i].UID)
	}
	return uids
}
