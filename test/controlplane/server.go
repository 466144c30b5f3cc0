package controlplane

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// server is one of the servers that envtest doesn't know.
type server struct {
	name  string
	flags []string
}

// daemon is a server that runs.
type daemon struct {
	cmd *exec.Cmd
	// done is closed when the server has ended, and err is why.
	done chan struct{}
	err  error
}

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
	pollInterval = 50 * time.Millisecond
)

func (cp *ControlPlane) startServer(ctx context.Context, s server) (*daemon, error) {
	path, certs, err := cp.dir.prepare(cp.assets, s.name)
	if err != nil {
		return nil, err
	}
	log, err := cp.dir.log(s.name)
	if err != nil {
		return nil, err
	}
	defer closeQuietly(log)
	port, err := freePort()
	if err != nil {
		return nil, fmt.Errorf("finding a port for %s: %w", s.name, err)
	}
	flags := []string{
		"--kubeconfig=" + cp.kubeconfig,
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		"--cert-dir=" + certs,
		"--leader-elect=false",
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
	}
	d := &daemon{cmd: exec.Command(path, append(flags, s.flags...)...), done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	// Ctrl-C goes to the test, which then stops its servers in order.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.name, err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	if err := d.waitHealthy(ctx, port); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w\n%s", s.name, err, cp.dir.tail(s.name)), d.stop())
	}
	return d, nil
}

func (d *daemon) waitHealthy(ctx context.Context, port int) error {
	// Its certificate is one it has just made for itself.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // a health check on loopback
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Second}
	url := "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + "/healthz"
	return wait.PollUntilContextTimeout(ctx, pollInterval, startTimeout, true, func(ctx context.Context) (bool, error) {
		select {
		case <-d.done:
			return false, fmt.Errorf("it ended: %w", d.err)
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return false, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return false, nil // it does not listen yet
		}
		defer func() { _ = resp.Body.Close() }()
		return resp.StatusCode == http.StatusOK, nil
	})
}

// stop asks the server to stop and waits until it has.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", filepath.Base(d.cmd.Path), err)
	}
	select {
	case <-d.done:
		return nil
	case <-time.After(stopTimeout):
		if err := d.cmd.Process.Kill(); err != nil {
			return fmt.Errorf("killing %s: %w", filepath.Base(d.cmd.Path), err)
		}
		<-d.done
		return fmt.Errorf("%s did not stop within %s and was killed", filepath.Base(d.cmd.Path), stopTimeout)
	}
}

// freePort returns a port on loopback that nobody listens on at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer closeQuietly(l)
	return l.Addr().(*net.TCPAddr).Port, nil
}
