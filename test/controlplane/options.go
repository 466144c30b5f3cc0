package controlplane

import "strings"

// Option changes what Start starts.
type Option func(*options)

type options struct {
	apiServerFlags []string
	crdPaths       []string
	servers        []server
	auditLog       string
	logs           string
}

// WithControllerManager also runs kube-controller-manager, with the controllers that act on what a GinService owns: deployment,
// replicaset, endpointslice, autoscaling, disruption, garbage collection, quotas, namespaces, service
// accounts and aggregated ClusterRoles. The autoscaler looks at its metrics each second, and trusts a pod's as soon as there are
// any. flags, such as "--horizontal-pod-autoscaler-sync-period=5s", come last and so win.
func WithControllerManager(flags ...string) Option {
	return func(o *options) {
		o.servers = append(o.servers, server{name: "kube-controller-manager", flags: append(controllerManagerFlags(), flags...)})
	}
}

// WithScheduler also runs kube-scheduler. flags come last and so win.
func WithScheduler(flags ...string) Option {
	return func(o *options) {
		o.servers = append(o.servers, server{name: "kube-scheduler", flags: flags})
	}
}

// WithAPIServerFlags adds flags, such as "--max-requests-inflight=1000", to kube-apiserver.
func WithAPIServerFlags(flags ...string) Option {
	return func(o *options) { o.apiServerFlags = append(o.apiServerFlags, flags...) }
}

// WithAuditLog has kube-apiserver write one line of JSON (an audit.k8s.io/v1 Event at level Metadata) to the file at path for each
// request that is answered, watches also when they begin. It is written in batches, at most a quarter of a second late, and
// completely once Stop has returned.
func WithAuditLog(path string) Option {
	return func(o *options) { o.auditLog = path }
}

// WithLogs has the servers write their logs to <folder>/<server>.log, and keeps them. Default: a temporary folder, and only the end
// of a log is shown if its server does not start.
func WithLogs(folder string) Option {
	return func(o *options) { o.logs = folder }
}

// WithCRDs installs these files or folders of CustomResourceDefinitions besides config/crd/bases.
func WithCRDs(paths ...string) Option {
	return func(o *options) { o.crdPaths = append(o.crdPaths, paths...) }
}

func controllerManagerFlags() []string {
	return []string{
		"--controllers=" + strings.Join([]string{
			"deployment-controller",
			"replicaset-controller",
			"endpointslice-controller",
			"horizontal-pod-autoscaler-controller",
			"disruption-controller",
			"garbage-collector-controller",
			"namespace-controller",
			"serviceaccount-controller",
			"clusterrole-aggregation-controller",
			"resourcequota-controller",
		}, ","),
		"--use-service-account-credentials=false",
		"--horizontal-pod-autoscaler-sync-period=1s",
		"--horizontal-pod-autoscaler-initial-readiness-delay=0s",
		"--horizontal-pod-autoscaler-cpu-initialization-period=0s",
		// A quota that a test creates counts at once, not within five minutes.
		"--resource-quota-sync-period=1s",
	}
}
