package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// The ways in which kube-proxy can write its rules.
const (
	proxyIptables = "iptables"
	proxyNftables = "nftables"
)

// iptablesCommands are those that kube-proxy calls, each for both families.
var iptablesCommands = []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"}

// proxyMode returns how kube-proxy is to write its rules: into the kernel's older tables where it has them. They are replaced as a whole; with
// nf_tables, a connection that opens while a Service's rules change may find neither the old nor the new ones, and is refused. See
// docs/designs/0007-kube-proxy-mode.md.
func proxyMode() string {
	command := exec.Command("iptables-legacy", "--table", "nat", "--list-rules")
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET} // asking makes the tables
	if command.Run() != nil {
		return proxyNftables
	}
	return proxyIptables
}

// linkIptables gives the cluster's parts the older kind of iptables by the usual names, whichever the machine means by them.
func linkIptables(l layout) error {
	if err := os.MkdirAll(l.commands(), 0o755); err != nil {
		return err
	}
	for _, name := range iptablesCommands {
		legacy := legacyName(name)
		path, err := exec.LookPath(legacy)
		if err != nil {
			return fmt.Errorf("looking for %s: %w", legacy, err)
		}
		if err := os.Symlink(path, l.commands(name)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}

// legacyName returns what Debian calls the older kind of a command of iptables: ip6tables-restore is ip6tables-legacy-restore.
func legacyName(command string) string {
	for _, family := range []string{"ip6tables", "iptables"} {
		if rest, found := strings.CutPrefix(command, family); found {
			return family + "-legacy" + rest
		}
	}
	return command
}
