package main

// Versions of everything that is built. The Go modules under components/ pin the same versions; TestVersionsMatchModules
// compares the two, so a bump in one place alone fails the tests.
const (
	kubernetesVersion    = "v1.37.2"
	kubernetesMajor      = "1"
	kubernetesMinor      = "37"
	etcdVersion          = "v3.7.0"
	containerdVersion    = "v2.4.2"
	runcVersion          = "v1.5.2"
	cniVersion           = "v1.9.1"
	metricsServerVersion = "v0.9.0"
	coreDNSVersion       = "v1.15.0"
	kwokVersion          = "v0.8.0"
	traefikVersion       = "v3.6.12"
)

// Groups of components that `cluster build` takes by name.
const (
	groupControlPlane = "control-plane"
	groupNode         = "node"
	groupKWOK         = "kwok"
	groupGateway      = "gateway"
)

// component is one `go build`: one module, one or more main packages, and the files that come out.
type component struct {
	name  string
	group string
	// module is the folder below components/.
	module   string
	packages []string
	// outputs are the files that the build makes, named as Go names them; several packages go into the folder dir.
	outputs []string
	// dir is where below bin/k8s the outputs go; empty for bin/k8s itself.
	dir string
	// links maps a further name to the output that it is a link to.
	links   map[string]string
	tags    string
	ldflags string
	cgo     bool
	// cold says how long a first build takes, for the person who waits.
	cold string
}

// kubernetesLDFlags sets the version of every Kubernetes binary. Without it the API server takes itself for v0.0.0 and
// misjudges which API versions and features it may serve.
const kubernetesLDFlags = "-s -w" +
	" -X k8s.io/component-base/version.gitVersion=" + kubernetesVersion +
	" -X k8s.io/component-base/version.gitMajor=" + kubernetesMajor +
	" -X k8s.io/component-base/version.gitMinor=" + kubernetesMinor +
	" -X k8s.io/client-go/pkg/version.gitVersion=" + kubernetesVersion +
	" -X k8s.io/client-go/pkg/version.gitMajor=" + kubernetesMajor +
	" -X k8s.io/client-go/pkg/version.gitMinor=" + kubernetesMinor

// allComponents lists what can be built, in the order in which it is built: the longest first, and what is in its module after
// it. metrics-server and CoreDNS are, because in modules of their own they would have other versions of Kubernetes' libraries,
// which take minutes to compile.
func allComponents() []component {
	return []component{
		{
			name: "kubernetes control plane " + kubernetesVersion + ", etcd " + etcdVersion, group: groupControlPlane,
			module: "kubernetes", packages: []string{"./control-plane"}, outputs: []string{"control-plane"},
			links: map[string]string{
				"etcd": "control-plane", "kube-apiserver": "control-plane", "kube-controller-manager": "control-plane",
				"kube-scheduler": "control-plane", "kubectl": "control-plane",
			},
			ldflags: kubernetesLDFlags, cold: "4 to 10 minutes",
		},
		{
			name: "kubelet, kube-proxy " + kubernetesVersion, group: groupNode,
			module: "kubernetes", packages: []string{"./node"}, outputs: []string{"node"},
			links:   map[string]string{"kubelet": "node", "kube-proxy": "node"},
			ldflags: kubernetesLDFlags, cold: "about 1 minute",
		},
		{
			name: "containerd " + containerdVersion, group: groupNode, module: "containerd",
			packages: []string{
				"github.com/containerd/containerd/v2/cmd/containerd",
				"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
				"github.com/containerd/containerd/v2/cmd/ctr",
			},
			outputs: []string{"containerd", "containerd-shim-runc-v2", "ctr"},
			tags:    "no_btrfs no_devmapper no_zfs",
			ldflags: "-s -w -X github.com/containerd/containerd/v2/version.Version=" + containerdVersion,
			cold:    "about 1 minute",
		},
		{
			name: "runc " + runcVersion, group: groupNode, module: "runc",
			packages: []string{"github.com/opencontainers/runc"}, outputs: []string{"runc"},
			tags: "seccomp", ldflags: "-s -w", cgo: true, cold: "about 15 seconds",
		},
		{
			name: "CNI plugins " + cniVersion, group: groupNode, module: "cni",
			packages: []string{
				"github.com/containernetworking/plugins/plugins/main/ptp",
				"github.com/containernetworking/plugins/plugins/main/loopback",
				"github.com/containernetworking/plugins/plugins/ipam/host-local",
				"github.com/containernetworking/plugins/plugins/meta/portmap",
			},
			outputs: []string{"ptp", "loopback", "host-local", "portmap"}, dir: "cni",
			ldflags: "-s -w", cold: "about 15 seconds",
		},
		{
			name: "pause", group: groupNode, module: "pause", packages: []string{"."}, outputs: []string{"pause"},
			ldflags: "-s -w", cold: "seconds",
		},
		{
			name: "metrics-server " + metricsServerVersion, group: groupNode, module: "kubernetes",
			packages: []string{"sigs.k8s.io/metrics-server/cmd/metrics-server"}, outputs: []string{"metrics-server"},
			ldflags: "-s -w -X k8s.io/client-go/pkg/version.gitVersion=" + metricsServerVersion, cold: "about 15 seconds",
		},
		{
			name: "CoreDNS " + coreDNSVersion, group: groupNode, module: "kubernetes",
			packages: []string{"./coredns"}, outputs: []string{"coredns"},
			ldflags: "-s -w", cold: "about 10 seconds",
		},
		{
			name: "KWOK " + kwokVersion, group: groupKWOK, module: "kwok",
			packages: []string{"sigs.k8s.io/kwok/cmd/kwok"}, outputs: []string{"kwok"},
			ldflags: "-s -w", cold: "about 1 minute",
		},
		{
			name: "Traefik " + traefikVersion, group: groupGateway, module: "traefik",
			packages: []string{"github.com/traefik/traefik/v3/cmd/traefik"}, outputs: []string{"traefik"},
			ldflags: "-s -w", cold: "5 to 10 minutes",
		},
	}
}
