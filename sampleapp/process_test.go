package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

// runAsProgram makes the test binary behave as the program, so that signals and exit statuses are the real ones.
const runAsProgram = "SAMPLEAPP_TEST_RUNS_THE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(runAsProgram) != "" {
		main()
		return
	}
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// program is the service in a process of its own.
type program struct {
	cmd       *exec.Cmd
	ended     chan struct{}
	mu        sync.Mutex
	logs      bytes.Buffer
	addresses map[string]string // by the variable that sets the port
}

// start runs the program on free ports with the given environment, and ends it with the test.
func start(t *testing.T, env ...string) *program {
	t.Helper()
	p := &program{addresses: map[string]string{}, ended: make(chan struct{})}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The context ends with the test, before its clean-up functions run, and kills the process.
	p.cmd = exec.CommandContext(t.Context(), self)
	p.cmd.Env = append([]string{runAsProgram + "=1", "PORT=0"}, env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.follow(stderr)
	t.Cleanup(func() {
		p.waitEnd(t)
		if t.Failed() {
			t.Logf("log of %v:\n%s", env, p.log())
		}
	})
	return p
}

// follow keeps the log, and picks the ports out of it.
func (p *program) follow(stderr io.Reader) {
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		var line struct {
			Message, Variable, Address string
		}
		serving := json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "serving"
		p.mu.Lock()
		p.logs.Write(append(lines.Bytes(), '\n'))
		if serving {
			p.addresses[line.Variable] = line.Address
		}
		p.mu.Unlock()
	}
	// The tests read the exit status, which is all that this error tells.
	if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState == nil {
		panic(err)
	}
	close(p.ended)
}

func (p *program) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logs.String()
}

// address waits until the program serves the port that a variable sets, and returns where.
func (p *program) address(t *testing.T, variable string) string {
	t.Helper()
	address := ""
	eventually(t, "the program serves "+variable, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		address = p.addresses[variable]
		return address != ""
	})
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + port
}

func (p *program) signal(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// waitEnd waits for the process to end and returns its exit status, -1 if a signal ended it.
func (p *program) waitEnd(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("the program does not end: %s", p.log())
		return 0
	}
}

// patience is how long a test waits for what should happen in well under a second.
const patience = 30 * time.Second

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// connection is one client's HTTP connection. It never sends a request twice, as net/http's client does on the quiet.
type connection struct {
	net.Conn
	answers *bufio.Reader
}

func dial(address string) (*connection, error) {
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{conn, bufio.NewReader(conn)}, nil
}

// get sends a request and reads the whole answer. It returns which revision that came from, and whether the connection ends with it.
func (c *connection) get(target string) (revision string, last bool, err error) {
	got, err := c.ask(message(http.MethodGet, target, ""))
	if err == nil && got.status != http.StatusOK {
		err = errors.New(got.String())
	}
	return got.header.Get("X-App-Revision"), got.last, err
}

// get sends a request with net/http's client and returns the status and body of the answer.
func get(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	return response.StatusCode, string(all), err
}

// balancer gives new connections to the first program for as long as that is ready, and to the second from then on, as the proxy of
// a cluster does.
type balancer struct {
	first, second string
	moved         atomic.Bool
}

// watch asks the first program's readiness until it fails.
func (b *balancer) watch(stop <-chan struct{}) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !b.moved.Load() {
		select {
		case <-ticker.C:
			conn, err := dial(b.first)
			if err == nil {
				_, _, err = conn.get("/readyz")
				conn.Close()
			}
			b.moved.Store(err != nil)
		case <-stop:
			return
		}
	}
}

func (b *balancer) dial() (*connection, error) {
	if b.moved.Load() {
		return dial(b.second)
	}
	return dial(b.first)
}

// tally counts what clients saw.
type tally struct {
	mu         sync.Mutex
	byRevision map[string]int
	failures   []string
}

func (t *tally) add(revision string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failures = append(t.failures, err.Error())
		return
	}
	t.byRevision[revision]++
}

func (t *tally) of(revision string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byRevision[revision]
}

// client sends requests until it is told to stop: on one connection for as long as the server lets it, or on a new one each.
func client(b *balancer, results *tally, fresh bool, pause time.Duration, stop <-chan struct{}) {
	var conn *connection
	for {
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
		if conn == nil {
			var err error
			if conn, err = b.dial(); err != nil {
				results.add("", fmt.Errorf("connecting: %w", err))
				continue
			}
		}
		revision, last, err := conn.get("/api/v1/ping")
		results.add(revision, err)
		if err != nil || fresh || last {
			conn.Close()
			conn = nil
		}
	}
}

// A drain must lose no request: neither of clients that open a connection each time, nor of those that keep theirs, nor one that is in
// flight for longer than the drain lasts.
func TestDrainLosesNoRequest(t *testing.T) {
	leaving := start(t, "GIN_SERVICE_REVISION=leaving", "GIN_SERVICE_SHUTDOWN_SECONDS=20", "DRAIN_SECONDS=1")
	staying := start(t, "GIN_SERVICE_REVISION=staying")
	b := &balancer{first: leaving.address(t, "PORT"), second: staying.address(t, "PORT")}
	inFlight := longRequest(t, b.first, 5000)

	results := &tally{byRevision: map[string]int{}}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	clients.Go(func() { b.watch(stop) })
	for i := range 12 {
		clients.Go(func() { client(b, results, i%2 == 0, 2*time.Millisecond, stop) })
	}
	// One that is idle for most of the drain: its connection must be open when it comes back.
	clients.Go(func() { client(b, results, false, 400*time.Millisecond, stop) })
	eventually(t, "the first program answers", func() bool { return results.of("leaving") > 500 })

	leaving.signal(t)
	if response := <-inFlight; response.err != nil || !response.last {
		t.Errorf("the request in flight: error %v, last on its connection %v; want no error, true", response.err, response.last)
	}
	if status := leaving.waitEnd(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	before := results.of("staying")
	eventually(t, "the second program has all traffic", func() bool { return results.of("staying") > before+500 })
	close(stop)
	clients.Wait()
	if len(results.failures) > 0 {
		t.Errorf("%d failed requests, among them %s", len(results.failures), results.failures[0])
	}
	t.Logf("%d requests answered before, %d after, %d failed", results.of("leaving"), results.of("staying"), len(results.failures))
}

// outcome is how a long request ended.
type outcome struct {
	err  error
	last bool // the answer said that the connection ends with it
}

// longRequest sends a request that takes ms milliseconds and returns once it is in flight, as the only one.
func longRequest(t *testing.T, address string, ms int) <-chan outcome {
	t.Helper()
	conn, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	result := make(chan outcome, 1)
	go func() {
		_, last, err := conn.get(fmt.Sprintf("/api/v1/load/sleep?ms=%d", ms))
		result <- outcome{err: err, last: last}
	}()
	eventually(t, "the long request is in flight", func() bool { return activeRequests(t, address) == 1 })
	return result
}

// activeRequests reads from the program's metrics how many GETs it is answering; that of the metrics is not one of them.
func activeRequests(t *testing.T, address string) int {
	t.Helper()
	_, body, err := get(t, "http://"+address+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(body) {
		var active int
		if _, err := fmt.Sscanf(line, `http_server_active_requests{http_request_method="GET"} %d`, &active); err == nil {
			return active
		}
	}
	t.Fatal("there is no http_server_active_requests")
	return 0
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	p := start(t, "GIN_SERVICE_SHUTDOWN_SECONDS=3600", "DRAIN_SECONDS=1800")
	conn, err := dial(p.address(t, "PORT"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.get("/api/v1/ping"); err != nil {
		t.Fatal(err)
	}
	p.signal(t)
	eventually(t, "the drain has begun", func() bool { return strings.Contains(p.log(), "draining") })
	p.signal(t)
	if status := p.waitEnd(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

func TestRequestsThatTakeTooLongAreCutOffBeforeTheKill(t *testing.T) {
	p := start(t, "GIN_SERVICE_SHUTDOWN_SECONDS=1", "DRAIN_SECONDS=0")
	cut := longRequest(t, p.address(t, "PORT"), 20_000)
	p.signal(t)
	if status := p.waitEnd(t); status != 1 || !strings.Contains(p.log(), "requests took longer than the 900ms") {
		t.Errorf("exit status %d, want 1 and a log that says why", status)
	}
	if response := <-cut; response.err == nil {
		t.Error("the request was answered")
	}
}

func TestCrashOnDemand(t *testing.T) {
	p := start(t, "CRASH_AFTER=50ms")
	p.address(t, "PORT")
	if status := p.waitEnd(t); status != 1 || !strings.Contains(p.log(), "CRASH_AFTER") {
		t.Errorf("exit status %d, want 1 and a log that says why", status)
	}
}

func TestDelayedStartCanBeStopped(t *testing.T) {
	p := start(t, "STARTUP_DELAY=1h")
	eventually(t, "the program waits", func() bool { return strings.Contains(p.log(), "STARTUP_DELAY") })
	p.signal(t)
	if status := p.waitEnd(t); status != 0 || strings.Contains(p.log(), `"serving"`) {
		t.Errorf("exit status %d after a stop during the delay, want 0 and no open port", status)
	}
}

// listen opens a free port.
func listen(t *testing.T) (listener net.Listener, port string) {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, port, err = net.SplitHostPort(listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	return listener, port
}

func TestMetricsHaveAPortOfTheirOwn(t *testing.T) {
	free, port := listen(t)
	free.Close()
	p := start(t, "METRICS_PORT="+port)
	public, private := p.address(t, "PORT"), p.address(t, "METRICS_PORT")
	for target, want := range map[string]int{
		public + "/metrics": 404, public + "/health": 404, public + "/livez": 200, public + "/readyz": 200, public + "/api/v1/ping": 200,
		private + "/metrics": 200, private + "/health": 200, private + "/api/v1/ping": 404, private + "/api/v1/users": 404,
	} {
		if status, _, err := get(t, "http://"+target); err != nil || status != want {
			t.Errorf("%s: status %d (%v), want %d", target, status, err, want)
		}
	}
}

func TestStartsThatCannotWork(t *testing.T) {
	taken, port := listen(t)
	defer taken.Close()
	tests := map[string]struct {
		env  string
		want string
	}{
		"a wrong value":        {"ERROR_RATE=often", `ERROR_RATE: \"often\" is not a number from 0 to 1`},
		"a port that is taken": {"PORT=" + port, fmt.Sprintf("opening port %s, from PORT: listen tcp :%s: bind: address already in use", port, port)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := start(t, tc.env)
			if status := p.waitEnd(t); status != 1 {
				t.Errorf("exit status %d, want 1", status)
			}
			if log := p.log(); strings.Count(log, "\n") != 1 || !strings.Contains(log, tc.want) {
				t.Errorf("log is %s\nwant one line with %s", log, tc.want)
			}
		})
	}
}
