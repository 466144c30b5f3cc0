package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// layout is where everything of one cluster lives. All of it is derived from the project's folder, so two clones of the
// project on one machine have two clusters that know nothing of each other.
type layout struct {
	// project is the absolute path of the project's root.
	project string
	// id tells this cluster's processes and cgroups from those of any other cluster on the machine.
	id string
}

// newLayout returns the layout of the project at the given root.
func newLayout(project string) layout {
	sum := sha256.Sum256([]byte(project))
	return layout{project: project, id: "gin-cluster-" + hex.EncodeToString(sum[:4])}
}

// findLayout looks for the project around the running binary (bin/cluster) first, then around the working directory.
func findLayout() (layout, error) {
	var starts []string
	if self, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(self))
	}
	if cwd, err := os.Getwd(); err == nil {
		starts = append(starts, cwd)
	}
	for _, start := range starts {
		if root, found := projectAbove(start); found {
			return newLayout(root), nil
		}
	}
	return layout{}, errors.New("no gin-operator project found above the binary or the working directory: " +
		"run bin/cluster from a clone of the project")
}

// projectAbove walks up from dir until a folder holds hack/cluster/components.
func projectAbove(dir string) (string, bool) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", false
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", false
	}
	for {
		if info, err := os.Stat(filepath.Join(dir, "hack", "cluster", "components")); err == nil && info.IsDir() {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

func (l layout) componentsDir() string {
	return filepath.Join(l.project, "hack", "cluster", "components")
}
func (l layout) binDir() string { return filepath.Join(l.project, "bin", "k8s") }
func (l layout) binary(name string) string {
	return filepath.Join(l.binDir(), name)
}

// state is the folder of the cluster that runs or ran last. The locks are outside: `down` removes it while it holds one.
func (l layout) state() string { return filepath.Join(l.project, ".cluster") }

func (l layout) in(elements ...string) string {
	return filepath.Join(append([]string{l.state()}, elements...)...)
}

// commands is where the commands are that its parts find before all others, or one of these.
func (l layout) commands(name ...string) string {
	return l.in(append([]string{"commands"}, name...)...)
}
func (l layout) logs() string              { return l.in("logs") }
func (l layout) log(name string) string    { return l.in("logs", name+".log") }
func (l layout) pids() string              { return l.in("pids") }
func (l layout) certs() string             { return l.in("certs") }
func (l layout) cert(name string) string   { return l.in("certs", name) }
func (l layout) config(name string) string { return l.in("config", name) }
func (l layout) kubeconfig() string        { return l.in("kubeconfig") }
func (l layout) settings() string          { return l.in("cluster.json") }

// makeStateDirs creates the folders that the parts write to.
func (l layout) makeStateDirs() error {
	// Whoever called sudo reads the kubeconfig and the logs from here; keys and data are in folders that are root's.
	for _, dir := range []string{l.state(), l.logs()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making the cluster's folders: %w", err)
		}
	}
	for _, dir := range []string{
		l.pids(), l.certs(), l.in("config"), l.in("etcd"),
		l.in("lib", "kubelet"), l.in("lib", "containerd"), l.in("log"), l.in("cni"),
	} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making the cluster's folders: %w", err)
		}
	}
	return nil
}
