package main

import (
	"fmt"
	"os"
)

// part is a process of the cluster.
type part struct {
	name      string
	binary    string
	arguments []string
}

// storageParts need nothing but the namespaces.
func storageParts(l layout) []part {
	return []part{etcd(l), containerd(l)}
}

// clientParts need the API server.
func clientParts(l layout, s settings) []part {
	return []part{kubelet(l, s), controllerManager(l), scheduler(l), kubeProxy(l, s), metricsServer(l), coreDNS(l)}
}

func allParts(l layout, s settings) []part {
	return append(append(storageParts(l), apiServer(l, s)), clientParts(l, s)...)
}

func etcd(l layout) part {
	return part{name: "etcd", binary: l.binary("etcd"), arguments: []string{
		"--name=default",
		"--data-dir=" + l.in("etcd"),
		"--listen-client-urls=http://127.0.0.1:2379",
		"--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380",
		"--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380",
		// The data is worth nothing after a power cut, and waiting for the disk would dominate every benchmark.
		"--unsafe-no-fsync",
		"--quota-backend-bytes=4294967296",
		"--log-level=warn",
	}}
}

func containerd(l layout) part {
	return part{name: "containerd", binary: l.binary("containerd"), arguments: []string{
		"--config=" + l.config("containerd.toml"), "--log-level=info",
	}}
}

func apiServer(l layout, s settings) part {
	arguments := []string{
		"--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address=" + nodeAddress,
		fmt.Sprintf("--secure-port=%d", s.Port),
		"--service-cluster-ip-range=" + serviceRange,
		"--authorization-mode=Node,RBAC",
		"--anonymous-auth=false",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--client-ca-file=" + l.cert("ca.crt"),
		"--tls-cert-file=" + l.cert("apiserver.crt"),
		"--tls-private-key-file=" + l.cert("apiserver.key"),
		"--kubelet-certificate-authority=" + l.cert("ca.crt"),
		"--kubelet-client-certificate=" + l.cert("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + l.cert("apiserver-kubelet-client.key"),
		// The node's name means nothing to the machine's name servers.
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc." + clusterDomain,
		"--service-account-key-file=" + l.cert("service-account.pub"),
		"--service-account-signing-key-file=" + l.cert("service-account.key"),
		"--enable-aggregator-routing=true",
		"--requestheader-client-ca-file=" + l.cert("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + l.cert("front-proxy-client.crt"),
		"--proxy-client-key-file=" + l.cert("front-proxy-client.key"),
	}
	if s.AuditLog {
		arguments = append(arguments,
			"--audit-policy-file="+l.config("audit.yaml"),
			"--audit-log-path="+l.log("audit"),
			"--audit-log-mode=blocking",
		)
	}
	return part{name: "kube-apiserver", binary: l.binary("kube-apiserver"), arguments: arguments}
}

func controllerManager(l layout) part {
	return part{name: "kube-controller-manager", binary: l.binary("kube-controller-manager"), arguments: []string{
		"--kubeconfig=" + l.config("controller-manager.kubeconfig"),
		"--authentication-kubeconfig=" + l.config("controller-manager.kubeconfig"),
		"--authorization-kubeconfig=" + l.config("controller-manager.kubeconfig"),
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + l.cert("service-account.key"),
		"--root-ca-file=" + l.cert("ca.crt"),
		"--cluster-signing-cert-file=" + l.cert("ca.crt"),
		"--cluster-signing-key-file=" + l.cert("ca.key"),
		// With the default (20 a second) the controllers take 5 s to get their clients, longer than all else takes to start.
		"--kube-api-qps=100",
		"--kube-api-burst=200",
		// The defaults (15 s, 30 s, 5 min) are for nodes where pods start slowly; here they would only make demos wait.
		"--horizontal-pod-autoscaler-sync-period=5s",
		"--horizontal-pod-autoscaler-initial-readiness-delay=10s",
		"--horizontal-pod-autoscaler-cpu-initialization-period=10s",
	}}
}

func scheduler(l layout) part {
	return part{name: "kube-scheduler", binary: l.binary("kube-scheduler"), arguments: []string{
		"--kubeconfig=" + l.config("scheduler.kubeconfig"),
		"--authentication-kubeconfig=" + l.config("scheduler.kubeconfig"),
		"--authorization-kubeconfig=" + l.config("scheduler.kubeconfig"),
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
	}}
}

func kubelet(l layout, s settings) part {
	return part{name: "kubelet", binary: l.binary("kubelet"), arguments: []string{
		"--config=" + l.config("kubelet.yaml"),
		"--kubeconfig=" + l.config("kubelet.kubeconfig"),
		"--hostname-override=" + s.Name,
		"--node-ip=" + nodeAddress,
	}}
}

func kubeProxy(l layout, s settings) part {
	return part{name: "kube-proxy", binary: l.binary("kube-proxy"), arguments: []string{
		"--config=" + l.config("kube-proxy.yaml"), "--hostname-override=" + s.Name,
	}}
}

func metricsServer(l layout) part {
	return part{name: "metrics-server", binary: l.binary("metrics-server"), arguments: []string{
		"--kubeconfig=" + l.config("metrics-server.kubeconfig"),
		"--authentication-kubeconfig=" + l.config("metrics-server.kubeconfig"),
		"--authorization-kubeconfig=" + l.config("metrics-server.kubeconfig"),
		"--bind-address=" + nodeAddress,
		fmt.Sprintf("--secure-port=%d", metricsServerPort),
		"--tls-cert-file=" + l.cert("metrics-server.crt"),
		"--tls-private-key-file=" + l.cert("metrics-server.key"),
		"--kubelet-certificate-authority=" + l.cert("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-request-timeout=5s",
		"--metric-resolution=10s",
	}}
}

func coreDNS(l layout) part {
	return part{name: "coredns", binary: l.binary("coredns"), arguments: []string{"-conf", l.config("Corefile")}}
}

// tail returns the last lines of a log file, for an error message.
func tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return lastLines(string(content), lines)
}
