package testbed

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bin returns the path of a program that the Makefile builds.
func (c *Cluster) bin(name string) string { return filepath.Join(c.Root, "bin", name) }

// command prepares a program that ends, with time to clean up, when ctx does. Its kubectl and KUBECONFIG are the cluster's.
func (c *Cluster) command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir = c.Root
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 30 * time.Second
	command.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "KUBECONFIG=") })
	command.Env = append(command.Env, "KUBECONFIG="+c.Kubeconfig)
	return command
}

// stream runs a program and shows what it prints.
func (c *Cluster) stream(ctx context.Context, program string, arguments ...string) error {
	command := c.command(ctx, program, arguments...)
	command.Stdout, command.Stderr = c.out, c.out
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(program), strings.Join(arguments, " "), err)
	}
	return nil
}

// output runs a program and returns what it prints; the error has what it complains of.
func (c *Cluster) output(ctx context.Context, input, program string, arguments ...string) (string, error) {
	command := c.command(ctx, program, arguments...)
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(arguments, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Kubectl runs kubectl with the cluster's kubeconfig and returns what it prints; the error has what it complains of.
func (c *Cluster) Kubectl(ctx context.Context, arguments ...string) (string, error) {
	return c.output(ctx, "", c.kubectl(), arguments...)
}

// KubectlInput is Kubectl for arguments such as `apply -f -`, with the text that they read.
func (c *Cluster) KubectlInput(ctx context.Context, input string, arguments ...string) (string, error) {
	return c.output(ctx, input, c.kubectl(), arguments...)
}

// StartKubectl returns kubectl ready to be started, for arguments that don't end by themselves, such as port-forward.
func (c *Cluster) StartKubectl(ctx context.Context, arguments ...string) *exec.Cmd {
	return c.command(ctx, c.kubectl(), arguments...)
}

// kubectl prefers the version that belongs to the checkout's own cluster.
func (c *Cluster) kubectl() string {
	own := filepath.Join(c.Root, "bin", "k8s", "kubectl")
	if _, err := os.Stat(own); err == nil {
		return own
	}
	return "kubectl"
}
