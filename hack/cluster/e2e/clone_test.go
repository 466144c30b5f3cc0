//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clone is a project folder like a second clone would be: it has the components' sources and shares the built binaries.
type clone struct{ root string }

func here(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// newClone makes a project folder with the cluster command built from this tree, and takes its cluster down at the end.
func newClone(t *testing.T) clone {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the e2e test runs real clusters and needs root")
	}
	module := filepath.Dir(here(t))
	project := filepath.Dir(filepath.Dir(module))
	c := clone{root: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(c.root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	mustRun(t, module, "go", "build", "-o", c.cluster(), ".")
	if err := os.CopyFS(filepath.Join(c.root, "hack", "cluster", "components"), os.DirFS(filepath.Join(module, "components"))); err != nil {
		t.Fatal(err)
	}
	built := filepath.Join(project, "bin", "k8s")
	if err := os.MkdirAll(built, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(built, filepath.Join(c.root, "bin", "k8s")); err != nil {
		t.Fatal(err)
	}
	mustRun(t, c.root, c.cluster(), "build")
	t.Cleanup(func() { _ = command(t, c, c.cluster(), "down").Run() })
	return c
}

func mustRun(t *testing.T, dir string, name string, arguments ...string) {
	t.Helper()
	cmd := exec.Command(name, arguments...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, arguments, err, output)
	}
}

func (c clone) cluster() string           { return filepath.Join(c.root, "bin", "cluster") }
func (c clone) binary(name string) string { return filepath.Join(c.root, "bin", "k8s", name) }

// id is what the cluster calls its cgroups: see newLayout.
func (c clone) id() string {
	sum := sha256.Sum256([]byte(c.root))
	return "gin-cluster-" + hex.EncodeToString(sum[:4])
}

func command(t *testing.T, c clone, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, arguments...)
	cmd.Dir = c.root
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(c.root, ".cluster", "kubeconfig"))
	return cmd
}

// run runs a subcommand that must succeed.
func (c clone) run(t *testing.T, arguments ...string) string {
	t.Helper()
	output, err := command(t, c, c.cluster(), arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("cluster %v: %v\n%s", arguments, err, output)
	}
	return string(output)
}

// fails runs a subcommand that must end with the given exit code.
func (c clone) fails(t *testing.T, code int, arguments ...string) {
	t.Helper()
	output, err := command(t, c, c.cluster(), arguments...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Fatalf("cluster %v: %v, want exit code %d\n%s", arguments, err, code, output)
	}
}

func (c clone) within(t *testing.T, limit time.Duration, arguments ...string) {
	t.Helper()
	start := time.Now()
	c.run(t, arguments...)
	took := time.Since(start)
	t.Logf("cluster %v took %s", arguments, took.Round(10*time.Millisecond))
	if took > limit {
		t.Errorf("cluster %v took %s, want less than %s", arguments, took, limit)
	}
}

func (c clone) kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	output, err := command(t, c, c.binary("kubectl"), arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %v: %v\n%s", arguments, err, output)
	}
	return string(output)
}

func (c clone) loadHello(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "hello")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./testdata/hello")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building hello: %v\n%s", err, output)
	}
	return c.run(t, "load-image", "--image", "localhost/hello:e2e", "--binary", binary)
}

// background starts a command, waits for a line with the given prefix, and returns the port that follows it.
func (c clone) background(t *testing.T, prefix, name string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.Env = command(t, c, name).Env
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	t.Cleanup(cancel)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if rest, found := strings.CutPrefix(lines.Text(), prefix); found {
			return strings.Fields(rest)[0]
		}
	}
	t.Fatalf("%s %v ended without a line that begins with %q", name, arguments, prefix)
	return ""
}

func expectHello(t *testing.T, c clone, url string) {
	t.Helper()
	output, err := command(t, c, "curl", "-sSf", "-m", "10", url).CombinedOutput()
	if err != nil || !strings.Contains(string(output), "hello from hello-") {
		t.Errorf("%s: %v: %s", url, err, output)
	}
}

// kill kills a part of the cluster by its record and waits until it is gone.
func (c clone) kill(t *testing.T, part string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(c.root, ".cluster", "pids", part+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct{ PID int }
	if err := json.Unmarshal(content, &recorded); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(recorded.PID, syscall.SIGKILL); err != nil {
		t.Fatalf("killing %s: %v", part, err)
	}
	eventually(t, 10*time.Second, func() bool { return !running(recorded.PID) })
}

// processes returns the pids of the processes that run in a folder of the clone or were started from it.
func (c clone) processes(t *testing.T) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() || !running(pid) {
			continue
		}
		arguments, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if strings.Contains(string(arguments), c.root) || strings.Contains(string(environment), "PATH="+c.root) {
			found = append(found, pid)
		}
	}
	return found
}

// running tells whether a process runs; one that only waits to be collected does not.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func eventually(t *testing.T, timeout time.Duration, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(timeout); !condition(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s", timeout)
		}
	}
}

// dump shows the ends of the logs of a cluster that failed.
func (c clone) dump(t *testing.T) {
	t.Helper()
	logs, _ := filepath.Glob(filepath.Join(c.root, ".cluster", "logs", "*.log"))
	for _, log := range logs {
		content, _ := os.ReadFile(log)
		lines := strings.Split(strings.TrimSpace(string(content)), "\n")
		t.Logf("--- %s\n%s", filepath.Base(log), strings.Join(lines[max(0, len(lines)-10):], "\n"))
	}
}

// machine is what a cluster could leave on the machine.
type machine struct {
	mounts, devices, folders, settings []string
}

func snapshotMachine(t *testing.T) machine {
	t.Helper()
	var m machine
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	m.mounts = strings.Split(string(mounts), "\n")
	for pattern, into := range map[string]*[]string{
		"/sys/class/net/*": &m.devices, "/run/*": &m.folders, "/run/netns/*": &m.folders, "/var/lib/*": &m.folders,
		"/var/log/pods": &m.folders, "/var/log/containers": &m.folders,
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		*into = append(*into, found...)
	}
	for _, name := range []string{"vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"} {
		value, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if err != nil {
			t.Fatal(err)
		}
		m.settings = append(m.settings, name+"="+strings.TrimSpace(string(value)))
	}
	return m
}

// expectUnchanged compares the machine with what it was before, and looks for the clone's own leftovers.
func (m machine) expectUnchanged(t *testing.T, c clone) {
	t.Helper()
	if left := c.processes(t); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if _, err := os.Stat(filepath.Join(c.root, ".cluster")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf(".cluster is left: %v", err)
	}
	// By name and not by comparison: other clusters may come and go meanwhile.
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		if left, err := filepath.Glob(pattern + c.id()); err != nil || len(left) > 0 {
			t.Errorf("cgroups are left: %v, error %v", left, err)
		}
	}
	after := snapshotMachine(t)
	for what, lists := range map[string][2][]string{
		"mounts": {m.mounts, after.mounts}, "devices": {m.devices, after.devices},
		"folders": {m.folders, after.folders}, "settings": {m.settings, after.settings},
	} {
		for _, entry := range lists[1] {
			if !slices.Contains(lists[0], entry) {
				t.Errorf("%s: %q is new", what, entry)
			}
		}
	}
}
