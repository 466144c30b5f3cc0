package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load runs the generator to its end and returns the result.
func load(t *testing.T, args ...string) result {
	t.Helper()
	var stdout bytes.Buffer
	status := run(append(args, "-interval=0"), nil, &stdout, io.Discard)
	so := lastLine(t, stdout.String())
	if wantStatus := min(so.Failed, 1); status != wantStatus {
		t.Errorf("exit status %d with %d failures, want %d", status, so.Failed, wantStatus)
	}
	if !so.Done || so.InFlight != 0 {
		t.Errorf("done is %v with %d requests in flight at the end", so.Done, so.InFlight)
	}
	return so
}

// lastLine decodes what a script would.
func lastLine(t *testing.T, output string) result {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(output, "\n"), "\n")
	text, ok := strings.CutPrefix(lines[len(lines)-1], "load: ")
	var so result
	if err := json.Unmarshal([]byte(text), &so); !ok || err != nil {
		t.Fatalf("the last line is %q (%v), want \"load: {…}\"", lines[len(lines)-1], err)
	}
	return so
}

// rawServer serves each connection with a function of the test, for what a real HTTP server would never do.
func rawServer(t *testing.T, serve func(conn net.Conn, requests *bufio.Reader)) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() {
				defer conn.Close()
				serve(conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		connections.Wait()
	})
	return "http://" + listener.Addr().String()
}

// swallow reads until the client gives up.
func swallow(requests *bufio.Reader) {
	for {
		if _, err := requests.Discard(1); err != nil {
			return
		}
	}
}

const emptyAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

func TestAnswersAreCountedByStatusColorAndRevision(t *testing.T) {
	var count atomic.Int64
	switchAt := int64(30)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		color, revision := "blue", "r1"
		if count.Add(1) > switchAt {
			color, revision = "green", "r2"
		}
		w.Header().Set("X-App-Color", color)
		w.Header().Set("X-App-Revision", revision)
		fmt.Fprint(w, strings.Repeat("x", 100_000))
	}))
	defer server.Close()
	// One connection, so that the answers come in order.
	so := load(t, "-url", server.URL, "-rate=1000", "-max-requests=100", "-connections=1")
	if so.Requests != 100 || so.Failed != 0 || so.Status["200"] != 100 || count.Load() != 100 {
		t.Errorf("%d requests, %d failed, status %v, %d arrived; want 100 good ones", so.Requests, so.Failed, so.Status, count.Load())
	}
	blue, green := so.Colors["blue"], so.Colors["green"]
	if blue.Requests != 30 || green.Requests != 70 || so.Revisions["r1"].Requests != 30 || so.Revisions["r2"].Requests != 70 {
		t.Errorf("colours %+v, revisions %+v; want 30 before the switch, 70 after", so.Colors, so.Revisions)
	}
	if !blue.Last.Before(green.First) || blue.First.After(blue.Last) || blue.First.Before(so.Start) {
		t.Errorf("blue from %s to %s, green from %s: want the switch to be visible", blue.First, blue.Last, green.First)
	}
	if so.Connections.Opened != 1 || blue.NewConnections.Requests != 1 || green.NewConnections != nil {
		t.Errorf("connections %+v, new ones to blue %+v and green %+v; want the one to blue", so.Connections, blue.NewConnections, green.NewConnections)
	}
}

func TestFreshAndKeptConnections(t *testing.T) {
	tests := map[string]struct {
		fraction string
		want     func(opened int) bool
		wantText string
	}{
		"all kept":     {"0", func(n int) bool { return n >= 1 && n <= 4 }, "1 to 4"},
		"a half fresh": {"0.5", func(n int) bool { return n >= 101 && n <= 104 }, "101 to 104"},
		"all fresh":    {"1", func(n int) bool { return n == 200 }, "200"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var accepted atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					accepted.Add(1)
				}
			}
			server.Start()
			defer server.Close()
			so := load(t, "-url", server.URL, "-rate=2000", "-max-requests=200", "-connections=4", "-fresh-fraction", tc.fraction)
			if so.Failed != 0 || !tc.want(so.Connections.Opened) || int(accepted.Load()) != so.Connections.Opened {
				t.Errorf("%d failed, %d connections opened, %d accepted; want none failed and %s", so.Failed, so.Connections.Opened, accepted.Load(), tc.wantText)
			}
		})
	}
}

func TestTargetsTakeTurns(t *testing.T) {
	var first, second atomic.Int64
	count := func(n *atomic.Int64) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { n.Add(1) })
	}
	a, b := httptest.NewServer(count(&first)), httptest.NewServer(count(&second))
	defer a.Close()
	defer b.Close()
	so := load(t, "-url", a.URL, "-url", b.URL, "-rate=2000", "-max-requests=100")
	if so.Failed != 0 || first.Load() != 50 || second.Load() != 50 {
		t.Errorf("%d failed, %d and %d requests, want 50 each", so.Failed, first.Load(), second.Load())
	}
}

func TestFailuresAreToldApart(t *testing.T) {
	status := func(code int) func(*testing.T) string {
		return func(t *testing.T) string {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
			t.Cleanup(server.Close)
			return server.URL
		}
	}
	answer := func(text string) func(*testing.T) string {
		return func(t *testing.T) string {
			return rawServer(t, func(conn net.Conn, requests *bufio.Reader) {
				if _, err := http.ReadRequest(requests); err == nil {
					fmt.Fprint(conn, text)
				}
			})
		}
	}
	tests := map[string]struct {
		server func(*testing.T) string
		args   []string
		want   map[failureKind]int
		text   string
	}{
		// Not the port of a server that was closed, which the next one may get.
		"nobody listens": {server: func(*testing.T) string { return "http://127.0.0.1:1" }, want: map[failureKind]int{failedConnect: 3}, text: "connection refused"},
		"no answer in time": {server: func(t *testing.T) string {
			return rawServer(t, func(_ net.Conn, requests *bufio.Reader) { swallow(requests) })
		}, args: []string{"-timeout=1s"}, want: map[failureKind]int{failedTimeout: 3}, text: "timeout"},
		"half an answer in time": {server: func(t *testing.T) string {
			return rawServer(t, func(conn net.Conn, requests *bufio.Reader) {
				fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
				swallow(requests)
			})
		}, args: []string{"-timeout=1s"}, want: map[failureKind]int{failedTimeout: 3}, text: "body"},
		"closed without an answer":   {server: answer(""), want: map[failureKind]int{failedReset: 3}, text: "EOF"},
		"closed within the headers":  {server: answer("HTTP/1.1 200 OK\r\nContent-"), want: map[failureKind]int{failedReset: 3}, text: "EOF"},
		"closed within the body":     {server: answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), want: map[failureKind]int{failedReset: 3}, text: "EOF"},
		"closed within a chunk":      {server: answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf"), want: map[failureKind]int{failedReset: 3}, text: "EOF"},
		"not HTTP":                   {server: answer("SSH-2.0-OpenSSH\r\n\r\n"), want: map[failureKind]int{failedProtocol: 3}, text: "malformed"},
		"an interim answer is none":  {server: answer("HTTP/1.1 103 Early Hints\r\n\r\n" + emptyAnswer)},
		"the server fails":           {server: status(503), want: map[failureKind]int{failedStatus5xx: 3}, text: "status 503"},
		"the request is wrong":       {server: status(404), want: map[failureKind]int{failedStatus4xx: 3}, text: "status 404"},
		"a status that is allowed":   {server: status(404), args: []string{"-allow-status=404,429"}},
		"a redirection is an answer": {server: status(302)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, fresh := range []string{"0", "1"} {
				so := load(t, append([]string{"-url", tc.server(t), "-rate=100", "-max-requests=3", "-fresh-fraction", fresh}, tc.args...)...)
				failures := 0
				for _, n := range tc.want {
					failures += n
				}
				if so.Requests != 3 || so.Failed != failures || !maps.Equal(so.Failures, tc.want) || len(so.Errors) != failures {
					t.Errorf("fresh %s: %d of %d failed: %v, errors %v; want %v", fresh, so.Failed, so.Requests, so.Failures, so.Errors, tc.want)
				}
				for _, e := range so.Errors {
					if !strings.Contains(e.Text, tc.text) || e.Time.Before(so.Start) || e.URL == "" || tc.want[e.Kind] == 0 {
						t.Errorf("fresh %s: error %+v, want text with %q, a time, a URL and the kind", fresh, e, tc.text)
					}
				}
			}
		})
	}
}

// net/http's client would send the second request again on a new connection, and report a success.
func TestARequestThatMeetsAClosingConnectionIsAFailure(t *testing.T) {
	var arrived atomic.Int64
	url := rawServer(t, func(conn net.Conn, requests *bufio.Reader) {
		for i := range 2 {
			if _, err := http.ReadRequest(requests); err != nil {
				return
			}
			arrived.Add(1)
			if i == 0 {
				fmt.Fprint(conn, emptyAnswer)
			}
		}
	})
	so := load(t, "-url", url, "-rate=200", "-max-requests=10", "-connections=1")
	if so.Failures[failedReset] != 5 || so.Requests != 10 || arrived.Load() != 10 {
		t.Errorf("%d requests, failures %v, %d arrived; want every second of 10 failed and none sent twice", so.Requests, so.Failures, arrived.Load())
	}
}

func TestAConnectionClosedWhileIdleIsReplaced(t *testing.T) {
	url := rawServer(t, func(conn net.Conn, requests *bufio.Reader) {
		if _, err := http.ReadRequest(requests); err == nil {
			// No "Connection: close": the client finds out only by looking.
			fmt.Fprint(conn, emptyAnswer)
		}
	})
	to, err := parseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	opts, kept := options{timeout: patience, connections: 1}, map[string]*connection{}
	for i := range 3 {
		o := sendKept(&addresses{}, kept, request{due: time.Now(), target: &to}, opts)
		if o.failure != "" || o.status != http.StatusOK || !o.opened || o.closedIdle != (i > 0) {
			t.Fatalf("request %d: %+v, want a good answer on a new connection", i, o)
		}
		eventually(t, "the server has closed the connection", func() bool { return !kept[to.address].usable() })
	}
	kept[to.address].Close()
}

// patience is how long a test waits for what should happen in well under a second.
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

func TestAConnectionTheServerEndsIsNotUsedAgain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
	defer server.Close()
	so := load(t, "-url", server.URL, "-rate=1000", "-max-requests=50", "-connections=2")
	if so.Failed != 0 || so.Connections.Opened != 50 || so.Connections.ClosedIdle != 0 {
		t.Errorf("%d failed (%v), connections %+v; want none and one connection each", so.Failed, so.Errors, so.Connections)
	}
}

// A closed loop would have sent one request, and reported one slow answer.
func TestAStallCountsForEveryRequestThatWasDueInIt(t *testing.T) {
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once.Do(func() { <-time.After(600 * time.Millisecond) })
	}))
	defer server.Close()
	so := load(t, "-url", server.URL, "-rate=200", "-max-requests=100", "-connections=1", "-series=1s")
	if so.Failed != 0 || so.Requests != 100 {
		t.Fatalf("%d of %d failed: %v", so.Failed, so.Requests, so.Errors)
	}
	// The requests were due evenly over 0.5 s of a stall of 0.6 s: half of them had to wait for 0.35 s and more.
	if so.LatencyMs.P50 < 350 || so.LatencyMs.Max < 600 || so.LagMs.P50 < 350 {
		t.Errorf("latency %s, lag %s; want the wait of all requests in it", so.LatencyMs, so.LagMs)
	}
	if len(so.Series) != 1 || so.Series[0].Requests != 100 || so.Series[0].P50Ms != so.LatencyMs.P50 {
		t.Errorf("series %+v, want one second with all of it", so.Series)
	}
}

func TestARequestThatNoConnectionTakesUpInTimeFails(t *testing.T) {
	url := rawServer(t, func(_ net.Conn, requests *bufio.Reader) { swallow(requests) })
	// All are due at almost the same time: what waits for the first one waits for as long as it may.
	so := load(t, "-url", url, "-rate=100000", "-max-requests=20", "-connections=1", "-timeout=100ms")
	if so.Failures[failedTimeout] != 20 {
		t.Fatalf("failures %v, want 20 timeouts", so.Failures)
	}
	unsent := slices.ContainsFunc(so.Errors, func(e failedRequest) bool {
		return strings.Contains(e.Text, "not sent: waited 100ms for one of 1 connections")
	})
	if !unsent {
		t.Errorf("errors %v: none says that more connections are needed", so.Errors)
	}
}

func TestRateIsRoughlyKept(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	start := time.Now()
	so := load(t, "-url", server.URL, "-rate=500", "-duration=2s", "-series=1s", "-fresh-fraction=0.2")
	took := time.Since(start)
	// It can't be early: the last request is due after 1.998 s. How late it is depends on the machine.
	if so.Requests != 1000 || so.Failed != 0 || took < 1990*time.Millisecond || so.AchievedRate > 502 || so.AchievedRate < 250 {
		t.Errorf("%d requests, %d failed, in %s, %v/s; want 1000 at about 500/s", so.Requests, so.Failed, took, so.AchievedRate)
	}
	if len(so.Series) != 2 || so.Series[0].Requests != 500 || so.Series[1].Requests != 500 {
		t.Errorf("series %+v, want 500 requests in each of 2 seconds", so.Series)
	}
}

func TestASignalEndsTheRunWithItsResult(t *testing.T) {
	first := make(chan struct{})
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { once.Do(func() { close(first) }) }))
	defer server.Close()
	signals := make(chan os.Signal, 1)
	go func() {
		<-first
		signals <- syscall.SIGTERM
	}()
	var stdout bytes.Buffer
	if status := run([]string{"-url", server.URL, "-rate=100", "-duration=0"}, signals, &stdout, io.Discard); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	so := lastLine(t, stdout.String())
	if !so.Done || so.Requests == 0 || so.Failed != 0 || so.InFlight != 0 {
		t.Errorf("result %+v, want all requests that were sent, and none failed", so)
	}
	if !strings.HasPrefix(stdout.String(), "requests ") {
		t.Errorf("output %s lacks the table", stdout.String())
	}
}

func TestARunCanBeFollowedAndStoppedFromOutside(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-App-Color", "blue") }))
	defer server.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opts, err := parseOptions([]string{"-url", server.URL, "-rate=200", "-duration=0", "-series=1s"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	sending, stop := context.WithCancel(context.Background())
	defer stop()
	results, done := newResults(opts, time.Now()), make(chan struct{})
	go func() {
		generate(sending, opts, results)
		close(done)
	}()
	defer serveControl(listener, opts, results, stop, done, io.Discard).Close()

	call := func(method, path string) result {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+listener.Addr().String()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var so result
		if path == "/livez" || path == "/readyz" {
			if response.StatusCode != http.StatusOK {
				t.Errorf("%s: status %d", path, response.StatusCode)
			}
			return so
		}
		if err := json.NewDecoder(response.Body).Decode(&so); err != nil {
			t.Fatal(err)
		}
		return so
	}
	call(http.MethodGet, "/livez")
	call(http.MethodGet, "/readyz")
	var so result
	eventually(t, "there are answers", func() bool {
		so = call(http.MethodGet, "/result")
		return so.Colors["blue"].Requests >= 20
	})
	if so.Done {
		t.Error("a run that goes on says that it is done")
	}
	final := call(http.MethodPost, "/stop")
	if !final.Done || final.InFlight != 0 || final.Requests < so.Requests || final.Failed != 0 {
		t.Errorf("result after the stop is %+v, want the final one", final)
	}
	if again := call(http.MethodGet, "/result"); again.Requests != final.Requests {
		t.Errorf("%d requests after the stop, %d in its answer", again.Requests, final.Requests)
	}
}

func TestAPortThatIsTakenEndsItBeforeAnyLoad(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var stderr bytes.Buffer
	status := run([]string{"-url", "http://127.0.0.1:1", "-listen", taken.Addr().String()}, nil, io.Discard, &stderr)
	if status != 2 || !strings.Contains(stderr.String(), "-listen") || !strings.Contains(stderr.String(), "address already in use") {
		t.Errorf("exit status %d, message %q; want 2 and a message that names -listen", status, stderr.String())
	}
}
