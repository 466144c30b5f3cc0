package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// pauseProject is a project folder whose only component is pause; the other stamps stay missing.
func pauseProject(t *testing.T) (layout, component) {
	t.Helper()
	l := newLayout(t.TempDir())
	to := filepath.Join(l.componentsDir(), "pause")
	if err := os.CopyFS(to, os.DirFS(filepath.Join("components", "pause"))); err != nil {
		t.Fatal(err)
	}
	for _, c := range allComponents() {
		if c.name == "pause" {
			c.links = map[string]string{"sleep": "pause"}
			return l, c
		}
	}
	t.Fatal("no component pause")
	return l, component{}
}

func buildStale(t *testing.T, l layout, c component) bool {
	t.Helper()
	stale, err := staleComponents(l, []component{c})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stale {
		if err := s.build(context.Background(), l, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	}
	return len(stale) > 0
}

func TestBuildOnlyWhatChanged(t *testing.T) {
	l, c := pauseProject(t)
	source := filepath.Join(l.componentsDir(), "pause", "main.go")
	change := func(path string, content string) func() error {
		return func() error { return os.WriteFile(path, []byte(content), 0o644) }
	}
	steps := []struct {
		name   string
		change func() error
		want   bool
	}{
		{"nothing was built before", nil, true},
		{"nothing has changed", nil, false},
		{"a source has changed", change(source, "package main\n\nfunc main() { select {} }\n"), true},
		{"a test has changed", change(filepath.Join(filepath.Dir(source), "main_test.go"), "package main\n"), false},
		{"the output was removed", func() error { return os.Remove(l.binary("pause")) }, true},
		{"a link was removed", func() error { return os.Remove(l.binary("sleep")) }, true},
		{"the stamp was torn", change(c.stampFile(l), "x"), true},
		{"nothing has changed again", nil, false},
	}
	for _, step := range steps {
		if step.change != nil {
			if err := step.change(); err != nil {
				t.Fatal(err)
			}
		}
		if got := buildStale(t, l, c); got != step.want {
			t.Errorf("%s: built %t, want %t", step.name, got, step.want)
		}
	}
	if target, err := os.Readlink(l.binary("sleep")); err != nil || target != "pause" {
		t.Errorf("link to %q, error %v", target, err)
	}
}

func TestFlagsArePartOfTheStamp(t *testing.T) {
	l, c := pauseProject(t)
	before, err := c.inputStamp(l)
	if err != nil {
		t.Fatal(err)
	}
	c.ldflags += " -X main.version=2"
	after, err := c.inputStamp(l)
	if err != nil {
		t.Fatal(err)
	}
	if before == after {
		t.Error("other flags, same stamp")
	}
}

func TestFailedBuildSaysWhyAndIsTriedAgain(t *testing.T) {
	l, c := pauseProject(t)
	source := filepath.Join(l.componentsDir(), "pause", "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { undefinedName() }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		stale, err := staleComponents(l, []component{c})
		if err != nil || len(stale) != 1 {
			t.Fatalf("%d stale, error %v", len(stale), err)
		}
		err = stale[0].build(context.Background(), l, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), "undefinedName") {
			t.Errorf("error %v, want the compiler's message", err)
		}
	}
}

func TestCollectMessages(t *testing.T) {
	var compiled atomic.Int64
	messages := collectMessages(strings.NewReader("fmt\nk8s.io/api/core/v1\n# broken/package\n./a.go:1:2: no\n"), &compiled)
	if compiled.Load() != 2 || messages != "# broken/package\n./a.go:1:2: no" {
		t.Errorf("%d packages, messages %q", compiled.Load(), messages)
	}
}

func TestSelectComponents(t *testing.T) {
	if _, err := selectComponents([]string{"everything"}); err == nil || !strings.Contains(err.Error(), groupControlPlane) {
		t.Errorf("error %v, want one that names the groups", err)
	}
	all, err := selectComponents([]string{groupGateway, groupKWOK, groupNode, groupControlPlane})
	if err != nil || len(all) != len(allComponents()) {
		t.Errorf("%d of %d components, error %v", len(all), len(allComponents()), err)
	}
}

// TestVersionsMatchModules holds the versions in components.go, which are shown and linked in, to what the modules pin.
func TestVersionsMatchModules(t *testing.T) {
	wants := map[string]string{
		"containerd": "github.com/containerd/containerd/v2 " + containerdVersion,
		"runc":       "github.com/opencontainers/runc " + runcVersion,
		"cni":        "github.com/containernetworking/plugins " + cniVersion,
		"kwok":       "sigs.k8s.io/kwok " + kwokVersion,
		"traefik":    "github.com/traefik/traefik/v3 " + traefikVersion,
	}
	for module, want := range wants {
		expectInModule(t, module, want)
	}
	for _, want := range []string{
		"k8s.io/kubernetes " + kubernetesVersion + "\n", "go.etcd.io/etcd/server/v3 " + etcdVersion + "\n",
		"sigs.k8s.io/metrics-server " + metricsServerVersion, "github.com/coredns/coredns " + coreDNSVersion,
	} {
		expectInModule(t, "kubernetes", want)
	}
	if want := "v" + kubernetesMajor + "." + kubernetesMinor + "."; !strings.HasPrefix(kubernetesVersion, want) {
		t.Errorf("%s does not begin with %s", kubernetesVersion, want)
	}
}

func expectInModule(t *testing.T, module, want string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("components", module, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), want) {
		t.Errorf("components/%s/go.mod does not pin %q", module, want)
	}
}
