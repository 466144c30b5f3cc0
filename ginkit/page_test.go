package ginkit_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program returns the program that a page of the documentation shows.
func program(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```go\npackage main\n")
	code, _, ended := strings.Cut(rest, "```\n")
	if !found || !ended {
		t.Fatalf("%s shows no program", page)
	}
	return "package main\n" + code
}

// What the first page for users has them copy compiles, answers as the page says, and ends well.
func TestTheProgramOfTheFirstPageWorks(t *testing.T) {
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "hello")
	if err := os.WriteFile(source, []byte(program(t, "../docs/your-service.md")), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", binary, "-ldflags", "-X main.version=v1", source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	service := exec.CommandContext(t.Context(), binary)
	service.Env = []string{"PORT=0", "DRAIN_SECONDS=0"}
	logs, err := service.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(logs)
	address := ""
	for address == "" && lines.Scan() {
		var line struct{ Message, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "serving" {
			address = line.Address
		}
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range [][2]string{
		{"/hello/you", `"message":"hello you"`}, {"/hello/nobody", `"code":"nobody_here"`}, {"/readyz", "ready"}, {"/metrics", "http_server_request_duration_seconds"},
	} {
		target, want := step[0], step[1]
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+target, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Timeout: 30 * time.Second}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s (%v), want %s", target, body, err, want)
		}
	}
	if err := service.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(logs)
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Wait(); err != nil || !strings.Contains(string(rest), "nothing was cut off") {
		t.Errorf("the service ends with %v and the log\n%s", err, rest)
	}
}
