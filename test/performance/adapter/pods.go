package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
)

// withEndpoints starts the pods in a process of their own, and calls a function with their addresses. The process ends with it.
func withEndpoints(ctx context.Context, n int, do func([]netip.AddrPort) error) (err error) {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the program of the pods: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, "-endpoints", "-pods", fmt.Sprint(n))
	cmd.Stderr = os.Stderr
	// Ctrl-C is for the benchmark, whose end is theirs.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return fmt.Errorf("starting the pods: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the pods: %w", err)
	}
	defer func() {
		if ended := errors.Join(in.Close(), cmd.Wait()); ended != nil && err == nil && ctx.Err() == nil {
			err = fmt.Errorf("the process of the pods: %w", ended)
		}
	}()
	addresses, err := readAddresses(out, n)
	if err != nil {
		return err
	}
	return do(addresses)
}

func readAddresses(r io.Reader, n int) ([]netip.AddrPort, error) {
	var addresses []netip.AddrPort
	for lines := bufio.NewScanner(r); len(addresses) < n; {
		if !lines.Scan() {
			return nil, errors.Join(fmt.Errorf("%d of %d pods have started", len(addresses), n), lines.Err())
		}
		address, err := netip.ParseAddrPort(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("reading the addresses of the pods: %w", err)
		}
		addresses = append(addresses, address)
	}
	return addresses, nil
}

// documentSize returns how large the answer of a pod is.
func documentSize(ctx context.Context, address netip.AddrPort) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address.String()+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("asking a pod for its metrics: %w", err)
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	return int(n), err
}
