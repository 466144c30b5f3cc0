package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startTimeout is how long a server may take until it answers.
const startTimeout = 30 * time.Second

// ticksPerSecond is the unit of CPU times in /proc, which is the same on every Linux that Go runs on.
const ticksPerSecond = 100

// The kernel ends a server with the thread that started it. The main goroutine starts them all and stays on the main thread, which lives as
// long as this process, however that ends.
func init() { runtime.LockOSThread() }

// server is a process that answers on a port of its own.
type server struct {
	cmd     *exec.Cmd
	log     *bytes.Buffer // to be read once done is closed
	address string
	began   time.Time
	done    chan struct{}
}

// startServer starts a program. The environment is what a pod has, and what is in env.
func startServer(address string, env []string, program string, args ...string) (*server, error) {
	s := &server{log: &bytes.Buffer{}, address: address, done: make(chan struct{})}
	s.cmd = exec.CommandContext(context.Background(), program, args...) //nolint:gosec // whoever runs the benchmark names the programs; stop ends it
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GIN_MODE=release"}, env...)
	// Ctrl-C is for this process alone, which then stops what it started.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	s.began = time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	go func() {
		_ = s.cmd.Wait() // that it ended too early is seen by who asks it
		close(s.done)
	}()
	return s, nil
}

// stop ends the process at once: nobody waits for an answer any more, and a drain would take seconds.
func (s *server) stop() {
	_ = s.cmd.Process.Kill() // it may have ended by itself
	<-s.done
}

// ready waits until a path answers 200, and returns the answer and the time from the start of the process until then.
func (s *server) ready(ctx context.Context, path string) (body []byte, took time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s does not answer on %s within %s", s.cmd.Path, path, startTimeout))
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		body, err := get(ctx, client, "http://"+s.address+path)
		if err == nil {
			return body, time.Since(s.began), nil
		}
		select {
		case <-again.C:
		case <-s.done:
			return nil, 0, fmt.Errorf("%s ended: %s: %s", s.cmd.Path, s.cmd.ProcessState, strings.TrimSpace(s.log.String()))
		case <-ctx.Done():
			return nil, 0, errors.Join(context.Cause(ctx), err)
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", url, response.Status, body)
	}
	return body, err
}

// cpu returns the CPU time of the process so far.
func (s *server) cpu() (time.Duration, error) {
	path := fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid)
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time of a server: %w", err)
	}
	// The second field is the program's name in brackets, which may hold anything; user and system time are the 14th and 15th.
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s has %d fields", path, len(fields))
	}
	user, errUser := strconv.ParseInt(fields[11], 10, 64)
	system, errSystem := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticksPerSecond, errors.Join(errUser, errSystem)
}

// freeAddress returns an address on loopback that nobody listens on at the moment, and its port.
func freeAddress(ctx context.Context) (address, port string, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", fmt.Errorf("finding a free port: %w", err)
	}
	defer listener.Close()
	address = listener.Addr().String()
	_, port, err = net.SplitHostPort(address)
	return address, port, err
}

// twoCores returns two cores that this process may use.
func twoCores() (first, second string, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return "", "", fmt.Errorf("reading which cores there are: %w", err)
	}
	var cores []string
	for i := range 64 * len(set) {
		if len(cores) < 2 && set.IsSet(i) {
			cores = append(cores, strconv.Itoa(i))
		}
	}
	if len(cores) < 2 {
		return "", "", errors.New("the throughput needs two cores, one for the server and one for wrk, and there is one")
	}
	return cores[0], cores[1], nil
}
