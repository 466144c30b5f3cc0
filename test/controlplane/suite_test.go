package controlplane_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gin-operator/gin-operator/test/controlplane"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

func TestControlPlane(t *testing.T) {
	RegisterFailHandler(Fail)
	log.SetLogger(GinkgoLogr)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "Control plane")
}

var (
	cp       *controlplane.ControlPlane
	client   kubernetes.Interface
	node     *kubelet.Kubelet
	auditLog string
)

var _ = BeforeSuite(func(ctx context.Context) {
	auditLog = filepath.Join(GinkgoT().TempDir(), "audit.log")
	var err error
	cp, err = controlplane.Start(ctx, controlplane.WithControllerManager(), controlplane.WithAuditLog(auditLog))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cp.Stop)
	client, err = kubernetes.NewForConfig(cp.Config())
	Expect(err).NotTo(HaveOccurred())
	running, stop := context.WithCancel(context.Background())
	DeferCleanup(stop)
	node, err = kubelet.Start(running, cp.Config())
	Expect(err).NotTo(HaveOccurred())
})
