//go:build e2e

package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

var _ = Describe("a version that can't run", func() {
	DescribeTable("leaves the traffic where it is, and a condition and one event say what to do",
		func(ctx SpecContext, spoil func(context.Context, *v1alpha1.GinService), reason string, says ...string) {
			// One pod alone is not ready for a moment when this machine is busy, and nobody can be reached then.
			gs := hello(newNamespace(ctx), withReplicas(2))
			create(ctx, gs)
			serving := podsOf(ctx, gs, v1alpha1.Blue)
			seen := record(ctx, gs)
			spoil(ctx, gs)
			var message string
			await(ctx, gs, func(g Gomega) {
				ready := condition(gs, v1alpha1.ConditionReady)
				g.Expect(ready.Status).To(Equal(metav1.ConditionFalse))
				g.Expect(ready.Reason).To(Equal(reason), "%s", ready.Message)
				for _, words := range says {
					g.Expect(ready.Message).To(ContainSubstring(words))
				}
				message = ready.Message
			})
			Expect(condition(gs, v1alpha1.ConditionAvailable).Status).To(Equal(metav1.ConditionTrue))
			Eventually(func(g Gomega) {
				warnings := eventsOf(ctx, gs, corev1.EventTypeWarning)
				g.Expect(warnings).To(HaveLen(1))
				g.Expect(occurrences(warnings)).To(Equal(1))
				g.Expect(warnings[0].Reason).To(Equal(reason))
				g.Expect(warnings[0].Message).To(Equal(message))
			}).WithContext(ctx).Should(Succeed())
			expectUntouched(ctx, gs, serving, seen)
		},
		Entry("an image that doesn't exist", func(ctx context.Context, gs *v1alpha1.GinService) {
			change(ctx, gs, func(spec *v1alpha1.GinServiceSpec) { spec.Image = "localhost/no/such-image:v1" })
		}, v1alpha1.ReasonPodsNotStarting, "localhost/no/such-image:v1", "spec.image"),
		Entry("a Secret that is missing", func(ctx context.Context, gs *v1alpha1.GinService) {
			change(ctx, gs, func(spec *v1alpha1.GinServiceSpec) {
				spec.EnvFrom = []v1alpha1.EnvFromSource{{SecretRef: &v1alpha1.OptionalReference{Name: "no-such-secret"}}}
			})
		}, v1alpha1.ReasonPodsNotStarting, "no-such-secret", "spec.envFrom"),
		Entry("a quota that refuses pods", func(ctx context.Context, gs *v1alpha1.GinService) {
			quota := &corev1.ResourceQuota{
				ObjectMeta: metav1.ObjectMeta{Namespace: gs.Namespace, Name: "two-pods"},
				Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("2")}},
			}
			Expect(cluster.Client.Create(ctx, quota)).To(Succeed())
			// Until it is in force, pods are refused with other words.
			Eventually(func(g Gomega) {
				g.Expect(cluster.Client.Get(ctx, client.ObjectKeyFromObject(quota), quota)).To(Succeed())
				g.Expect(quota.Status.Hard).NotTo(BeEmpty())
			}).WithContext(ctx).Should(Succeed())
			change(ctx, gs, toVersion("v2"))
		}, v1alpha1.ReasonPodsNotStarting, "exceeded quota: two-pods", "raise the quota"),
		Entry("a name that is taken", func(ctx context.Context, gs *v1alpha1.GinService) {
			Expect(cluster.Client.Create(ctx, strangersDeployment(gs.Namespace, gs.Name+"-green"))).To(Succeed())
			change(ctx, gs, toVersion("v2"))
			await(ctx, gs, func(g Gomega) {
				g.Expect(condition(gs, v1alpha1.ConditionNameConflict).Status).To(Equal(metav1.ConditionTrue))
			})
			var theirs appsv1.Deployment
			Expect(cluster.Client.Get(ctx, client.ObjectKey{Namespace: gs.Namespace, Name: gs.Name + "-green"}, &theirs)).To(Succeed())
			Expect(theirs.OwnerReferences).To(BeEmpty())
			Expect(theirs.Spec.Template.Spec.Containers[0].Name).To(Equal("theirs"))
		}, v1alpha1.ReasonNameTaken, "hello-green"),
	)

	It("and crashes again and again never takes traffic, until a fix does", func(ctx SpecContext) {
		gs := hello(newNamespace(ctx), withReplicas(2), func(spec *v1alpha1.GinServiceSpec) { spec.ProgressDeadlineSeconds = new(int32(20)) })
		create(ctx, gs)
		serving := podsOf(ctx, gs, v1alpha1.Blue)
		traffic, seen := load(ctx, gs, 100), record(ctx, gs)
		change(ctx, gs, configured("LOG_LEVEL", "no such level"))
		await(ctx, gs, func(g Gomega) {
			g.Expect(gs.Status.Rollout.Step).To(Equal(v1alpha1.StepFailed))
			g.Expect(condition(gs, v1alpha1.ConditionReady).Reason).To(Equal(v1alpha1.ReasonProgressDeadlineExceeded))
		})
		Expect(condition(gs, v1alpha1.ConditionStalled).Status).To(Equal(metav1.ConditionTrue))
		Expect(condition(gs, v1alpha1.ConditionAvailable).Status).To(Equal(metav1.ConditionTrue))
		Expect(gs.Status.Rollout.Message).To(And(ContainSubstring("0 of 2 pods"), ContainSubstring("ends with exit code 1")))
		Eventually(func(g Gomega) {
			failures := 0
			for _, event := range eventsOf(ctx, gs, corev1.EventTypeWarning) {
				if event.Reason == "RolloutFailed" {
					failures += occurrences([]corev1.Event{event})
				}
			}
			g.Expect(failures).To(Equal(1))
		}).WithContext(ctx).Should(Succeed())
		expectUntouched(ctx, gs, serving, seen)

		By("fixing it")
		change(ctx, gs, configured("LOG_LEVEL", "warn"))
		awaitReady(ctx, gs)
		Expect(gs.Status.ActiveColor).To(Equal(v1alpha1.Green))
		expectAnswers(ctx, traffic, 2)
	})
})

// expectUntouched checks that the colour that served before does still, with the same pods, and alone all the time.
func expectUntouched(ctx context.Context, gs *v1alpha1.GinService, before []corev1.Pod, seen *recorder) {
	GinkgoHelper()
	Expect(gs.Status.ActiveColor).To(Equal(v1alpha1.Blue))
	Eventually(func(g Gomega) { // a probe may come late
		now := podsOf(ctx, gs, v1alpha1.Blue)
		g.Expect(uidsOf(now)).To(ConsistOf(uidsOf(before)))
		for i := range now {
			g.Expect(now[i].Status.ContainerStatuses[0].Ready).To(BeTrue())
			g.Expect(now[i].Status.ContainerStatuses[0].RestartCount).To(BeZero())
		}
	}).WithContext(ctx).Should(Succeed())
	sights, _ := seen.since(0)
	for _, s := range sights {
		Expect(s.alone(v1alpha1.Blue)).To(BeTrue(), "%+v", sights)
	}
}

// strangersDeployment is one that somebody else made, without pods.
func strangersDeployment(namespace, name string) *appsv1.Deployment {
	labels := map[string]string{"app": "theirs"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(0)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "theirs", Image: "localhost/theirs:v1"}}},
			},
		},
	}
}
