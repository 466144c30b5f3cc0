package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// execCommand replaces this program by another one inside the cluster's network, with the machine's own file system.
func execCommand(_ context.Context, l layout, arguments []string) error {
	if len(arguments) > 0 && arguments[0] == "--" {
		arguments = arguments[1:]
	}
	if len(arguments) == 0 {
		return errors.New("exec takes a COMMAND, as in: bin/cluster exec -- kubectl get nodes")
	}
	if err := requireRoot(); err != nil {
		return err
	}
	holder, alive := namespaceHolder(l)
	if !alive {
		return errNotRunning
	}
	path, err := lookPath(l, arguments[0])
	if err != nil {
		return err
	}
	environment := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "KUBECONFIG=") || strings.HasPrefix(entry, "PATH=")
	})
	environment = append(environment, "KUBECONFIG="+l.kubeconfig(), "PATH="+os.Getenv("PATH")+":"+l.binDir())
	return inNamespaces(holder, networkOnly, func() error {
		return fmt.Errorf("running %s: %w", path, unix.Exec(path, arguments, environment))
	})
}

// lookPath finds a command in PATH, or else among the cluster's own (kubectl, etcd).
func lookPath(l layout, command string) (string, error) {
	path, err := exec.LookPath(command)
	if err == nil {
		return path, nil
	}
	if own := l.binary(command); !strings.Contains(command, "/") {
		if _, statErr := os.Stat(own); statErr == nil {
			return own, nil
		}
	}
	return "", err
}

// forwardCommand joins a port of the machine's loopback to an address in the cluster's network, until it is interrupted.
func forwardCommand(ctx context.Context, l layout, arguments []string) error {
	flags := flag.NewFlagSet("forward", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "where to listen; 0 takes a free port")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("forward takes one ADDRESS:PORT of the cluster's network")
	}
	if err := requireLoopback(*listen); err != nil {
		return err
	}
	if err := requireRoot(); err != nil {
		return err
	}
	if _, alive := namespaceHolder(l); !alive {
		return errNotRunning
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		listener.Close()
	}()
	fmt.Printf("forwarding http://%s to %s\n", listener.Addr(), flags.Arg(0))
	return forward(listener, func() (net.Conn, error) { return dialInside(ctx, l, flags.Arg(0)) })
}

// dialInside connects from within the cluster's network. The holder is looked up each time: it may have been replaced.
func dialInside(ctx context.Context, l layout, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	// A name would be looked up on other threads, which are outside.
	if net.ParseIP(host) == nil {
		return nil, fmt.Errorf("%s is no IP address", host)
	}
	holder, alive := namespaceHolder(l)
	if !alive {
		return nil, errNotRunning
	}
	var connection net.Conn
	err = inNamespaces(holder, networkOnly, func() error {
		var dialer net.Dialer
		connection, err = dialer.DialContext(ctx, "tcp", address)
		return err
	})
	return connection, err
}

// requireLoopback keeps forwarded ports from being reachable from other machines.
func requireLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", address, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("--listen %s: only a loopback address, such as 127.0.0.1:8080", address)
	}
	return nil
}
