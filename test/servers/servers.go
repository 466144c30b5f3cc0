// Package servers starts the real PostgreSQL, the real Redis and the real Prometheus of the machine for a test: on a free port of 127.0.0.1,
// with data of their own, ended with the test, also where it fails or its process is killed. They can be stopped, killed, frozen and started
// again at the same address, which is what a client has to live with.
//
// Nothing has to run beforehand, only to be installed: `make test-servers` does it. A test whose server is not installed fails.
package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is a server process, and the address that it has each time it runs. Its methods fail the test where they can't do what they say.
type Server struct {
	address string
	url     string
	log     string
	// command returns what runs it. account is who it runs as, nil for whoever runs the test.
	command []string
	account *syscall.Credential
	// stopSignal ends it in order, without waiting for clients; deathSignal is what it gets when the test's process is gone.
	stopSignal, deathSignal syscall.Signal
	ping                    func(context.Context) error

	mu      sync.Mutex
	process *os.Process   // nil while it doesn't run
	gone    chan struct{} // closed when the process has ended
}

// longest is how long anything here may take on a machine that is slow.
const longest = time.Minute

// URL returns where the server is, with the password that it asks for, if any.
func (s *Server) URL() string { return s.url }

// Address returns the host and the port.
func (s *Server) Address() string { return s.address }

// Start starts the server where it doesn't run, thaws it where it is frozen, and returns when it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.signalAll(syscall.SIGCONT)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	// A PostgreSQL that was killed may hold its shared memory for a moment longer, and the next one refuses to start.
	for {
		if err := s.launch(); err != nil {
			t.Fatalf("starting %s: %v", s.command[0], err)
		}
		if s.answers(ctx) {
			return
		}
		select {
		case <-s.gone:
		default:
			signal(s.process, syscall.SIGKILL)
			<-s.gone
		}
		s.process = nil
		if !pause(ctx) {
			t.Fatalf("%s does not start:\n%s", s.command[0], s.tail())
		}
	}
}

// launch runs the process in a thread that ends with it: Linux takes the end of the thread that started a process for the death of its
// parent.
func (s *Server) launch() error {
	log, err := os.OpenFile(s.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.command[0], s.command[1:]...)
	cmd.Dir = filepath.Dir(s.log)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes(s.account, s.deathSignal)
	started, gone := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			// How it ended is in its log.
			_ = cmd.Wait()
			close(gone)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process, s.gone = cmd.Process, gone
	return nil
}

// answers waits until the server does, or has ended.
func (s *Server) answers(ctx context.Context) bool {
	for {
		select {
		case <-s.gone:
			return false
		default:
		}
		if s.ping(ctx) == nil {
			return true
		}
		if !pause(ctx) {
			return false
		}
	}
}

// pause returns false when the time is over.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(50 * time.Millisecond):
		return true
	}
}

// Stop asks the server to end, and returns when it has.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.end(t, func() { signal(s.process, s.stopSignal) })
}

// Kill ends the server and its children without a word, as when the machine loses its power, and returns when they are gone.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.end(t, func() { s.signalAll(syscall.SIGKILL) })
}

// Freeze leaves the server there, and its port open, and makes it answer nothing until Thaw or Kill.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		t.Fatalf("%s does not run", s.command[0])
	}
	s.signalAll(syscall.SIGSTOP)
}

// Thaw undoes Freeze.
func (s *Server) Thaw(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		t.Fatalf("%s does not run", s.command[0])
	}
	s.signalAll(syscall.SIGCONT)
}

func (s *Server) end(t testing.TB, ask func()) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	ask()
	select {
	case <-s.gone:
	case <-time.After(longest):
		signal(s.process, syscall.SIGKILL)
		t.Errorf("%s does not end, and is killed:\n%s", s.command[0], s.tail())
		<-s.gone
	}
	s.process = nil
}

// signalAll reaches the children, too, which have sessions of their own in PostgreSQL. The parent is stopped first, so that it can't make
// another one that would be missed.
func (s *Server) signalAll(sig syscall.Signal) {
	if sig != syscall.SIGCONT {
		signal(s.process, syscall.SIGSTOP)
		s.awaitStop()
	}
	for _, child := range childrenOf(s.process.Pid) {
		// One that has ended by now is what was wanted.
		_ = syscall.Kill(child, sig)
	}
	signal(s.process, sig)
}

// awaitStop waits until the parent has stopped: it may be in the middle of a fork when the signal is sent.
func (s *Server) awaitStop() {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	for {
		state, _ := status(s.process.Pid)
		// Stopped, a zombie or gone, or nobody knows where there is no /proc.
		if state == "T" || state == "Z" || state == "" || !pause(ctx) {
			return
		}
	}
}

func signal(process *os.Process, sig syscall.Signal) {
	// The only error is that it has ended.
	_ = process.Signal(sig)
}

// childrenOf reads /proc, and returns none where there is none.
func childrenOf(parent int) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	var children []int
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if _, of := status(pid); of == parent {
			children = append(children, pid)
		}
	}
	return children
}

// status returns the state and the parent of a process as /proc has them: "" and 0 where it has none.
func status(pid int) (state string, parent int) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0
	}
	// pid (name) state parent …, where the name may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}
	if parent, err = strconv.Atoi(fields[1]); err != nil {
		return "", 0
	}
	return fields[0], parent
}

// tail returns the end of the server's log.
func (s *Server) tail() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4096):])
}

// follow ends the server with the test, and shows its log where the test has failed.
func (s *Server) follow(t testing.TB) {
	t.Cleanup(func() {
		s.mu.Lock()
		running := s.process != nil
		s.mu.Unlock()
		if running {
			// Something frozen takes no other signal.
			s.signalAll(syscall.SIGCONT)
		}
		s.Stop(t)
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", filepath.Base(s.command[0]), s.tail())
		}
	})
}

// ReservePort returns an address of 127.0.0.1 whose port nobody else is given while the test lasts, not even while the server is down: the
// port stays bound here, and never listens. A server can still bind it, because both sides set SO_REUSEADDR.
func ReservePort(t testing.TB) (address string, port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatalf("reserving a port: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		t.Fatalf("reserving a port: %v", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatalf("reserving a port: %v", err)
	}
	inet, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		t.Fatalf("reserving a port: it is %#v", name)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(inet.Port)), inet.Port
}

// binary returns the path of a program, or fails the test and says how to get it.
func binary(t testing.TB, name string, folders ...string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range folders {
		found, _ := filepath.Glob(filepath.Join(pattern, name))
		if len(found) > 0 {
			return slices.Max(found)
		}
	}
	t.Fatalf("%s is not installed: `make test-servers` installs it", name)
	return ""
}

// account returns who a server runs as that refuses root: nil where the test doesn't run as root.
func account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	var errs []error
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("nobody to run it as: %w", errors.Join(errs...))
}
