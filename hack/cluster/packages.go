package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// debianPackage is a package that something needs, and how to tell that it is there already, whoever installed it.
type debianPackage struct {
	name    string
	present func() bool
}

func inPath(command string) func() bool {
	return func() bool {
		_, err := exec.LookPath(command)
		return err == nil
	}
}

// installBuildPackages installs what the components' builds need beyond Go: only runc uses cgo.
func installBuildPackages(ctx context.Context, stale []staleComponent, out io.Writer) error {
	for _, s := range stale {
		if s.cgo {
			return installPackages(ctx, out, []debianPackage{
				{"gcc", inPath("gcc")},
				{"libc6-dev", func() bool { _, err := os.Stat("/usr/include/stdio.h"); return err == nil }},
				{"pkg-config", inPath("pkg-config")},
				{"libseccomp-dev", func() bool { return exec.Command("pkg-config", "--exists", "libseccomp").Run() == nil }},
			})
		}
	}
	return nil
}

// installRuntimePackages installs what running needs: kube-proxy calls iptables, or nft where the kernel has no tables for that.
func installRuntimePackages(ctx context.Context, out io.Writer) error {
	return installPackages(ctx, out, []debianPackage{{"nftables", inPath("nft")}, {"iptables", inPath("iptables-legacy")}})
}

func installPackages(ctx context.Context, out io.Writer, wanted []debianPackage) error {
	var missing []string
	for _, p := range wanted {
		if !p.present() {
			missing = append(missing, p.name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	list := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing: %s (Debian's names; this system has no apt-get): install what your distribution calls them "+
			"and try again", list)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing Debian packages: run `apt-get install %s` as root and try again", list)
	}
	fmt.Fprintf(out, "installing Debian packages: %s\n", list)
	install := func() error {
		return aptGet(ctx, append([]string{"install", "-y", "--no-install-recommends"}, missing...)...)
	}
	if install() == nil {
		return nil
	}
	// The package lists are missing or old on a fresh machine.
	if err := aptGet(ctx, "update"); err != nil {
		return err
	}
	return install()
}

func aptGet(ctx context.Context, arguments ...string) error {
	command := exec.CommandContext(ctx, "apt-get", append([]string{"-q"}, arguments...)...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	output, err := command.CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("apt-get %s: %w", strings.Join(arguments, " "), err), errors.New(lastLines(string(output), 15)))
	}
	return nil
}

// lastLines returns at most n lines from the end of text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
