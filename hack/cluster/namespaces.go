package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// which namespaces of the cluster to enter.
type namespaces int

const (
	networkOnly namespaces = iota
	networkAndMounts
)

var errNotRunning = errors.New("the cluster is not running: run `bin/cluster up`")

// namespaceHolder returns a process that is in the cluster's namespaces. The forwarder made them, but any part keeps them.
func namespaceHolder(l layout) (process, bool) {
	for _, part := range []string{partForwarder, "containerd", "kubelet", "kube-apiserver", "etcd"} {
		if p, alive := l.recorded(part); alive {
			return p, true
		}
	}
	return process{}, false
}

// inNamespaces calls f on a thread of its own that has entered the holder's namespaces. Processes that f starts and sockets
// that it makes are in there too; both are the namespace's for good, whatever thread uses them later.
func inNamespaces(holder process, which namespaces, f func() error) error {
	result := make(chan error, 1)
	go func() {
		// Not unlocked: a thread that has been elsewhere must not serve other goroutines, so it ends with this one.
		runtime.LockOSThread()
		if err := enter(holder, which); err != nil {
			result <- fmt.Errorf("entering the cluster's namespaces: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}

func enter(holder process, which namespaces) error {
	fd, err := unix.PidfdOpen(holder.PID, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !holder.alive() {
		return errNotRunning
	}
	kinds := unix.CLONE_NEWNET
	if which == networkAndMounts {
		kinds |= unix.CLONE_NEWNS
		// Threads share their working directory and root; one that changes its mounts must have its own.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
	}
	return unix.Setns(fd, kinds)
}

// startPart starts a daemon in the cluster's namespaces, in a session of its own so that it outlives the shell, and records it.
func startPart(l layout, holder process, p part) error {
	command, closeLog, err := daemon(l, p)
	if err != nil {
		return err
	}
	defer closeLog()
	if err := inNamespaces(holder, networkAndMounts, command.Start); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	return recordStarted(l, p.name, command)
}

// daemon prepares a part's command with its log.
func daemon(l layout, p part) (*exec.Cmd, func(), error) {
	log, err := os.OpenFile(l.log(p.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, err
	}
	command := exec.Command(p.binary, p.arguments...)
	command.Dir = "/"
	command.Stdout, command.Stderr = log, log
	command.Env = []string{
		"PATH=" + l.commands() + ":" + l.binDir() + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		markerVariable + "=" + l.id,
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return command, func() { log.Close() }, nil
}

func recordStarted(l layout, name string, command *exec.Cmd) error {
	started, err := identify(command.Process.Pid)
	if err != nil {
		return fmt.Errorf("%s ended at once: %w", name, err)
	}
	// Nobody else collects it as long as this program runs; afterwards init does.
	go func() { _ = command.Wait() }()
	return l.record(name, started)
}
