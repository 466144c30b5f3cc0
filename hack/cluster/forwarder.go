package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// The forwarder is the process that makes the cluster's namespaces and joins the machine's loopback to the API server in
// them. It runs inside; the socket that it listens on was made outside and handed over, and a socket stays where it was made.

const (
	partForwarder     = "forwarder"
	listenerFD        = 3
	readinessFD       = 4
	internalForwarder = "-forwarder"
)

// startForwarder starts the forwarder. Without a holder it makes new namespaces, otherwise it joins the holder's.
func startForwarder(l layout, s *settings, holder *process) error {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.Port})
	if err != nil {
		return fmt.Errorf("listening for kubectl (if another program has taken the port, run `bin/cluster down`, then `up`): %w", err)
	}
	defer listener.Close()
	socket, err := listener.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	if address, ok := listener.Addr().(*net.TCPAddr); ok {
		s.Port = address.Port
	}
	ready, readyWriter, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	arguments := []string{internalForwarder, "--port", strconv.Itoa(s.Port)}
	if holder == nil {
		arguments = append(arguments, "--new")
	}
	command, closeLog, err := daemon(l, part{name: partForwarder, binary: self, arguments: arguments})
	if err != nil {
		return err
	}
	defer closeLog()
	command.Dir = l.project
	command.ExtraFiles = []*os.File{socket, readyWriter}
	err = launchForwarder(command, holder)
	readyWriter.Close()
	if err != nil {
		return fmt.Errorf("starting the forwarder: %w", err)
	}
	if err := recordStarted(l, partForwarder, command); err != nil {
		return err
	}
	return awaitForwarder(l, ready)
}

func launchForwarder(command *exec.Cmd, holder *process) error {
	if holder != nil {
		return inNamespaces(*holder, networkAndMounts, command.Start)
	}
	command.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET
	return command.Start()
}

// awaitForwarder reads what the forwarder has to say: one dot when its namespaces are set up, or nothing if it died.
func awaitForwarder(l layout, ready *os.File) error {
	if err := ready.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		return fmt.Errorf("the cluster's namespaces could not be set up:\n%s", tail(l.log(partForwarder), 5))
	}
	return nil
}

// forwarderCommand is the forwarder's own main function.
func forwarderCommand(_ context.Context, l layout, arguments []string) error {
	flags := flag.NewFlagSet("forwarder", flag.ContinueOnError)
	port := flags.Int("port", 0, "")
	fresh := flags.Bool("new", false, "")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if os.Getenv(markerVariable) != l.id {
		return errors.New("this command is started by `up` only")
	}
	if *fresh {
		if err := errors.Join(setUpMounts(l), setUpNetwork()); err != nil {
			return err
		}
	}
	listener, err := net.FileListener(os.NewFile(listenerFD, "listener"))
	if err != nil {
		return err
	}
	ready := os.NewFile(readinessFD, "ready")
	if _, err := ready.WriteString("."); err != nil {
		return err
	}
	ready.Close()
	target := net.JoinHostPort("127.0.0.1", strconv.Itoa(*port))
	return forward(listener, func() (net.Conn, error) { return net.Dial("tcp4", target) })
}

// forward joins every connection that comes in with one that dial makes, until the listener is closed.
func forward(listener net.Listener, dial func() (net.Conn, error)) error {
	for {
		incoming, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "accepting a connection:", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go func() {
			defer incoming.Close()
			outgoing, err := dial()
			if err != nil {
				fmt.Fprintln(os.Stderr, "connecting:", err)
				return
			}
			defer outgoing.Close()
			join(incoming, outgoing)
		}()
	}
}

// join copies both ways, and passes on the end of each direction by itself: a client may be done sending and still listen.
func join(a, b net.Conn) {
	done := make(chan struct{})
	go func() {
		copyAndClose(a, b)
		close(done)
	}()
	copyAndClose(b, a)
	<-done
}

func copyAndClose(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
