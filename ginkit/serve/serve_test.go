package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/ginkit/health"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// patience is how long a test waits for what should happen at once.
const patience = 30 * time.Second

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// running is a server that a test runs.
type running struct {
	*Server
	health  *health.Health
	engine  *gin.Engine
	signals chan os.Signal
	endings chan error
	// drained ends the drain, which no clock does.
	drained chan time.Time

	mu    sync.Mutex
	log   bytes.Buffer
	calls []string
}

// Write is the log.
func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *running) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// called notes what happened, in order.
func (r *running) called(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, what)
}

func (r *running) order() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.calls...)
}

// newServer has two ports, and a long time to stop.
func newServer() *running {
	r := &running{engine: gin.New(), signals: make(chan os.Signal, 2), endings: make(chan error, 1), drained: make(chan time.Time)}
	log := slog.New(slog.NewJSONHandler(r, nil))
	r.health = health.New(log)
	r.engine.GET("/readyz", r.health.Readyz)
	r.engine.GET("/hello", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	r.Server = &Server{
		Ports: []Port{
			{Setting: "PORT", Handler: r.engine},
			{Setting: "METRICS_PORT", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "metrics") })},
		},
		Health: r.health, Log: log, Shutdown: time.Hour,
		host: "127.0.0.1", after: func(time.Duration) <-chan time.Time { return r.drained },
	}
	return r
}

// start runs the server until the test ends it, or ends.
func (r *running) start(t *testing.T) *running {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.endings <- r.Run(r.signals)
	}()
	t.Cleanup(func() {
		for range 2 {
			select {
			case r.signals <- syscall.SIGTERM:
			default:
			}
		}
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the server does not end")
		}
		if t.Failed() {
			t.Logf("log:\n%s", r.text())
		}
	})
	return r
}

// address returns where the port of a setting is served.
func (r *running) address(t *testing.T, setting string) string {
	t.Helper()
	found := ""
	eventually(t, setting+" is served", func() bool {
		for line := range strings.Lines(r.text()) {
			var entry struct{ Msg, Variable, Address string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" && entry.Variable == setting {
				found = entry.Address
			}
		}
		return found != ""
	})
	return found
}

func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.endings:
		return err
	case <-time.After(patience):
		t.Fatalf("the server does not end: %s", r.text())
		return nil
	}
}

// stop sends the signal and waits until the service drains.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.signals <- syscall.SIGTERM
	eventually(t, "the service drains", r.health.Draining)
}

// connection is one client's HTTP connection, which never sends a request twice.
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
	return &connection{conn, bufio.NewReader(conn)}, conn.SetDeadline(time.Now().Add(2 * patience))
}

func mustDial(t *testing.T, address string) *connection {
	t.Helper()
	conn, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// get sends a request and reads the whole answer. It returns whether the connection ends with it.
func (c *connection) get(path string) (status int, body string, last bool, err error) {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path); err != nil {
		return 0, "", false, fmt.Errorf("sending: %w", err)
	}
	response, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return 0, "", false, fmt.Errorf("reading the answer: %w", err)
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	return response.StatusCode, string(all), response.Close, err
}

func listen(t *testing.T) (listener net.Listener, port int) {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener, listener.Addr().(*net.TCPAddr).Port
}

func TestAPortThatIsTakenIsNamedAndNothingIsServed(t *testing.T) {
	_, taken := listen(t)
	for i, setting := range []string{"PORT", "METRICS_PORT"} {
		t.Run(setting, func(t *testing.T) {
			r := newServer()
			r.Ports[i].Number = taken
			r.Stops = []Stop{{Name: "store", Do: func(context.Context) error { r.called("store"); return nil }}}
			err := r.start(t).wait(t)
			want := fmt.Sprintf("opening port %d, from %s: listen tcp 127.0.0.1:%d: bind: address already in use", taken, setting, taken)
			if err == nil || err.Error() != want {
				t.Errorf("error %v\nwant  %s", err, want)
			}
			if strings.Contains(r.text(), "serving") {
				t.Errorf("something was served: %s", r.text())
			}
			if diff := cmp.Diff([]string{"store"}, r.order()); diff != "" {
				t.Errorf("stops (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAServerWithoutPortsOrWithABadOne(t *testing.T) {
	if err := (&Server{}).Run(nil); err == nil || err.Error() != "there is no port to serve" {
		t.Errorf("error %v", err)
	}
	r := newServer()
	r.Ports[0].Number = 70000
	if err := r.start(t).wait(t); err == nil || !strings.Contains(err.Error(), "opening port 70000, from PORT") {
		t.Errorf("error %v", err)
	}
}

// The order in which a service ends: it is not ready, says so to each client, finishes what is in flight, and then stops the rest.
//
//nolint:gocyclo // one story, step by step
func TestTheOrderOfAStop(t *testing.T) {
	r := newServer()
	release := make(chan struct{})
	begun := make(chan struct{})
	r.engine.GET("/long", func(c *gin.Context) {
		close(begun)
		<-release
		r.called("the request in flight ends")
		c.String(http.StatusOK, "done")
	})
	for _, name := range []string{"store", "queue", "telemetry"} {
		r.Stops = append(r.Stops, Stop{Name: name, Do: func(ctx context.Context) error {
			r.called(name)
			return ctx.Err()
		}})
	}
	r.start(t)
	address, private := r.address(t, "PORT"), r.address(t, "METRICS_PORT")
	long, idle := mustDial(t, address), mustDial(t, address)
	if status, body, last, err := idle.get("/readyz"); status != 200 || last || err != nil {
		t.Fatalf("before the stop: %d %s, last %v, %v", status, body, last, err)
	}
	answered := make(chan error, 1)
	go func() {
		status, body, last, err := long.get("/long")
		if err == nil && (status != 200 || body != "done" || !last) {
			err = fmt.Errorf("%d %q, last %v", status, body, last)
		}
		answered <- err
	}()
	<-begun
	r.stop(t)

	// In the drain new requests are answered, each with the wish to use another connection.
	fresh := mustDial(t, address)
	if status, body, last, err := fresh.get("/hello"); status != 200 || body != "hello" || !last || err != nil {
		t.Errorf("in the drain: %d %s, last %v, %v", status, body, last, err)
	}
	if status, body, last, err := idle.get("/readyz"); status != 503 || !strings.Contains(body, "draining") || !last || err != nil {
		t.Errorf("readiness in the drain: %d %s, last %v, %v", status, body, last, err)
	}
	// Who goes on using such a connection finds it closed.
	if _, _, _, err := idle.get("/hello"); err == nil {
		t.Error("a connection that was given up goes on")
	}
	close(r.drained)
	eventually(t, "the port is closed", func() bool {
		conn, err := dial(address)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	if status, body, _, err := mustDial(t, private).get("/"); status != 200 || body != "metrics" || err != nil {
		t.Errorf("metrics after the drain: %d %s, %v", status, body, err)
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if err := r.wait(t); err != nil {
		t.Errorf("error %v", err)
	}
	want := []string{"the request in flight ends", "telemetry", "queue", "store"}
	if diff := cmp.Diff(want, r.order()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if !strings.Contains(r.text(), "stopped, nothing was cut off") {
		t.Error("the log does not say that nothing was cut off")
	}
	if conn, err := dial(private); err == nil {
		conn.Close()
		t.Error("the metrics are still served")
	}
}

// Clients that keep their connections and reconnect when they are asked to, while one server stops and another is there: none may see an
// error. The drain ends when the last of them has moved, as an operator chooses it to be long enough.
func TestKeepAliveClientsLoseNothing(t *testing.T) {
	leaving, staying := newServer(), newServer()
	for name, r := range map[string]*running{"leaving": leaving, "staying": staying} {
		r.engine.GET("/name", func(c *gin.Context) { c.String(http.StatusOK, name) })
		r.start(t)
	}
	first, second := leaving.address(t, "PORT"), staying.address(t, "PORT")
	const clients, requests = 8, 50
	var all, warm, moved sync.WaitGroup
	failures := make(chan error, clients)
	end := make(chan struct{})
	warm.Add(clients)
	moved.Add(clients)
	for range clients {
		all.Go(func() {
			if err := keepAsking(first, second, leaving.health.Draining, requests, warm.Done, moved.Done, end); err != nil {
				failures <- err
			}
		})
	}
	waitFor(t, "all clients are served", &warm, failures)
	leaving.signals <- syscall.SIGTERM
	waitFor(t, "all clients have moved", &moved, failures)
	close(leaving.drained)
	if err := leaving.wait(t); err != nil {
		t.Errorf("the server that leaves: %v", err)
	}
	close(end)
	all.Wait()
	close(failures)
	for err := range failures {
		t.Errorf("a client: %v", err)
	}
}

// keepAsking asks the first server until it says that a connection ends, and from then on the second: there it asks a number of times
// and then until the end.
func keepAsking(first, second string, draining func() bool, requests int, warm, moved func(), end <-chan struct{}) error {
	conn, err := dial(first)
	if err != nil {
		return err
	}
	at, asked := "leaving", 0
	for {
		_, name, last, err := conn.get("/name")
		if err != nil || name != at {
			conn.Close()
			return fmt.Errorf("asking %q: %q, %w", at, name, err)
		}
		asked++
		switch {
		case at == "leaving" && asked == requests:
			warm()
		case at == "staying" && asked == requests:
			moved()
		}
		if last {
			conn.Close()
			if !draining() {
				return errors.New("a connection ends before the drain")
			}
			if conn, err = dial(second); err != nil {
				return err
			}
			at, asked = "staying", 0
		}
		select {
		case <-end:
			return conn.Close()
		default:
		}
	}
}

// waitFor waits for a group, but not if a client has failed that would have been part of it.
func waitFor(t *testing.T, what string, group *sync.WaitGroup, failures <-chan error) {
	t.Helper()
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	select {
	case <-done:
	case err := <-failures:
		t.Fatalf("until %s: %v", what, err)
	case <-time.After(patience):
		t.Fatalf("waited in vain until %s", what)
	}
}

func TestAConnectionThatIsIdleThroughoutTheDrainIsClosedInTheEnd(t *testing.T) {
	r := newServer().start(t)
	conn := mustDial(t, r.address(t, "PORT"))
	if status, _, last, err := conn.get("/hello"); status != 200 || last || err != nil {
		t.Fatalf("%d, last %v, %v", status, last, err)
	}
	r.stop(t)
	close(r.drained)
	if err := r.wait(t); err != nil {
		t.Errorf("error %v", err)
	}
	if _, err := conn.answers.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, want the end of the connection", err)
	}
}
