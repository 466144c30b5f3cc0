package monitoring

import (
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers"
	"github.com/gin-operator/gin-operator/test/controlplane"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

// startControlPlane starts one whose pods are ready at once, and returns a client that has all rights in it.
func startControlPlane(t *testing.T) (*controlplane.ControlPlane, client.Client) {
	t.Helper()
	plane, err := controlplane.Start(t.Context(), controlplane.WithControllerManager())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := kubelet.Start(t.Context(), plane.Config()); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), gatewayv1.Install(scheme)); err != nil {
		t.Fatal(err)
	}
	all, err := client.New(plane.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return plane, all
}

// startOperator starts an operator as main.go does, which leads and serves its metrics at an address, until the test ends.
func startOperator(t *testing.T, plane *controlplane.ControlPlane, scheme *runtime.Scheme, metrics string) {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	manager, err := ctrl.NewManager(plane.Config(), ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controllers.CacheOptions(""),
		Client:                        controllers.ClientOptions(),
		Metrics:                       metricsserver.Options{BindAddress: metrics},
		LeaderElection:                true,
		LeaderElectionID:              "gin-operator.apps.gin-operator.dev",
		LeaderElectionNamespace:       metav1.NamespaceDefault,
		LeaderElectionReleaseOnCancel: true,
		Controller:                    controllerconfig.Controller{SkipNameValidation: new(true)}, // for -count=2
	})
	if err != nil {
		t.Fatal(err)
	}
	reconciler := &controllers.Reconciler{Client: manager.GetClient(), Live: manager.GetAPIReader(), Clock: clock.RealClock{}}
	if err := reconciler.SetupWithManager(t.Context(), manager, 4); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(t.Context()) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// createService creates a GinService, and returns it when its first version serves.
func createService(t *testing.T, all client.Client) *v1alpha1.GinService {
	t.Helper()
	g := gomega.NewWithT(t)
	g.Expect(all.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})).To(gomega.Succeed())
	gs := &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "hello"}}
	gs.Spec.Image = "example.com/hello:v1"
	gs.Spec.Replicas = new(int32(2))
	gs.Spec.Strategy.BlueGreen.ScaleDownDelaySeconds = new(int32(0))
	g.Expect(all.Create(t.Context(), gs)).To(gomega.Succeed())
	awaitRollout(t, all, gs, "")
	return gs
}

// promoteAnother has a second version of a GinService promoted.
func promoteAnother(t *testing.T, all client.Client, gs *v1alpha1.GinService) {
	t.Helper()
	first, before := gs.Status.ActiveRevision, gs.DeepCopy()
	gs.Spec.Image = "example.com/hello:v2"
	gomega.NewWithT(t).Expect(all.Patch(t.Context(), gs, client.MergeFrom(before))).To(gomega.Succeed())
	awaitRollout(t, all, gs, first)
}

// awaitRollout waits until another revision than the last one serves, and all is done, and reads the GinService as it is then.
func awaitRollout(t *testing.T, all client.Client, gs *v1alpha1.GinService, last string) {
	t.Helper()
	gomega.NewWithT(t).Eventually(func(g gomega.Gomega) {
		g.Expect(all.Get(t.Context(), client.ObjectKeyFromObject(gs), gs)).To(gomega.Succeed())
		g.Expect(gs.Status.ObservedGeneration).To(gomega.Equal(gs.Generation))
		g.Expect(gs.Status.ActiveRevision).NotTo(gomega.Equal(last))
		g.Expect(gs.Status.Rollout).NotTo(gomega.BeNil())
		g.Expect(gs.Status.Rollout.Step).To(gomega.Equal(v1alpha1.StepCompleted))
		g.Expect(apimeta.IsStatusConditionTrue(gs.Status.Conditions, v1alpha1.ConditionReady)).To(gomega.BeTrue())
	}).WithTimeout(time.Minute).WithPolling(50 * time.Millisecond).Should(gomega.Succeed())
}
