// Package ginservice tests the operator against a real API server and the real controllers behind it. Only the node is played.
package ginservice

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
	"github.com/gin-operator/gin-operator/test/controlplane"
	"github.com/gin-operator/gin-operator/test/counting"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

var (
	plane  *controlplane.ControlPlane
	node   *kubelet.Kubelet
	k8s    client.Client // sees the API server, not a cache
	scheme = runtime.NewScheme()
)

func TestGinService(t *testing.T) {
	RegisterFailHandler(Fail)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	SetDefaultConsistentlyDuration(2 * time.Second)
	RunSpecs(t, "GinService")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	Expect(gatewayv1.Install(scheme)).To(Succeed())
	Expect(monitoring.AddToScheme(scheme)).To(Succeed())
	ctrl.SetLogger(logr.Discard())
	var err error
	// Nothing here takes the API server ten seconds, but for what is to hang, and a minute would be long to wait for that.
	plane, err = controlplane.Start(ctx, controlplane.WithControllerManager(), controlplane.WithAPIServerFlags("--request-timeout=10s"))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() error { return plane.Stop() })
	life, end := context.WithCancel(context.Background())
	DeferCleanup(end)
	node, err = kubelet.Start(life, plane.Config())
	Expect(err).NotTo(HaveOccurred())
	k8s, err = client.New(plane.Config(), client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

// operator is one that runs in this process, as main.go sets it up.
type operator struct {
	// requests counts what it asks of the API server.
	requests *counting.Counter
	stop     func()
}

// startOperator starts an operator, which ends with the spec, or earlier by its stop.
func startOperator(configure ...func(*controllers.Reconciler)) *operator {
	GinkgoHelper()
	return startOperatorAs(plane.Config(), configure...)
}

func startOperatorAs(cfg *rest.Config, configure ...func(*controllers.Reconciler)) *operator {
	GinkgoHelper()
	return startOperatorIn("", cfg, configure...)
}

// startOperatorIn starts one that looks after a namespace, or after all of them.
func startOperatorIn(namespace string, cfg *rest.Config, configure ...func(*controllers.Reconciler)) *operator {
	GinkgoHelper()
	o := &operator{requests: &counting.Counter{}}
	o.requests.KeepLog()
	cfg.Wrap(o.requests.Wrap)
	manager, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:     scheme,
		Cache:      controllers.CacheOptions(namespace),
		Client:     controllers.ClientOptions(),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: controllerconfig.Controller{SkipNameValidation: new(true)},
	})
	Expect(err).NotTo(HaveOccurred())
	life, cancel := context.WithCancel(context.Background())
	reconciler := &controllers.Reconciler{
		Client: manager.GetClient(), Live: manager.GetAPIReader(), Clock: clock.RealClock{},
	}
	for _, change := range configure {
		change(reconciler)
	}
	Expect(reconciler.SetupWithManager(life, manager, 8)).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(life) }()
	Expect(manager.GetCache().WaitForCacheSync(life)).To(BeTrue())
	var stopped bool
	o.stop = func() {
		GinkgoHelper()
		if !stopped {
			stopped = true
			cancel()
			Eventually(ended).Should(Receive(BeNil()))
		}
	}
	DeferCleanup(o.stop)
	return o
}
