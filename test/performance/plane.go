package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	operatorNamespace = "gin-operator-system"
	operatorAccount   = "gin-operator"
	userAccount       = "benchmark"
)

// site is where is measured: a control plane of the benchmark's own, or a cluster that was there before.
type site interface {
	// common is what all sites have.
	common() *plane
	// installOperator gives the operator's account its rights, and returns the path of its kubeconfig.
	installOperator(ctx context.Context) (string, error)
	// stop ends and removes what the benchmark made, also of a site that was not ready yet. The operator has to be stopped.
	stop() error
}

// plane is the cluster that is measured in, as the phases see it.
type plane struct {
	dir string
	// failed ends the run with a reason.
	failed func(error)
	scheme *runtime.Scheme
	// admin has all rights and is never throttled on this side: it watches, and sets things up.
	admin kubernetes.Interface
	// user is who creates GinServices, and plain is the client of the floor: the same account, as far from the head of the API server's
	// queues as the operator's.
	user     client.Client
	plain    *kubernetes.Clientset
	tracker  *tracker
	source   source
	workload workload
	// labels are those of each namespace that is made.
	labels map[string]string
	// admitUser gives the user its rights in a new namespace. Nil where it has them.
	admitUser func(ctx context.Context, namespace string) error
	// realPods says that pods take their time to end.
	realPods bool
}

func (p *plane) common() *plane { return p }

// say tells what happens. A run that nobody listens to any more ends.
func (p *plane) say(format string, args ...any) {
	if _, err := fmt.Printf("%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...)); err != nil {
		p.failed(fmt.Errorf("telling what happens: %w", err))
	}
}

// connectUser makes the clients that the load comes from.
func (p *plane) connectUser(config *rest.Config) error {
	var err error
	if p.user, err = client.New(config, client.Options{Scheme: p.scheme}); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if p.plain, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return nil
}

func (p *plane) createNamespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: p.labels}}
	if _, err := p.admin.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating namespace %s: %w", name, err)
	}
	if p.admitUser == nil {
		return nil
	}
	return p.admitUser(ctx, name)
}

// deleteNamespace deletes a namespace and waits until everything in it is gone.
func (p *plane) deleteNamespace(ctx context.Context, name string) error {
	namespaces := p.admin.CoreV1().Namespaces()
	if err := namespaces.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("deleting namespace %s: %w", name, err)
	}
	if err := p.hurryPods(ctx, name); err != nil {
		return err
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

// hurryPods gives the pods of a namespace that is being deleted a second for their end: no traffic is left that would need more.
func (p *plane) hurryPods(ctx context.Context, namespace string) error {
	if !p.realPods {
		return nil
	}
	err := p.admin.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](1)}, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("deleting the pods of namespace %s: %w", namespace, err)
	}
	return nil
}

// writeKubeconfig writes the operator's kubeconfig, for a client that is known by its certificate or its token, and returns its path.
func (p *plane) writeKubeconfig(config *rest.Config) (string, error) {
	path := filepath.Join(p.dir, "operator.kubeconfig")
	const name = "benchmark"
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	kubeconfig.CurrentContext = name
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		return "", fmt.Errorf("writing the operator's kubeconfig: %w", err)
	}
	return path, nil
}
