//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const serviceURL = "http://198.19.0.100/"

// TestCluster takes one cluster through its life. The steps build on each other, so the first that fails ends the test.
func TestCluster(t *testing.T) {
	before := snapshotMachine(t)
	c := newClone(t)
	steps := []struct {
		name string
		run  func(*testing.T, clone)
	}{
		{"down without a cluster is fine", func(t *testing.T, c clone) { c.run(t, "down") }},
		{"status without a cluster says so", func(t *testing.T, c clone) { c.fails(t, 3, "status") }},
		{"up makes a node Ready in under 15 s", testUp},
		{"a pod from a binary answers", testPod},
		{"kubectl reaches the pod from an ordinary shell", testKubectl},
		{"metrics are there", testMetrics},
		{"a second up is quick", func(t *testing.T, c clone) { c.within(t, time.Second, "up") }},
		{"up repairs what was killed", testRepair},
		{"a second clone has a cluster of its own", testSecondClone},
		{"down ends all", func(t *testing.T, c clone) { c.run(t, "down") }},
		{"down works twice", func(t *testing.T, c clone) { c.run(t, "down") }},
		{"nothing is left", func(t *testing.T, c clone) { before.expectUnchanged(t, c) }},
		{"an interrupted up cleans up", testInterruptedUp},
		{"nothing is left after that", func(t *testing.T, c clone) { before.expectUnchanged(t, c) }},
		{"up works after a killed up", testKilledUp},
		{"down works after everything was killed", testKilledEverything},
		{"nothing is left in the end", func(t *testing.T, c clone) { before.expectUnchanged(t, c) }},
	}
	for _, step := range steps {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, c) }) {
			c.dump(t)
			t.FailNow()
		}
	}
}

func testUp(t *testing.T, c clone) {
	c.within(t, 15*time.Second, "up")
	c.run(t, "status")
	if _, err := os.Stat("/sys/fs/cgroup/cpu/" + c.id()); err != nil {
		if _, err := os.Stat("/sys/fs/cgroup/" + c.id()); err != nil {
			t.Fatalf("the cluster's cgroup is not called %s, so nothing could be said about what is left of it", c.id())
		}
	}
	if output := c.kubectl(t, "get", "nodes"); !strings.Contains(output, " Ready ") {
		t.Fatalf("the node is not Ready:\n%s", output)
	}
}

func testPod(t *testing.T, c clone) {
	c.loadHello(t)
	if output := c.loadHello(t); !strings.Contains(output, "was there already") {
		t.Errorf("the second load-image did not notice that nothing had changed: %s", output)
	}
	c.kubectl(t, "apply", "-f", filepath.Join(here(t), "testdata", "hello.yaml"))
	c.kubectl(t, "-n", "e2e", "rollout", "status", "deployment/hello", "--timeout=60s")
	output := c.run(t, "exec", "--", "curl", "-sSf", "-m", "10", serviceURL+"?lookup=hello.e2e.svc")
	if !strings.Contains(output, "hello from hello-") || !strings.Contains(output, "198.19.0.100") {
		t.Errorf("unexpected answer: %s", output)
	}
}

func testKubectl(t *testing.T, c clone) {
	if output := c.kubectl(t, "-n", "e2e", "logs", "deployment/hello"); !strings.Contains(output, "listening") {
		t.Errorf("logs: %s", output)
	}
	if output := c.kubectl(t, "-n", "e2e", "exec", "deployment/hello", "--", "/hello", "this"); output != "you said this\n" {
		t.Errorf("exec: %s", output)
	}
	address := c.background(t, "Forwarding from 127.0.0.1:", filepath.Join(c.root, "bin", "k8s", "kubectl"),
		"-n", "e2e", "port-forward", "service/hello", ":80")
	expectHello(t, c, "http://127.0.0.1:"+address)
	address = c.background(t, "forwarding http://127.0.0.1:", c.cluster(), "forward", "198.19.0.100:80")
	expectHello(t, c, "http://127.0.0.1:"+address)
}

func testMetrics(t *testing.T, c clone) {
	eventually(t, time.Minute, func() bool {
		output, err := command(t, c, c.binary("kubectl"), "top", "pods", "-n", "e2e", "--no-headers").Output()
		return err == nil && strings.Count(string(output), "hello-") == 2
	})
}

// testRepair kills one part after the other; the pods must not notice.
func testRepair(t *testing.T, c clone) {
	pods := func() string {
		return c.kubectl(t, "-n", "e2e", "get", "pods", "-o",
			"jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[0].restartCount}{\"\\n\"}{end}")
	}
	before := pods()
	for _, part := range []string{"forwarder", "containerd", "kubelet", "kube-apiserver", "etcd"} {
		c.kill(t, part)
		c.fails(t, 1, "status")
		c.run(t, "up")
		c.run(t, "status")
	}
	if after := pods(); after != before {
		t.Errorf("the pods have changed:\n%s\nbefore:\n%s", after, before)
	}
	c.run(t, "exec", "--", "curl", "-sSf", "-m", "10", serviceURL)
}

// testSecondClone runs a second cluster beside the first and checks that neither notices the other.
func testSecondClone(t *testing.T, c clone) {
	other := newClone(t)
	other.run(t, "up", "--name", "other", "--audit-log")
	if output := other.kubectl(t, "get", "nodes", "-o", "name"); strings.TrimSpace(output) != "node/other" {
		t.Errorf("nodes of the second cluster: %s", output)
	}
	if audit, err := os.ReadFile(filepath.Join(other.root, ".cluster", "logs", "audit.log")); err != nil || len(audit) == 0 {
		t.Errorf("no audit log: %v", err)
	}
	other.fails(t, 1, "up", "--name", "renamed")
	other.run(t, "down")
	c.run(t, "status")
	c.run(t, "exec", "--", "curl", "-sSf", "-m", "10", serviceURL)
}

func testInterruptedUp(t *testing.T, c clone) {
	for _, delay := range []time.Duration{200 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond} {
		up := command(t, c, c.cluster(), "up")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay)
		if err := up.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := up.Wait(); err == nil {
			t.Errorf("up succeeded although it was interrupted after %s", delay)
		}
		if left := c.processes(t); len(left) > 0 {
			t.Errorf("interrupted after %s, it left processes %v", delay, left)
		}
	}
	c.run(t, "down")
}

func testKilledUp(t *testing.T, c clone) {
	for _, delay := range []time.Duration{100 * time.Millisecond, 800 * time.Millisecond, 2500 * time.Millisecond} {
		up := command(t, c, c.cluster(), "up")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay)
		if err := up.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = up.Wait()
	}
	c.run(t, "up")
	c.run(t, "status")
}

// testKilledEverything leaves pods and shims without anybody to look after them.
func testKilledEverything(t *testing.T, c clone) {
	c.loadHello(t)
	c.kubectl(t, "apply", "-f", filepath.Join(here(t), "testdata", "hello.yaml"))
	c.kubectl(t, "-n", "e2e", "rollout", "status", "deployment/hello", "--timeout=60s")
	for _, pid := range c.processes(t) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	c.run(t, "down")
}
