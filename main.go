// Command manager runs the gin-operator: it reconciles GinServices in a cluster, or in one namespace of it.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // for a kubeconfig of a cloud, when the manager is run by hand
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	runnable "sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers"
	"github.com/gin-operator/gin-operator/controllers/analysis"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
	"github.com/gin-operator/gin-operator/podmetrics"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = ""

// options are the flags of the manager.
type options struct {
	leaderElect         bool
	leaderElectionSpace string
	probeAddress        string
	metricsAddress      string
	metricsSecure       bool
	metricsCertDir      string
	namespace           string
	gatewayNamespace    string
	prometheusURL       string
	logLevel            slog.Level
	logFormat           string
	concurrency         int
	version             bool
}

func parseFlags(flags *flag.FlagSet, args []string) (options, error) {
	var o options
	flags.BoolVar(&o.leaderElect, "leader-elect", true, "Let only one of several managers act. The lease is given up on a clean exit.")
	flags.StringVar(&o.leaderElectionSpace, "leader-election-namespace", "", "Namespace of the lease. Default: that of the pod.")
	flags.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz. 0 is off.")
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "Address of /metrics. 0 is off.")
	flags.BoolVar(&o.metricsSecure, "metrics-secure", true, "Serve /metrics over TLS, to those only whom the cluster authenticates and authorizes for it.")
	flags.StringVar(&o.metricsCertDir, "metrics-cert-dir", "", "Directory with tls.crt and tls.key for /metrics, read again when they change. Default: a self-signed certificate.")
	flags.StringVar(&o.namespace, "namespace", "", "Namespace to look after; needs no ClusterRole then. Default: all.")
	flags.StringVar(&o.gatewayNamespace, "gateway-namespace", "", "Namespace of the Gateways that spec.route names. Default: that of the GinService.")
	flags.StringVar(&o.prometheusURL, "prometheus-url", "", "Prometheus that analyses ask, such as http://prometheus.monitoring:9090. Default: they ask the pods themselves.")
	flags.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "Lowest level that is logged: DEBUG, INFO, WARN or ERROR.")
	flags.StringVar(&o.logFormat, "log-format", "json", "Form of the log: json or text.")
	flags.IntVar(&o.concurrency, "max-concurrent-reconciles", 16, "Number of GinServices that are reconciled at a time.")
	flags.BoolVar(&o.version, "version", false, "Print the version and exit.")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: all settings are flags, see --help", flags.Arg(0))
	case o.logFormat != "json" && o.logFormat != "text":
		return o, fmt.Errorf("--log-format is %q: it must be json or text", o.logFormat)
	case o.concurrency < 1:
		return o, fmt.Errorf("--max-concurrent-reconciles is %d: it must be at least 1", o.concurrency)
	}
	if o.prometheusURL != "" {
		if _, err := analysis.NewPrometheus(o.prometheusURL); err != nil {
			return o, fmt.Errorf("--prometheus-url: %w", err)
		}
	}
	return o, nil
}

func main() {
	o, err := parseFlags(flag.CommandLine, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(2)
	}
	if o.version {
		fmt.Println(buildVersion())
		return
	}
	log := newLogger(o)
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	if err := run(ctrl.SetupSignalHandler(), o); err != nil {
		log.Error(err, "Stopping")
		os.Exit(1)
	}
}

func newLogger(o options) logr.Logger {
	settings := &slog.HandlerOptions{Level: o.logLevel}
	if o.logFormat == "text" {
		return logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, settings))
	}
	return logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, settings))
}

// run starts the manager and returns when it has stopped: on a signal, or because the lease was lost.
func run(ctx context.Context, o options) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	config.QPS = -1                  // the API server's own priority and fairness decides
	config.DisableCompression = true // of watches, event by event, which costs both sides more than it saves a network next door
	config.UserAgent = "gin-operator/" + buildVersion()
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, managerOptions(o, scheme))
	if err != nil {
		return fmt.Errorf("setting up the manager: %w", err)
	}
	if _, set := os.LookupEnv("GOGC"); !set {
		// An operator rests most of the time, and its caches stay: memory is worth more to it than CPU. While they fill, most of what is
		// allocated is of no use a moment later.
		debug.SetGCPercent(20)
		filled := runnable.RunnableFunc(func(context.Context) error { debug.SetGCPercent(50); return nil })
		if err := manager.Add(filled); err != nil {
			return err
		}
	}
	runner, end, err := newAnalysis(o, manager)
	if err != nil {
		return fmt.Errorf("setting up the analysis: %w", err)
	}
	defer end()
	reconciler := &controllers.Reconciler{
		Client:   manager.GetClient(),
		Live:     manager.GetAPIReader(),
		Clock:    clock.RealClock{},
		Analysis: runner,

		GatewayNamespace:  o.gatewayNamespace,
		OperatorNamespace: podNamespace(namespaceFile),
	}
	if err := reconciler.SetupWithManager(ctx, manager, o.concurrency); err != nil {
		return fmt.Errorf("setting up the controller: %w", err)
	}
	if err := manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	if err := manager.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	ctrl.Log.Info("Starting", "version", buildVersion(), "namespace", o.namespace)
	return manager.Start(ctx)
}

// namespaceFile is where a pod finds the name of its namespace, beside the token of its ServiceAccount.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// podNamespace returns the namespace of the pod that this process runs in, or "" if it runs in none.
func podNamespace(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

const (
	// scrapeInterval is how often the pods of a rollout that is analysed are asked for their metrics. What they say shows in a measurement after that time,
	// and intervalSeconds: both have to fit into the time in which a bad version is switched back.
	scrapeInterval = 2 * time.Second
	// scrapesKept is longer than the longest windowSeconds.
	scrapesKept = 11 * time.Minute
	// scrapers is how many pods are asked at a time.
	scrapers = 8
)

// newAnalysis returns what judges new versions, and what ends it once nobody asks it any more.
func newAnalysis(o options, manager ctrl.Manager) (runner *analysis.Runner, end func(), err error) {
	settings := analysis.Options{Client: manager.GetClient(), Live: manager.GetAPIReader(), Clock: clock.RealClock{}}
	if o.prometheusURL != "" {
		if settings.Source, err = analysis.NewPrometheus(o.prometheusURL); err != nil {
			return nil, nil, err
		}
		end = func() {}
	} else {
		scraper, err := podmetrics.New(podmetrics.Options{
			Interval: scrapeInterval, Keep: scrapesKept, Workers: scrapers, Registerer: ctrlmetrics.Registry,
		})
		if err != nil {
			return nil, nil, err
		}
		settings.Source, end = analysis.NewPods(scraper), scraper.Close
	}
	runner = analysis.NewRunner(settings)
	return runner, end, manager.Add(runner)
}

// newScheme returns a scheme with the groups that the operator reads and writes. All of Kubernetes' would be megabytes more for the
// garbage collector to look through.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(appsv1.AddToScheme, autoscalingv1.AddToScheme, autoscalingv2.AddToScheme, coordinationv1.AddToScheme,
		corev1.AddToScheme, discoveryv1.AddToScheme, eventsv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, gatewayv1.Install,
		monitoring.AddToScheme, v1alpha1.AddToScheme)
	return scheme, builder.AddToScheme(scheme)
}

func managerOptions(o options, scheme *runtime.Scheme) ctrl.Options {
	metrics := metricsserver.Options{BindAddress: o.metricsAddress, SecureServing: o.metricsSecure, CertDir: o.metricsCertDir}
	if o.metricsSecure {
		metrics.FilterProvider = withAuth
		metrics.TLSOpts = []func(*tls.Config){func(c *tls.Config) { c.MinVersion = tls.VersionTLS12 }}
	}
	shutdown := 20 * time.Second
	return ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controllers.CacheOptions(o.namespace),
		Client:                        controllers.ClientOptions(),
		Metrics:                       metrics,
		HealthProbeBindAddress:        o.probeAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              "gin-operator.apps.gin-operator.dev",
		LeaderElectionNamespace:       o.leaderElectionSpace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &shutdown,
	}
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
