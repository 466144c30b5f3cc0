package main

import (
	"context"
	_ "embed" // stages.yaml
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/controlplane"
	"github.com/gin-operator/gin-operator/test/performance/process"
)

const nodeName = "simulated"

//go:embed stages.yaml
var stages []byte

// ownSite is a control plane that the benchmark starts, with simulated pods. Its audit log has the operator's requests.
type ownSite struct {
	*plane
	*controlplane.ControlPlane

	kwok *process.Process
}

// startOwnSite starts the control plane, the simulated node and the watches.
func startOwnSite(ctx context.Context, dir string, failed func(error)) (*ownSite, error) {
	audit := &auditLog{path: filepath.Join(dir, "audit.log"), user: "system:serviceaccount:" + operatorNamespace + ":" + operatorAccount}
	p := &ownSite{plane: &plane{dir: dir, failed: failed, scheme: runtime.NewScheme(), source: audit, workload: simulated}}
	if err := errors.Join(clientgoscheme.AddToScheme(p.scheme), v1alpha1.AddToScheme(p.scheme)); err != nil {
		return p, err
	}
	var err error
	p.ControlPlane, err = controlplane.Start(ctx,
		controlplane.WithAuditLog(audit.path),
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
	if err := p.startKWOK(ctx); err != nil {
		return p, err
	}
	p.tracker, err = watch(ctx, p.Config(), p.scheme)
	return p, err
}

func (p *ownSite) makeUser(ctx context.Context) error {
	const namespace = metav1.NamespaceDefault
	config, err := p.AddServiceAccount(namespace, userAccount)
	if err != nil {
		return err
	}
	if err := p.connectUser(config); err != nil {
		return err
	}
	_, err = p.admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: userAccount},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: userAccount}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("giving the benchmark its rights: %w", err)
	}
	return nil
}

// startKWOK starts the simulation and waits until its node takes pods.
func (p *ownSite) startKWOK(ctx context.Context) error {
	config := filepath.Join(p.dir, "stages.yaml")
	if err := os.WriteFile(config, stages, 0o600); err != nil {
		return fmt.Errorf("writing KWOK's configuration: %w", err)
	}
	program := p.Binary("kwok")
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("finding kwok: %w: run `make bench`, which builds it", err)
	}
	var err error
	p.kwok, err = process.Start("kwok", p.dir, nil, p.failed, program, "--kubeconfig", p.Kubeconfig(), "--config", config, "--manage-all-nodes",
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

func (p *ownSite) installOperator(ctx context.Context) (string, error) {
	if err := p.createNamespace(ctx, operatorNamespace); err != nil {
		return "", err
	}
	kubectl := exec.CommandContext(ctx, p.Binary("kubectl"), "--kubeconfig", p.Kubeconfig(), "apply", "-k", filepath.Join("config", "rbac"))
	if out, err := kubectl.CombinedOutput(); err != nil {
		return "", fmt.Errorf("applying config/rbac: %w: run the benchmark in the project's folder\n%s", err, out)
	}
	config, err := p.AddServiceAccount(operatorNamespace, operatorAccount)
	if err != nil {
		return "", err
	}
	return p.writeKubeconfig(config)
}

// stop stops everything, in order.
func (p *ownSite) stop() error {
	var errs []error
	if p.kwok != nil {
		errs = append(errs, p.kwok.Stop())
	}
	if p.ControlPlane != nil {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}
