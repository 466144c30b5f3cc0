package main

import (
	"bytes"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"text/template"
)

// Addresses are from 198.18.0.0/15, the range that RFC 2544 reserves for benchmarks of networks: no machine's own network
// uses it. They exist only within the cluster's network namespace, so every cluster can have the same.
const (
	nodeAddress       = "198.18.0.1"
	nodeNetwork       = "198.18.0.1/16"
	serviceRange      = "198.19.0.0/17"
	podRange          = "198.19.128.0/17"
	apiServiceAddress = "198.19.0.1"
	dnsAddress        = "198.19.0.10"
	clusterDomain     = "cluster.local"
)

const (
	kubeletPort       = 10250
	metricsServerPort = 10443
)

// settings are what was decided when the cluster was first started; a later `up` keeps to them.
type settings struct {
	Name     string `json:"name"`
	Port     int    `json:"port"`
	AuditLog bool   `json:"auditLog"`
	// ProxyMode is how kube-proxy writes its rules.
	ProxyMode string `json:"proxyMode"`
	// Complete is set once the cluster has been seen to work. What never worked is not worth repairing.
	Complete bool `json:"complete"`
}

func (l layout) saveSettings(s settings) error {
	content, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(l.settings(), content, 0o600)
}

// loadSettings returns the settings of the cluster that was started last; false if there is none.
func (l layout) loadSettings() (settings, bool, error) {
	var s settings
	content, err := os.ReadFile(l.settings())
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, false, nil //nolint:nilerr // A half-written file is what a crash leaves: as good as none.
	}
	return s, true, nil
}

//go:embed templates
var templates embed.FS

// templateValues is what the templates may name.
type templateValues struct {
	ID                  string
	PauseImage          string
	CNIPlugins          string
	CNIConfig           string
	Runc                string
	Certs               string
	CABundle            string
	NodeAddress         string
	PodRange            string
	DNSAddress          string
	ClusterDomain       string
	MetricsServerPort   int
	KubeProxyKubeconfig string
	ProxyMode           string
	CoreDNSKubeconfig   string
}

func newTemplateValues(l layout) (templateValues, error) {
	ca, err := os.ReadFile(l.cert("ca.crt"))
	if err != nil {
		return templateValues{}, err
	}
	return templateValues{
		ID:                  l.id,
		PauseImage:          pauseImage,
		CNIPlugins:          l.binary("cni"),
		CNIConfig:           l.in("cni"),
		Runc:                l.binary("runc"),
		Certs:               l.certs(),
		CABundle:            base64.StdEncoding.EncodeToString(ca),
		NodeAddress:         nodeAddress,
		PodRange:            podRange,
		DNSAddress:          dnsAddress,
		ClusterDomain:       clusterDomain,
		MetricsServerPort:   metricsServerPort,
		KubeProxyKubeconfig: l.config("kube-proxy.kubeconfig"),
		CoreDNSKubeconfig:   l.config("coredns.kubeconfig"),
	}, nil
}

func render(name string, values templateValues) ([]byte, error) {
	parsed, err := template.New(name).Option("missingkey=error").ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, values); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// writeConfigs writes the parts' configuration files and kubeconfigs. The certificates must be there.
func writeConfigs(l layout, s settings) error {
	values, err := newTemplateValues(l)
	if err != nil {
		return err
	}
	values.ProxyMode = s.ProxyMode
	files := map[string]string{
		"containerd.toml": l.config("containerd.toml"),
		"kubelet.yaml":    l.config("kubelet.yaml"),
		"kube-proxy.yaml": l.config("kube-proxy.yaml"),
		"audit.yaml":      l.config("audit.yaml"),
		"Corefile":        l.config("Corefile"),
		"cni.conflist":    l.in("cni", "10-gin-cluster.conflist"),
	}
	for name, path := range files {
		content, err := render(name, values)
		if err != nil {
			return fmt.Errorf("rendering %s: %w", name, err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	users := map[string]string{
		l.kubeconfig(): "admin",
		l.config("controller-manager.kubeconfig"): "controller-manager",
		l.config("scheduler.kubeconfig"):          "scheduler",
		l.config("kubelet.kubeconfig"):            "kubelet",
		l.config("kube-proxy.kubeconfig"):         "kube-proxy",
		l.config("metrics-server.kubeconfig"):     "metrics-server-client",
		l.config("coredns.kubeconfig"):            "coredns",
	}
	for path, user := range users {
		if err := writeKubeconfig(l, s, user, path); err != nil {
			return fmt.Errorf("writing the kubeconfig of %s: %w", user, err)
		}
	}
	return giveToCaller(l.kubeconfig())
}

// giveToCaller makes a file belong to the person who called sudo, so that kubectl works without it.
func giveToCaller(path string) error {
	uid, err := strconv.Atoi(os.Getenv("SUDO_UID"))
	if err != nil {
		return nil //nolint:nilerr // Not called with sudo.
	}
	gid, err := strconv.Atoi(os.Getenv("SUDO_GID"))
	if err != nil {
		return nil //nolint:nilerr // Not called with sudo.
	}
	return os.Chown(path, uid, gid)
}

// writeKubeconfig writes a kubeconfig that holds its certificates, so that it can be copied. The address is right on both
// sides: on the machine's loopback the forwarder listens at this port, on the namespace's loopback the API server itself.
func writeKubeconfig(l layout, s settings, user, path string) error {
	encoded := map[string]string{}
	for _, file := range []string{"ca.crt", user + ".crt", user + ".key"} {
		content, err := os.ReadFile(l.cert(file))
		if err != nil {
			return err
		}
		encoded[file] = base64.StdEncoding.EncodeToString(content)
	}
	content, err := json.MarshalIndent(map[string]any{
		"apiVersion":      "v1",
		"kind":            "Config",
		"current-context": s.Name,
		"clusters": []any{map[string]any{"name": s.Name, "cluster": map[string]any{
			"server": s.server(), "certificate-authority-data": encoded["ca.crt"],
		}}},
		"users": []any{map[string]any{"name": s.Name + "-" + user, "user": map[string]any{
			"client-certificate-data": encoded[user+".crt"], "client-key-data": encoded[user+".key"],
		}}},
		"contexts": []any{map[string]any{"name": s.Name, "context": map[string]any{
			"cluster": s.Name, "user": s.Name + "-" + user,
		}}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o600)
}

func (s settings) server() string { return fmt.Sprintf("https://127.0.0.1:%d", s.Port) }
