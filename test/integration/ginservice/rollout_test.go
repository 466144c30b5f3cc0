package ginservice

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

var _ = Describe("a rollout", func() {
	It("brings up blue, then moves traffic to green and lets blue go", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		op := startOperator()
		gs := &v1alpha1.GinService{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hello"},
			Spec: v1alpha1.GinServiceSpec{
				WorkloadSpec: v1alpha1.WorkloadSpec{Image: "example.com/hello:v1", Config: map[string]string{"A": "1"}},
				Autoscaling:  &v1alpha1.Autoscaling{MinReplicas: new(int32(2)), MaxReplicas: 5},
			},
		}
		gs.Spec.Strategy.BlueGreen.ScaleDownDelaySeconds = new(int32(1))
		Expect(k8s.Create(ctx, gs)).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(gs), gs)).To(Succeed())
			g.Expect(apimeta.IsStatusConditionTrue(gs.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue(), "%+v", gs.Status)
		}).WithContext(ctx).Should(Succeed())
		fmt.Fprintln(GinkgoWriter, op.requests.Snapshot())
		gs.Spec.Image = "example.com/hello:v2"
		Expect(k8s.Update(ctx, gs)).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(gs), gs)).To(Succeed())
			g.Expect(gs.Status.Rollout.Step).To(Equal(v1alpha1.StepCompleted), "%+v", gs.Status)
			g.Expect(gs.Status.ActiveColor).To(Equal(v1alpha1.Green))
		}).WithContext(ctx).Should(Succeed())
		fmt.Fprintln(GinkgoWriter, op.requests.Snapshot())
		for _, r := range op.requests.Log() {
			fmt.Fprintln(GinkgoWriter, r)
		}
	})
})

func newNamespace(ctx SpecContext) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	Expect(k8s.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}
