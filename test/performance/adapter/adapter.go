package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/gin-operator/gin-operator/test/controlplane"
	"github.com/gin-operator/gin-operator/test/performance/process"
)

// adapterName is that of its Service, and of the Secret with its certificate.
const adapterName = "gin-operator-metrics-adapter"

// startTimeout is how long the adapter may take to be ready.
const startTimeout = 2 * time.Minute

// adapter is the adapter's process.
type adapter struct {
	*process.Process

	address string
	// autoscaler has the rights of the one of Kubernetes, and admin has all.
	autoscaler, admin *http.Client
}

// startAdapter starts the adapter as its Deployment does, but for where it listens, what it knows the cluster by and that it does not register.
func startAdapter(ctx context.Context, o options, plane *controlplane.ControlPlane, failed func(error)) (*adapter, error) {
	args, env, err := settings(o.manifest)
	if err != nil {
		return nil, err
	}
	address, err := process.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	kubeconfig := plane.Kubeconfig()
	args = append(args, "--bind-address="+host, "--secure-port="+port, "--register=false", "--scrape-interval="+o.interval.String(),
		"--lister-kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig)
	if o.interval < 2*time.Second {
		args = append(args, "--scrape-timeout="+o.interval.String()) // whose default would be longer
	}
	p, err := process.Start("metrics-adapter", o.dir, env, failed, o.adapter, args...)
	if err != nil {
		return nil, fmt.Errorf("%w: `make bench-adapter` builds it", err)
	}
	return &adapter{Process: p, address: address}, nil
}

// settings returns the arguments and the environment that a Deployment gives the adapter.
func settings(manifest string) (args, env []string, err error) {
	text, err := os.ReadFile(manifest)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the adapter's settings: %w: run the benchmark in the project's folder", err)
	}
	var deployment appsv1.Deployment
	if err := yaml.UnmarshalStrict(text, &deployment); err != nil {
		return nil, nil, fmt.Errorf("reading the adapter's settings: %s: %w", manifest, err)
	}
	containers := deployment.Spec.Template.Spec.Containers
	if len(containers) != 1 {
		return nil, nil, fmt.Errorf("reading the adapter's settings: %s has %d containers, and one is expected", manifest, len(containers))
	}
	var known []string
	for _, variable := range containers[0].Env {
		value := variable.Value
		if source := variable.ValueFrom; source != nil && source.FieldRef != nil {
			switch source.FieldRef.FieldPath {
			case "metadata.namespace":
				value = deployment.Namespace
			case "metadata.name":
				value = deployment.Name
			default:
				continue // says which pod it is
			}
		}
		known = append(known, "$("+variable.Name+")", value)
		env = append(env, variable.Name+"="+value)
	}
	for _, arg := range containers[0].Args {
		args = append(args, strings.NewReplacer(known...).Replace(arg))
	}
	return args, env, nil
}

// connect makes the clients, and waits until the adapter is ready.
func (a *adapter) connect(ctx context.Context, plane *controlplane.ControlPlane) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("it had %s", startTimeout))
	defer cancel()
	bundle, err := authorities(ctx, plane.Config())
	if err != nil {
		return err
	}
	to := func(config *rest.Config) *rest.Config {
		config.Host, config.CAData, config.ServerName = "https://"+a.address, bundle, adapterName+"."+adapterNamespace+".svc"
		return config
	}
	// As kube-controller-manager does, whose rights for this come with Kubernetes.
	autoscaler, err := plane.AddServiceAccount(metav1.NamespaceSystem, "horizontal-pod-autoscaler")
	if err != nil {
		return err
	}
	if a.autoscaler, err = rest.HTTPClientFor(to(autoscaler)); err != nil {
		return fmt.Errorf("making the autoscaler's client: %w", err)
	}
	if a.admin, err = rest.HTTPClientFor(to(plane.Config())); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	for {
		ready, err := a.ready(ctx)
		if ready {
			return nil
		}
		if ended := wait(ctx, 100*time.Millisecond); ended != nil {
			return fmt.Errorf("waiting for the adapter to be ready: %w; %w", ended, err)
		}
	}
}

// authorities returns what the adapter's certificate is to be verified by, once it has made it.
func authorities(ctx context.Context, config *rest.Config) ([]byte, error) {
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	for {
		secret, err := c.CoreV1().Secrets(adapterNamespace).Get(ctx, adapterName, metav1.GetOptions{})
		if err == nil {
			return secret.Data["ca.crt"], nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("reading the adapter's Secret: %w", err)
		}
		if ended := wait(ctx, 100*time.Millisecond); ended != nil {
			return nil, fmt.Errorf("waiting for the adapter's Secret: %w", ended)
		}
	}
}

// ready reports whether the adapter is ready, or what keeps it.
func (a *adapter) ready(ctx context.Context) (bool, error) {
	_, err := a.get(ctx, a.admin, "/readyz")
	return err == nil, err
}

// get returns an answer of the adapter. Its error is that of the API where the adapter says no.
func (a *adapter) get(ctx context.Context, c *http.Client, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+a.address+path, http.NoBody) //nolint:gosec // the adapter is the benchmark's own
	if err != nil {
		return nil, err
	}
	response, err := c.Do(request) //nolint:gosec // as above
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = apierrors.NewGenericServerResponse(response.StatusCode, http.MethodGet, schema.GroupResource{}, "", string(body), 0, true)
	}
	return body, err
}

// usage is what the adapter has used and done since it began.
type usage struct {
	process.Usage

	scrapes, failures int
}

func (a *adapter) usage(ctx context.Context) (usage, error) {
	var u usage
	text, err := a.get(ctx, a.admin, "/metrics")
	if err != nil {
		return u, fmt.Errorf("asking the adapter for its own metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return u, fmt.Errorf("reading the adapter's own metrics: %w", err)
	}
	const durations, failures = "gin_operator_pod_scrape_duration_seconds", "gin_operator_pod_scrape_failures_total"
	if families[durations] == nil || families[failures] == nil {
		return u, fmt.Errorf("reading the adapter's own metrics: there is no %s or no %s", durations, failures)
	}
	for _, metric := range families[durations].GetMetric() {
		u.scrapes += int(metric.GetHistogram().GetSampleCount())
	}
	for _, metric := range families[failures].GetMetric() {
		u.failures += int(metric.GetCounter().GetValue())
	}
	u.Usage, err = a.Usage()
	return u, err
}
