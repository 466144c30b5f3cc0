package main

import (
	"os"
	"testing"

	"golang.org/x/mod/modfile"
)

// TestKubernetesSharesModules holds the operator and the Kubernetes of hack/cluster to the same versions of what both are made of, so that Go compiles
// that once for both. Otherwise it takes minutes more to build all for the first time.
func TestKubernetesSharesModules(t *testing.T) {
	const theirFile = "hack/cluster/components/kubernetes/go.mod"
	ours, theirs := requirements(t, "go.mod"), requirements(t, theirFile)
	shared := 0
	for path, version := range ours {
		switch other, both := theirs[path]; {
		case !both:
		case version == other:
			shared++
		default:
			t.Errorf("go.mod has %s %s, and %s has %s: raise the lower one", path, version, theirFile, other)
		}
	}
	if shared == 0 {
		t.Error("the two have nothing in common")
	}
}

// requirements returns the versions that a go.mod requires of modules, or replaces them with.
func requirements(t *testing.T, name string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := modfile.Parse(name, content, nil)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, required := range parsed.Require {
		versions[required.Mod.Path] = required.Mod.Version
	}
	for _, replaced := range parsed.Replace {
		versions[replaced.Old.Path] = replaced.New.Version
	}
	return versions
}
