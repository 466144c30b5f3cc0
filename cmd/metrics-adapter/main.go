// Command metrics-adapter lets HorizontalPodAutoscalers scale GinServices on what their pods expose: it scrapes the ready pods of every GinService that
// has a metric of type Pods, or that another one has a metric of, and serves custom.metrics.k8s.io, v1beta1 and v1beta2, from that. Any number of
// replicas may run: each scrapes for itself. What they write is the Secret with their certificate and the APIServices that lead to them, and nothing to
// disk.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/component-base/logs"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	adaptermetrics "sigs.k8s.io/custom-metrics-apiserver/pkg/apiserver/metrics"
	basecmd "sigs.k8s.io/custom-metrics-apiserver/pkg/cmd"
	basecmdoptions "sigs.k8s.io/custom-metrics-apiserver/pkg/cmd/options"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/podmetrics"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = ""

// allowLoopback lets pods be on this machine, which test/performance/adapter plays them on. Only a build can set it: -ldflags
// "-X main.allowLoopback=yes". No flag and no variable of the environment does, for whoever could write the status of a pod would reach with it
// what trusts the adapter's node.
var allowLoopback = ""

// options are the flags, besides those of the API server.
type options struct {
	interval time.Duration
	timeout  time.Duration
	window   time.Duration
	maxBytes int64
	workers  int
	version  bool

	namespace    string
	service      string
	secret       string
	authorities  string
	register     bool
	registerRole string
}

// newAdapter returns an adapter and its options, which are filled when its flags are parsed.
func newAdapter(flags *pflag.FlagSet) (*basecmd.AdapterBase, *options) {
	adapter := &basecmd.AdapterBase{Name: "gin-operator-metrics-adapter", FlagSet: flags}
	adapter.CustomMetricsAdapterServerOptions = basecmdoptions.NewCustomMetricsAdapterServerOptions()
	adapter.SecureServing.BindPort = 6443               // the default is a port that takes a right
	adapter.SecureServing.ServerCert.CertDirectory = "" // the default is one that can't be written to
	// Autoscalers ask every 15 s. Remembered for the default of 10, the permission of each would be asked for again with every question. The kubelet
	// remembers as long.
	adapter.Authorization.AllowCacheTTL = 5 * time.Minute
	adapter.InstallFlags()
	o := &options{}
	// An autoscaler that asks two seconds after a step of load is to see it.
	flags.DurationVar(&o.interval, "scrape-interval", 2*time.Second, "Time from one scrape of a pod to the next.")
	flags.DurationVar(&o.timeout, "scrape-timeout", 2*time.Second, "Time that a pod has to answer.")
	flags.DurationVar(&o.window, "window", 15*time.Second, "Time over which rates and quantiles are taken. A rate of at least twice as much over the newest two scrapes counts in its place.")
	flags.Int64Var(&o.maxBytes, "max-response-bytes", 4<<20, "Largest answer of a pod that is read, in bytes.")
	flags.IntVar(&o.workers, "scrape-workers", 32, "Number of pods that are scraped at once.")
	flags.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "Namespace of the adapter.")
	flags.StringVar(&o.service, "service", fieldOwner, "Name of the Service in front of the adapter, on port 443.")
	flags.StringVar(&o.secret, "certificate-secret", fieldOwner, "Name of the Secret that all replicas keep their certificate in. Without effect where --tls-cert-file is set.")
	flags.StringVar(&o.authorities, "tls-ca-file", "", "File with the authorities that --tls-cert-file is verified by, for the APIServices.")
	flags.BoolVar(&o.register, "register", true, "Register as the server of custom.metrics.k8s.io where nobody else is.")
	flags.StringVar(&o.registerRole, "register-with", fieldOwner, "Name of the ClusterRole with which the registration is to be deleted.")
	flags.BoolVar(&o.version, "version", false, "Print the version and exit.")
	return adapter, o
}

func (o *options) validate(args []string, certificate string) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("unexpected argument %q: all settings are flags, see --help", args[0])
	case o.interval < time.Second:
		return fmt.Errorf("--scrape-interval is %s: it must be at least 1s", o.interval)
	case o.timeout <= 0 || o.timeout > o.interval:
		return fmt.Errorf("--scrape-timeout is %s: it must be greater than 0, and not greater than --scrape-interval (%s)", o.timeout, o.interval)
	case o.window < o.interval || o.window > time.Hour:
		return fmt.Errorf("--window is %s: it must be from --scrape-interval (%s) to 1h", o.window, o.interval)
	case o.maxBytes < 1 || o.workers < 1:
		return errors.New("--max-response-bytes and --scrape-workers must be greater than 0")
	case o.namespace == "" || o.service == "":
		return errors.New("--namespace and --service must not be empty: the API server finds the adapter, and verifies its certificate, by them")
	case certificate != "" && o.register && o.authorities == "":
		return errors.New("--tls-cert-file needs --tls-ca-file, by which the API server is to verify it, or --register=false")
	case certificate == "" && o.authorities != "":
		return errors.New("--tls-ca-file needs --tls-cert-file and --tls-private-key-file")
	case certificate == "" && o.secret == "":
		return errors.New("--certificate-secret must not be empty where --tls-cert-file is")
	}
	return nil
}

func main() {
	flags := pflag.NewFlagSet("metrics-adapter", pflag.ContinueOnError)
	logs.InitLogs()
	adapter, o := newAdapter(flags)
	err := flags.Parse(os.Args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err == nil && !o.version {
		err = o.validate(flags.Args(), adapter.SecureServing.ServerCert.CertKey.CertFile)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "metrics-adapter:", err)
		os.Exit(2)
	}
	if o.version {
		fmt.Fprintln(os.Stdout, buildVersion())
		return
	}
	ctrl.SetLogger(klog.Background())
	if err := run(ctrl.SetupSignalHandler(), adapter, o); err != nil {
		klog.Background().Error(err, "Stopping")
		logs.FlushLogs()
		os.Exit(1)
	}
	logs.FlushLogs()
}

// run serves until the context ends.
func run(ctx context.Context, adapter *basecmd.AdapterBase, o *options) error {
	config, err := adapter.ClientConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	config.UserAgent = "gin-operator-metrics-adapter/" + buildVersion()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), eventsv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Cache: cacheOptions(),
		// The API server serves them, to those only whom the cluster authorizes.
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		return fmt.Errorf("setting up the caches: %w", err)
	}
	scraper, err := podmetrics.New(podmetrics.Options{
		Interval: o.interval, Timeout: o.timeout, Keep: o.window + 2*o.interval, MaxBytes: o.maxBytes, Workers: o.workers, Registerer: legacyregistry.Registerer(),
		AllowLoopback: allowLoopback == "yes",
	})
	if err != nil {
		return err
	}
	defer scraper.Close()
	// Known before the cache starts, so that it counts as filled only with them.
	for _, object := range []client.Object{&v1alpha1.GinService{}, &corev1.Pod{}} {
		if _, err := manager.GetCache().GetInformer(ctx, object); err != nil {
			return fmt.Errorf("setting up the caches: %w", err)
		}
	}
	if err := manager.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, serviceIndex, indexByService); err != nil {
		return fmt.Errorf("setting up the caches: %w", err)
	}
	if err := (&targets{client: manager.GetClient(), scraper: scraper}).setup(manager); err != nil {
		return fmt.Errorf("setting up the controller: %w", err)
	}
	if err := adaptermetrics.RegisterMetrics(legacyregistry.Register); err != nil {
		return fmt.Errorf("registering the API server's metrics: %w", err)
	}
	adapter.WithCustomMetrics(&provider{client: manager.GetClient(), reader: scraper, window: o.window, interval: o.interval, clock: clock.RealClock{}})
	server, err := newServer(ctx, manager, adapter, o)
	if err != nil {
		return err
	}
	return serve(ctx, manager, server, 2*o.interval+o.timeout)
}

// newServer returns the API server, with credentials, and has those and the registration kept.
func newServer(ctx context.Context, manager ctrl.Manager, adapter *basecmd.AdapterBase, o *options) (*genericapiserver.GenericAPIServer, error) {
	for _, collector := range []prometheus.Collector{registered, certificateEnd, keepFailures} {
		if err := legacyregistry.Registerer().Register(collector); err != nil {
			return nil, fmt.Errorf("registering the adapter's metrics: %w", err)
		}
	}
	own := &certificates{
		live: manager.GetAPIReader(), client: manager.GetClient(), clock: clock.RealClock{},
		secret: types.NamespacedName{Namespace: o.namespace, Name: o.secret},
		host:   o.service + "." + o.namespace + ".svc", replica: cmp.Or(os.Getenv("POD_NAME"), fieldOwner),
	}
	k := &keeper{credentials: own, every: keepEvery}
	pair := adapter.SecureServing.ServerCert.CertKey
	if pair.CertFile != "" {
		k.credentials = files{certificate: pair.CertFile, key: pair.KeyFile, authorities: o.authorities}
	}
	if o.register {
		k.registration = newRegistration(manager, k.credentials, o)
	}
	if err := manager.Add(k); err != nil {
		return nil, err
	}
	if err := k.credentials.refresh(ctx); err != nil {
		return nil, err
	}
	config, err := adapter.Config()
	if err != nil {
		return nil, fmt.Errorf("setting up the API server: %w", err)
	}
	if pair.CertFile == "" && config.GenericConfig.SecureServing != nil {
		config.GenericConfig.SecureServing.Cert = own
	}
	server, err := adapter.Server()
	if err != nil {
		return nil, fmt.Errorf("setting up the API server: %w", err)
	}
	return server.GenericAPIServer, nil
}

func newRegistration(manager ctrl.Manager, source credentialSource, o *options) *registration {
	r := &registration{
		live: manager.GetAPIReader(), client: manager.GetClient(), service: types.NamespacedName{Namespace: o.namespace, Name: o.service},
		role: o.registerRole, bundle: source.bundle,
	}
	if name := os.Getenv("POD_NAME"); name != "" {
		r.events = manager.GetEventRecorder("metrics-adapter")
		r.pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: o.namespace, Name: name, UID: types.UID(os.Getenv("POD_UID"))}}
	}
	return r
}

// serve runs the caches and the API server. When either ends, so does the other. It is ready once the caches are filled and a while has passed in
// which pods were scraped: before, it would have no value of any of them.
func serve(ctx context.Context, manager ctrl.Manager, server *genericapiserver.GenericAPIServer, while time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ready atomic.Bool
	err := server.AddReadyzChecks(healthz.NamedCheck("values", func(*http.Request) error {
		if !ready.Load() {
			return errors.New("pods have not been scraped for long enough yet")
		}
		return nil
	}))
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- manager.Start(ctx)
	}()
	go func() {
		if !manager.GetCache().WaitForCacheSync(ctx) {
			return
		}
		timer := time.NewTimer(while)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
			ready.Store(true)
		}
	}()
	err = server.PrepareRun().RunWithContext(ctx)
	cancel()
	return errors.Join(err, <-ended)
}

// cacheOptions returns what is kept of the cluster: GinServices, and what it takes to scrape their pods.
func cacheOptions() cache.Options {
	return cache.Options{
		ReaderFailOnMissingInformer: true,
		DefaultTransform:            cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}: {Label: labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}), Transform: keepNeeded},
		},
	}
}

// keepNeeded leaves out of a pod what nobody reads.
func keepNeeded(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	pod.ManagedFields, pod.Annotations, pod.OwnerReferences = nil, nil, nil
	spec := corev1.PodSpec{HostNetwork: pod.Spec.HostNetwork}
	for i := range pod.Spec.Containers {
		spec.Containers = append(spec.Containers, corev1.Container{Name: pod.Spec.Containers[i].Name, Ports: pod.Spec.Containers[i].Ports})
	}
	status := corev1.PodStatus{PodIP: pod.Status.PodIP}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			status.Conditions = append(status.Conditions, corev1.PodCondition{Type: condition.Type, Status: condition.Status})
		}
	}
	pod.Spec, pod.Status = spec, status
	return pod, nil
}

// buildVersion returns the version that the build set, or what Go knows about it.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
