package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// ControlPlane is a control plane that runs.
type ControlPlane struct {
	plane      *envtest.ControlPlane
	admin      *rest.Config
	dir        *workDir
	daemons    []*daemon
	kubeconfig string
	assets     string
}

// Start starts a control plane and waits until all its servers are healthy; ctx ends the wait early, except for
// etcd and kube-apiserver, which have a minute each. The error says which server did not start and shows the end of its log.
// Whoever gets a ControlPlane has to Stop it.
func Start(ctx context.Context, opts ...Option) (_ *ControlPlane, err error) {
	o := &options{}
	for _, opt := range opts {
		opt(o)
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	assets, err := findAssets(root)
	if err != nil {
		return nil, err
	}
	dir, err := newWorkDir(o.logs)
	if err != nil {
		return nil, err
	}
	cp := &ControlPlane{dir: dir, assets: assets, kubeconfig: filepath.Join(dir.path, "kubeconfig")}
	defer func() {
		if err != nil {
			err = errors.Join(err, cp.Stop())
		}
	}()
	if err := cp.startAPIServer(ctx, o, append([]string{filepath.Join(root, "config", "crd", "bases")}, o.crdPaths...)); err != nil {
		return nil, err
	}
	for _, s := range o.servers {
		d, err := cp.startServer(ctx, s)
		if err != nil {
			return nil, err
		}
		cp.daemons = append(cp.daemons, d)
	}
	return cp, nil
}

// Config returns a new configuration for a client with all rights and no throttle.
func (cp *ControlPlane) Config() *rest.Config { return unthrottled(cp.admin) }

// Kubeconfig returns the path of a kubeconfig with all rights, for kubectl and for other processes.
func (cp *ControlPlane) Kubeconfig() string { return cp.kubeconfig }

// Binary returns the path of a Kubernetes binary, such as "kubectl", of the version that runs.
func (cp *ControlPlane) Binary(name string) string { return filepath.Join(cp.assets, name) }

// AddUser returns the configuration of a client that is this user, in these groups, and has the rights that RBAC gives them:
// none, unless a test grants some.
func (cp *ControlPlane) AddUser(name string, groups ...string) (*rest.Config, error) {
	user, err := cp.plane.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		return nil, fmt.Errorf("adding user %s: %w", name, err)
	}
	return unthrottled(user.Config()), nil
}

// AddServiceAccount returns the configuration of a client that has the rights of a ServiceAccount. The account need not exist.
func (cp *ControlPlane) AddServiceAccount(namespace, name string) (*rest.Config, error) {
	return cp.AddUser("system:serviceaccount:"+namespace+":"+name, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
}

// Stop stops all servers, the ones that depend on others first, and removes their data. It may be called more than once.
func (cp *ControlPlane) Stop() error {
	var errs []error
	for _, daemon := range slices.Backward(cp.daemons) {
		errs = append(errs, daemon.stop())
	}
	cp.daemons = nil
	if cp.plane != nil {
		errs = append(errs, cp.plane.Stop())
		cp.plane = nil
	}
	return errors.Join(append(errs, cp.dir.remove())...)
}

// startAPIServer starts etcd and kube-apiserver and installs the CustomResourceDefinitions. It does without envtest.Environment,
// which leaves certificates for webhooks behind, and tries a server that does not start five times.
func (cp *ControlPlane) startAPIServer(ctx context.Context, o *options, crds []string) error {
	plane := &envtest.ControlPlane{KubectlPath: cp.Binary("kubectl"), Etcd: &envtest.Etcd{}}
	etcd, apiServer := plane.Etcd, plane.GetAPIServer()
	etcd.StartTimeout, apiServer.StartTimeout = time.Minute, time.Minute
	var err error
	if etcd.Path, etcd.DataDir, err = cp.dir.prepare(cp.assets, "etcd"); err != nil {
		return err
	}
	if apiServer.Path, apiServer.CertDir, err = cp.dir.prepare(cp.assets, "kube-apiserver"); err != nil {
		return err
	}
	etcdLog, err := cp.dir.log("etcd")
	if err != nil {
		return err
	}
	defer closeQuietly(etcdLog)
	apiServerLog, err := cp.dir.log("kube-apiserver")
	if err != nil {
		return err
	}
	defer closeQuietly(apiServerLog)
	etcd.Out, etcd.Err, apiServer.Out, apiServer.Err = etcdLog, etcdLog, apiServerLog, apiServerLog
	if err := cp.configureAudit(apiServer, o.auditLog); err != nil {
		return err
	}
	for _, flag := range o.apiServerFlags {
		name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		apiServer.Configure().Set(name, value)
	}
	cp.plane = plane
	if err := plane.Start(); err != nil {
		return fmt.Errorf("starting etcd and kube-apiserver: %w\n%s%s", err, cp.dir.tail("etcd"), cp.dir.tail("kube-apiserver"))
	}
	return cp.prepareAPI(ctx, crds)
}

// prepareAPI makes the client with all rights, and waits for what its users count on: the namespace default, and the CRDs, also where clients
// look for what the API server has.
func (cp *ControlPlane) prepareAPI(ctx context.Context, crds []string) error {
	admin, err := cp.plane.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return fmt.Errorf("adding user admin: %w", err)
	}
	cp.admin = unthrottled(admin.Config())
	kubeconfig, err := admin.KubeConfig()
	if err != nil {
		return fmt.Errorf("making the kubeconfig: %w", err)
	}
	if err := os.WriteFile(cp.kubeconfig, kubeconfig, 0o600); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	installed, err := envtest.InstallCRDs(cp.admin, envtest.CRDInstallOptions{Paths: crds, ErrorIfPathMissing: true})
	if err != nil {
		return fmt.Errorf("installing CustomResourceDefinitions: %w", err)
	}
	client, err := kubernetes.NewForConfig(cp.admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	err = wait.PollUntilContextTimeout(ctx, pollInterval, startTimeout, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for namespace default: %w", err)
	}
	err = wait.PollUntilContextTimeout(ctx, pollInterval, startTimeout, true, func(context.Context) (bool, error) {
		found, err := client.Discovery().ServerGroups()
		return err == nil && !slices.ContainsFunc(installed, func(crd *apiextensionsv1.CustomResourceDefinition) bool {
			return !slices.ContainsFunc(found.Groups, func(group metav1.APIGroup) bool { return group.Name == crd.Spec.Group })
		}), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the groups of CustomResourceDefinitions: %w", err)
	}
	return nil
}

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  omitManagedFields: true
`

func (cp *ControlPlane) configureAudit(apiServer *envtest.APIServer, path string) error {
	if path == "" {
		return nil
	}
	policy := filepath.Join(cp.dir.path, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return fmt.Errorf("writing the audit policy: %w", err)
	}
	apiServer.Configure().
		Set("audit-policy-file", policy).
		Set("audit-log-path", path).
		Set("audit-log-mode", "batch").
		// A full buffer drops entries, so it holds more than the API server can answer until the next batch.
		Set("audit-log-batch-buffer-size", "100000").
		Set("audit-log-batch-max-size", "1000").
		Set("audit-log-batch-max-wait", "250ms").
		Set("audit-log-maxsize", "4096")
	return nil
}

func unthrottled(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = -1, 0
	return cfg
}
