package main

import (
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
)

func defaults(changes ...func(*options)) options {
	o := options{
		leaderElect: true, probeAddress: ":8081", metricsAddress: ":8443", metricsSecure: true,
		logLevel: slog.LevelInfo, logFormat: "json", concurrency: 16,
	}
	for _, change := range changes {
		change(&o)
	}
	return o
}

func TestParseFlags(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want options
		says string // of the error
	}{
		"nothing is said": {want: defaults()},
		"for one namespace, by hand, to read": {
			args: []string{"--namespace=shop", "--leader-elect=false", "--log-format=text", "--log-level=DEBUG", "--metrics-bind-address=0"},
			want: defaults(func(o *options) {
				o.namespace, o.leaderElect, o.logFormat, o.logLevel, o.metricsAddress = "shop", false, "text", slog.LevelDebug, "0"
			}),
		},
		"everything else": {
			args: []string{
				"--leader-election-namespace=ops", "--health-probe-bind-address=:1", "--metrics-secure=false", "--metrics-cert-dir=/certs",
				"--max-concurrent-reconciles=1", "--version", "--prometheus-url=https://metrics.example.com/prometheus",
			},
			want: defaults(func(o *options) {
				o.prometheusURL = "https://metrics.example.com/prometheus"
				o.leaderElectionSpace, o.probeAddress, o.metricsSecure, o.metricsCertDir, o.concurrency, o.version = "ops", ":1", false, "/certs", 1, true
			}),
		},
		"a flag that does not exist":  {args: []string{"--color=red"}, says: "color"},
		"an argument that is no flag": {args: []string{"serve"}, says: `unexpected argument "serve": all settings are flags`},
		"a form that does not exist":  {args: []string{"--log-format=xml"}, says: `--log-format is "xml": it must be json or text`},
		"a level that does not exist": {args: []string{"--log-level=LOUD"}, says: "log-level"},
		"nobody to do the work":       {args: []string{"--max-concurrent-reconciles=0"}, says: "--max-concurrent-reconciles is 0: it must be at least 1"},
		"a number that is none":       {args: []string{"--max-concurrent-reconciles=many"}, says: "max-concurrent-reconciles"},
		"a Prometheus of no scheme":   {args: []string{"--prometheus-url=prometheus:9090"}, says: "--prometheus-url: the address of Prometheus is \"prometheus:9090\": it has to be like http"},
		"a Prometheus with a user":    {args: []string{"--prometheus-url=http://a:b@prometheus:9090"}, says: "must have no user"},
		"a question for help":         {args: []string{"--help"}, says: flag.ErrHelp.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			flags := flag.NewFlagSet("manager", flag.ContinueOnError)
			flags.SetOutput(io.Discard)
			got, err := parseFlags(flags, tc.args)
			if tc.says != "" {
				if err == nil || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("the error is %v, and should say %q", err, tc.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(options{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryFlagSaysWhatItIsFor(t *testing.T) {
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	if _, err := parseFlags(flags, nil); err != nil {
		t.Fatal(err)
	}
	flags.VisitAll(func(f *flag.Flag) {
		if !strings.HasSuffix(f.Usage, ".") {
			t.Errorf("--%s: %q is no sentence", f.Name, f.Usage)
		}
	})
}

func TestManagerOptions(t *testing.T) {
	scheme := runtime.NewScheme()
	t.Run("a manager for the whole cluster", func(t *testing.T) {
		got := managerOptions(defaults(), scheme)
		if got.Scheme != scheme || got.HealthProbeBindAddress != ":8081" || got.Metrics.BindAddress != ":8443" {
			t.Errorf("%+v", got)
		}
		if !got.LeaderElection || !got.LeaderElectionReleaseOnCancel || got.LeaderElectionID == "" {
			t.Error("a manager that ends must hand its lease over at once")
		}
		if got.GracefulShutdownTimeout == nil || *got.GracefulShutdownTimeout <= 0 || *got.GracefulShutdownTimeout >= 30*time.Second {
			t.Error("a manager must end before the kubelet kills it")
		}
		if got.Cache.DefaultNamespaces != nil {
			t.Errorf("its caches are restricted to %v", got.Cache.DefaultNamespaces)
		}
	})
	t.Run("a manager for one namespace", func(t *testing.T) {
		got := managerOptions(defaults(func(o *options) { o.namespace = "shop" }), scheme)
		if _, found := got.Cache.DefaultNamespaces["shop"]; !found || len(got.Cache.DefaultNamespaces) != 1 {
			t.Errorf("its caches hold %v", got.Cache.DefaultNamespaces)
		}
	})
	t.Run("metrics are for those only who may read them, unless it is told otherwise", func(t *testing.T) {
		secure := managerOptions(defaults(), scheme).Metrics
		if !secure.SecureServing || secure.FilterProvider == nil || len(secure.TLSOpts) == 0 {
			t.Errorf("%+v", secure)
		}
		open := managerOptions(defaults(func(o *options) { o.metricsSecure = false }), scheme).Metrics
		if open.SecureServing || open.FilterProvider != nil {
			t.Errorf("%+v", open)
		}
	})
}

func TestManagerSeesItsOwnWrites(t *testing.T) {
	got := managerOptions(defaults(), runtime.NewScheme())
	if got.Client.Cache == nil || got.Client.Cache.EnableReadYourWritesConsistency == nil || !*got.Client.Cache.EnableReadYourWritesConsistency {
		t.Error("a pass may work on a state older than the one before left")
	}
}

func TestPodNamespace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "namespace")
	if got := podNamespace(file); got != "" {
		t.Errorf("outside of a pod it is %q", got)
	}
	if err := os.WriteFile(file, []byte("operators\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := podNamespace(file); got != "operators" {
		t.Errorf("in a pod it is %q", got)
	}
}

func TestBuildVersion(t *testing.T) {
	if buildVersion() == "" {
		t.Error("a build without a version says nothing at all")
	}
	version = "v1.2.3"
	t.Cleanup(func() { version = "" })
	if got := buildVersion(); got != "v1.2.3" {
		t.Errorf("the version is %q", got)
	}
}

func TestNewLogger(t *testing.T) {
	for level, logs := range map[slog.Level]bool{slog.LevelInfo: false, slog.LevelDebug: true} {
		for _, format := range []string{"json", "text"} {
			log := newLogger(defaults(func(o *options) { o.logLevel, o.logFormat = level, format }))
			if got := log.V(4).Enabled(); got != logs {
				t.Errorf("with --log-level=%s, debugging is logged: %t", level, got)
			}
		}
	}
}
