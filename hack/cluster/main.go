package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `bin/cluster runs a real single-node Kubernetes, built from Go modules, on this machine.

Usage:
  cluster build [GROUP...]                      build into bin/k8s what is not up to date: control-plane node (the default) kwok gateway
  cluster up [--name NAME] [--audit-log]        build, start, wait until the node is Ready; repairs a damaged one
  cluster down [--keep-logs]                    stop and remove everything
  cluster status                                what runs; exit code 0 all well, 1 damaged, 3 not running
  cluster kubeconfig                            print the path of the kubeconfig
  cluster load-image --image REF --binary FILE  make an image of a static binary and load it (see load-image -h)
  cluster exec -- COMMAND...                    run a command inside the cluster's network namespace
  cluster forward [--listen 127.0.0.1:PORT] ADDRESS:PORT
                                                reach an address of the cluster's network from the host's loopback

Each command takes -h. The documentation is hack/cluster/README.md.
`

// exitCode ends the program with a code of its own; the message, if any, has been printed.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:])
	stop()
	var code exitCode
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &code):
		os.Exit(int(code))
	default:
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// commands maps each subcommand to its function. The one with a leading dash is internal: up starts it.
var commands = map[string]func(context.Context, layout, []string) error{
	"build":           buildCommand,
	"up":              upCommand,
	"down":            downCommand,
	"status":          statusCommand,
	"kubeconfig":      kubeconfigCommand,
	"load-image":      loadImageCommand,
	"exec":            execCommand,
	"forward":         forwardCommand,
	internalForwarder: forwarderCommand,
}

func run(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 || arguments[0] == "help" || arguments[0] == "-h" || arguments[0] == "--help" {
		fmt.Print(usage)
		return nil
	}
	command, known := commands[arguments[0]]
	if !known {
		return fmt.Errorf("unknown command %q\n\n%s", arguments[0], usage)
	}
	l, err := findLayout()
	if err != nil {
		return err
	}
	return command(ctx, l, arguments[1:])
}

func buildCommand(ctx context.Context, l layout, arguments []string) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	groups := flags.Args()
	if len(groups) == 0 {
		groups = []string{groupControlPlane, groupNode}
	}
	return build(ctx, l, groups, os.Stdout)
}
