package testbed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
)

// Cluster is a real cluster.
type Cluster struct {
	// Root is the folder of the checkout.
	Root string
	// Kubeconfig is the path of its kubeconfig.
	Kubeconfig string
	// Own says whether it is the cluster that hack/cluster runs on this machine.
	Own bool
	// Started says whether Open started it, so that Close takes it down.
	Started bool
	// Config reaches its API server, without a client-side throttle.
	Config *rest.Config
	// Client sees the API server, not a cache.
	Client client.WithWatch
	// Clientset is for what Client can't do: logs and proxies.
	Clientset kubernetes.Interface

	out    io.Writer
	images imageStore
}

// notRunning is the exit status of `bin/cluster status` for a cluster that is down.
const notRunning = 3

// Open returns the cluster that the environment names, or this checkout's own, which it starts or repairs. What happens goes to out.
func Open(ctx context.Context, out io.Writer) (*Cluster, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Root: root, out: out, Kubeconfig: filepath.Join(root, ".cluster", "kubeconfig")}
	given := cmp.Or(os.Getenv("E2E_KUBECONFIG"), os.Getenv("KUBECONFIG"))
	registry := os.Getenv("REGISTRY")
	switch {
	case given == "" && registry != "":
		return nil, errors.New("REGISTRY is set, but not KUBECONFIG: set it too to use a cluster of yours, or unset REGISTRY for one on this machine")
	case given == "" || sameFile(given, c.Kubeconfig):
		c.Own = true
		c.images = &localImages{cluster: c}
		if err := c.start(ctx); err != nil {
			return nil, err
		}
	case registry == "":
		return nil, fmt.Errorf("KUBECONFIG is %s: to use that cluster, set REGISTRY to where its images are to be pushed, such as "+
			"registry.example.com/team; unset KUBECONFIG for a cluster on this machine", given)
	default:
		c.Kubeconfig = given
		c.images = &pushedImages{cluster: c, registry: registry, insecure: os.Getenv("REGISTRY_INSECURE") == "1", names: map[string]string{}}
	}
	if err := c.connect(); err != nil {
		return nil, errors.Join(err, c.Close(ctx))
	}
	return c, nil
}

// Close takes the cluster down if Open has started it.
func (c *Cluster) Close(ctx context.Context) error {
	if !c.Started {
		return nil
	}
	c.Started = false
	return c.stream(ctx, c.bin("cluster"), "down", "--keep-logs")
}

func (c *Cluster) start(ctx context.Context) error {
	status := c.command(ctx, c.bin("cluster"), "status")
	err := status.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("asking for the state of the cluster (`make bin/cluster` builds the program): %w", err)
	}
	c.Started = exit != nil && exit.ExitCode() == notRunning
	if err := c.stream(ctx, c.bin("cluster"), "up"); err != nil {
		c.Started = false
		return fmt.Errorf("starting the cluster: %w", err)
	}
	return nil
}

func (c *Cluster) connect() error {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return fmt.Errorf("reading %s: %w", c.Kubeconfig, err)
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), gatewayv1.Install(scheme), monitoring.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	c.Config = config
	if c.Client, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("reaching the cluster of %s: %w", c.Kubeconfig, err)
	}
	if c.Clientset, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("reaching the cluster of %s: %w", c.Kubeconfig, err)
	}
	return nil
}

// findRoot returns the folder of the checkout: the nearest above the working directory that has the operator's go.mod and config.
func findRoot() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for folder := here; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "config", "default", "kustomization.yaml")); err == nil {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("%s is in no clone of the project: run this from one", here)
		}
	}
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return filepath.Clean(a) == b
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}
