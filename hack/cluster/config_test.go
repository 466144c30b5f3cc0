package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteConfigs(t *testing.T) {
	l := testCerts(t)
	s := settings{Name: "node-1", Port: 4321, ProxyMode: proxyIptables}
	if err := writeConfigs(l, s); err != nil {
		t.Fatal(err)
	}
	wants := map[string][]string{
		l.config("containerd.toml"): {
			`sandbox = "` + pauseImage + `"`, `BinaryName = "` + l.binary("runc") + `"`, "restrict_oom_score_adj = true",
		},
		l.config("kubelet.yaml"): {
			"cgroupRoot: /" + l.id, "clusterDNS: [\"" + dnsAddress + "\"]", "clientCAFile: \"" + l.cert("ca.crt"),
		},
		l.config("kube-proxy.yaml"):               {"mode: iptables", "kubeconfig: \"" + l.config("kube-proxy.kubeconfig")},
		l.config("Corefile"):                      {"bind " + nodeAddress, "kubernetes " + clusterDomain},
		l.in("cni", "10-gin-cluster.conflist"):    {`"subnet": "` + podRange + `"`},
		l.kubeconfig():                            {`"server": "https://127.0.0.1:4321"`, `"current-context": "node-1"`},
		l.config("metrics-server.kubeconfig"):     {"node-1-metrics-server-client"},
		l.config("audit.yaml"):                    {"level: Metadata"},
		l.config("controller-manager.kubeconfig"): {"client-key-data"},
	}
	for path, parts := range wants {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, part := range parts {
			if !strings.Contains(string(content), part) {
				t.Errorf("%s lacks %q:\n%s", filepath.Base(path), part, content)
			}
		}
		if strings.Contains(string(content), "<no value>") {
			t.Errorf("%s has a hole:\n%s", filepath.Base(path), content)
		}
	}
}

func TestCNIConfigIsJSON(t *testing.T) {
	l := testCerts(t)
	if err := writeConfigs(l, settings{Name: "n", Port: 1}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(l.in("cni", "10-gin-cluster.conflist"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(content) {
		t.Errorf("not JSON:\n%s", content)
	}
}

func TestAddonsAllHaveAPlace(t *testing.T) {
	values, err := newTemplateValues(testCerts(t))
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := render("addons.yaml", values)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for document := range strings.SplitSeq(string(rendered), "\n---\n") {
		path, err := addonPath(document)
		if err != nil {
			t.Error(err)
		}
		if seen[path] {
			t.Errorf("%s occurs twice", path)
		}
		seen[path] = true
	}
	for _, want := range []string{
		"/api/v1/namespaces/kube-system/services/kube-dns",
		"/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io",
		"/apis/rbac.authorization.k8s.io/v1/clusterroles/gin-cluster:metrics-server",
	} {
		if !seen[want] {
			t.Errorf("%s is missing", want)
		}
	}
	if _, err := addonPath("kind: Secret\nmetadata: {name: x}"); err == nil {
		t.Error("an object of an unknown kind found a place")
	}
}

func TestSettingsSurviveATornFile(t *testing.T) {
	l := newLayout(t.TempDir())
	if err := l.makeStateDirs(); err != nil {
		t.Fatal(err)
	}
	if _, exists, err := l.loadSettings(); exists || err != nil {
		t.Fatalf("without a file: exists %t, error %v", exists, err)
	}
	want := settings{Name: "n", Port: 7, AuditLog: true, Complete: true}
	if err := l.saveSettings(want); err != nil {
		t.Fatal(err)
	}
	if got, exists, err := l.loadSettings(); !exists || err != nil || got != want {
		t.Fatalf("got %v, exists %t, error %v", got, exists, err)
	}
	if err := os.WriteFile(l.settings(), []byte(`{"name": "n`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, exists, err := l.loadSettings(); exists || err != nil {
		t.Errorf("with half a file: exists %t, error %v", exists, err)
	}
}

func TestAuditLogOnlyOnRequest(t *testing.T) {
	l := newLayout(t.TempDir())
	for _, audit := range []bool{false, true} {
		arguments := strings.Join(apiServer(l, settings{Port: 1, AuditLog: audit}).arguments, " ")
		if got := strings.Contains(arguments, "--audit-log-path="+l.log("audit")); got != audit {
			t.Errorf("audit log asked for: %t, written: %t", audit, got)
		}
	}
}

func TestProjectsDoNotShare(t *testing.T) {
	a, b := newLayout("/a"), newLayout("/b")
	if a.id == b.id || newLayout("/a").id != a.id {
		t.Errorf("ids %s and %s", a.id, b.id)
	}
}
