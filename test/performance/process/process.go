// Package process runs the servers that a benchmark measures, and tells what they use. A server never outlives the benchmark on Linux, however that
// ends.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to stop before it is killed.
const stopTimeout = 30 * time.Second

// Process is a server that the benchmark started. Make it with Start.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  string
	// stopping is closed before the process is asked to stop: until then, its end is a failure.
	stopping chan struct{}
	done     chan struct{}
	err      error
}

// Start starts a server, with variables besides those of this process, that writes to <logs>/<name>.log. If it ends before it is asked to, failed is
// called with the reason and the end of its log. It has to be started by the main goroutine, or one that lives as long as the server: on Linux the
// server ends with the thread.
func Start(name, logs string, env []string, failed func(error), program string, args ...string) (*Process, error) {
	path := filepath.Join(logs, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer log.Close()
	// It is stopped in its turn, after what depends on it, and so not by a context.
	cmd := exec.CommandContext(context.Background(), program, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the benchmark, which stops its servers in order
	endWithParent(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &Process{name: name, cmd: cmd, log: path, stopping: make(chan struct{}), done: make(chan struct{})}
	go p.wait(failed)
	return p, nil
}

func (p *Process) wait(failed func(error)) {
	p.err = p.cmd.Wait()
	close(p.done)
	select {
	case <-p.stopping:
	default:
		failed(fmt.Errorf("%s ended: %v; the end of its log:\n%s", p.name, p.cmd.ProcessState, p.tail()))
	}
}

// Stop asks the process to stop and waits until it has; after 30 s it kills it, and says so. It must be called once.
func (p *Process) Stop() error {
	close(p.stopping)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		<-p.done
		return nil // it has ended, and failed was told why
	}
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-p.done:
		return nil
	case <-timeout.C:
		err := p.cmd.Process.Kill()
		<-p.done
		return errors.Join(fmt.Errorf("%s did not stop within %s and was killed", p.name, stopTimeout), err)
	}
}

func (p *Process) tail() []byte {
	const limit = 4096
	content, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(content[max(0, len(content)-limit):])
}

// FreeAddress returns an address on loopback that nobody listens on at the moment.
func FreeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
