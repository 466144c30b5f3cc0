package servers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// StartPrometheus starts a Prometheus with a configuration, which is the text of prometheus.yml. Relative paths in it are relative to nothing
// that lasts: name files in full.
func StartPrometheus(t testing.TB, configuration string) *Server {
	t.Helper()
	prometheus := binary(t, "prometheus")
	folder := t.TempDir()
	file := filepath.Join(folder, "prometheus.yml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	address, _ := ReservePort(t)
	s := &Server{
		address: address,
		url:     "http://" + address,
		log:     filepath.Join(folder, "log"),
		command: []string{
			prometheus, "--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(folder, "data"), "--web.listen-address=" + address,
		},
		stopSignal:  syscall.SIGTERM,
		deathSignal: syscall.SIGKILL,
	}
	s.ping = func(ctx context.Context) error { return ready(ctx, s.url+"/-/ready") }
	s.follow(t)
	s.Start(t)
	return s
}

// Promtool returns the path of the program that checks what a Prometheus of the same version is to read.
func Promtool(t testing.TB) string {
	t.Helper()
	return binary(t, "promtool")
}

// ready asks whether a server says of itself that it is.
func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, longest/2)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
