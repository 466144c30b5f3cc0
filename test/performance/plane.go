package main

import (
	"context"
	_ "embed" // stages.yaml
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/controlplane"
)

const (
	operatorNamespace = "gin-operator-system"
	operatorAccount   = "gin-operator"
	nodeName          = "simulated"
)

//go:embed stages.yaml
var stages []byte

// plane is the cluster that is measured in.
type plane struct {
	*controlplane.ControlPlane

	dir    string
	kwok   *process
	scheme *runtime.Scheme
	// admin has all rights and is never throttled: it watches, and sets things up.
	admin *kubernetes.Clientset
	// user is who creates GinServices, and plain is the client of the floor: the same account, as far from the head of the API server's
	// queues as the operator's.
	user    client.Client
	plain   *kubernetes.Clientset
	tracker *tracker
	audit   *auditLog
}

// startPlane starts the control plane, the simulated node and the watches. The plane that it returns has to be stopped, also with an error.
func startPlane(ctx context.Context, dir string, failed func(error)) (*plane, error) {
	p := &plane{dir: dir, scheme: runtime.NewScheme(), audit: &auditLog{
		path: filepath.Join(dir, "audit.log"), user: "system:serviceaccount:" + operatorNamespace + ":" + operatorAccount,
	}}
	if err := errors.Join(clientgoscheme.AddToScheme(p.scheme), v1alpha1.AddToScheme(p.scheme)); err != nil {
		return p, err
	}
	var err error
	p.ControlPlane, err = controlplane.Start(ctx,
		controlplane.WithAuditLog(p.audit.path),
		controlplane.WithLogs(dir),
		// Room for the Services of thousands of GinServices.
		controlplane.WithAPIServerFlags("--service-cluster-ip-range=198.19.0.0/17"),
		// The autoscaler's pace is that of Kubernetes' defaults, not the tests'.
		controlplane.WithControllerManager("--horizontal-pod-autoscaler-sync-period=15s",
			"--horizontal-pod-autoscaler-initial-readiness-delay=30s", "--horizontal-pod-autoscaler-cpu-initialization-period=5m"),
		controlplane.WithScheduler())
	if err != nil {
		return p, err
	}
	if p.admin, err = kubernetes.NewForConfig(p.Config()); err != nil {
		return p, fmt.Errorf("making a client: %w", err)
	}
	if err := p.makeUser(ctx); err != nil {
		return p, err
	}
	if err := p.startKWOK(ctx, failed); err != nil {
		return p, err
	}
	p.tracker, err = watch(ctx, p.Config(), p.scheme)
	return p, err
}

func (p *plane) makeUser(ctx context.Context) error {
	const namespace, name = "default", "benchmark"
	config, err := p.AddServiceAccount(namespace, name)
	if err != nil {
		return err
	}
	if p.user, err = client.New(config, client.Options{Scheme: p.scheme}); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if p.plain, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	_, err = p.admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("giving the benchmark its rights: %w", err)
	}
	return nil
}

// startKWOK starts the simulation and waits until its node takes pods.
func (p *plane) startKWOK(ctx context.Context, failed func(error)) error {
	config := filepath.Join(p.dir, "stages.yaml")
	if err := os.WriteFile(config, stages, 0o600); err != nil {
		return fmt.Errorf("writing KWOK's configuration: %w", err)
	}
	program := p.Binary("kwok")
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("finding kwok: %w: run `make bench`, which builds it", err)
	}
	var err error
	p.kwok, err = start("kwok", p.dir, nil, failed, program, "--kubeconfig", p.Kubeconfig(), "--config", config, "--manage-all-nodes",
		"--cidr", "198.19.128.0/17")
	if err != nil {
		return err
	}
	nodes := p.admin.CoreV1().Nodes()
	if _, err := nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName}}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making the node: %w", err)
	}
	// The API server taints each new node as not ready, and the controller that would take that back does not run.
	if _, err := nodes.Patch(ctx, nodeName, types.MergePatchType, []byte(`{"spec":{"taints":null}}`), metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("removing the taint of the node: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, fmt.Errorf("it had %s", waitTimeout))
	defer cancel()
	return poll(ctx, func() (bool, error) {
		node, err := nodes.Get(ctx, nodeName, metav1.GetOptions{})
		if err != nil {
			return false, fmt.Errorf("waiting for the node: %w", err)
		}
		return len(node.Status.Conditions) > 0 && !node.Status.Allocatable.Pods().IsZero(), nil
	})
}

// stop stops everything, in order.
func (p *plane) stop() error {
	var errs []error
	if p.kwok != nil {
		errs = append(errs, p.kwok.stop())
	}
	if p.ControlPlane != nil {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}

func (p *plane) createNamespace(ctx context.Context, name string) error {
	_, err := p.admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating namespace %s: %w", name, err)
	}
	return nil
}

// deleteNamespace deletes a namespace and waits until everything in it is gone.
func (p *plane) deleteNamespace(ctx context.Context, name string) error {
	namespaces := p.admin.CoreV1().Namespaces()
	if err := namespaces.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("deleting namespace %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, fmt.Errorf("it had %s", waitTimeout))
	defer cancel()
	err := poll(ctx, func() (bool, error) {
		_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
		return err != nil, client.IgnoreNotFound(err)
	})
	if err != nil {
		return fmt.Errorf("waiting for namespace %s to be gone: %w", name, err)
	}
	return nil
}

// writeKubeconfig writes a kubeconfig for a client that is known by its certificate.
func writeKubeconfig(path string, config *rest.Config) error {
	const name = "benchmark"
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	kubeconfig.CurrentContext = name
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		return fmt.Errorf("writing the operator's kubeconfig: %w", err)
	}
	return nil
}
