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

// needWrk installs wrk where it is missing, as hack/cluster does with what it needs.
func needWrk(ctx context.Context, out io.Writer) error {
	if _, err := exec.LookPath("taskset"); err != nil {
		return errors.New("missing: taskset, of the package util-linux: install what your distribution calls it and try again")
	}
	if _, err := exec.LookPath("wrk"); err == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("missing: wrk (this system has no apt-get): install what your distribution calls it and try again")
	}
	if os.Geteuid() != 0 {
		return errors.New("missing a Debian package: run `apt-get install wrk` as root and try again")
	}
	fmt.Fprintln(out, "installing a Debian package: wrk")
	install := func() error { return aptGet(ctx, "install", "-y", "--no-install-recommends", "wrk") }
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
		return fmt.Errorf("apt-get %s: %w: %s", strings.Join(arguments, " "), err, output)
	}
	return nil
}
