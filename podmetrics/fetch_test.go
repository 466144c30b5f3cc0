package podmetrics

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serve returns the address of a server on loopback.
func serve(t *testing.T, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return netip.MustParseAddrPort(server.Listener.Addr().String())
}

// ask scrapes an address once, and returns what is wrong with it.
func ask(t *testing.T, s *Scraper, address netip.AddrPort) *Error {
	t.Helper()
	return s.fetch(t.Context(), newRequest(address, "/metrics"), map[string]*watched{}, newDocument())
}

func wantProblem(t *testing.T, problem *Error, reason Reason, message string) {
	t.Helper()
	if problem == nil || problem.Reason != reason || !strings.Contains(problem.Message, message) {
		t.Errorf("problem %v, want one of reason %s that says %q", problem, reason, message)
	}
}

func TestStatuses(t *testing.T) {
	s := start(t, nil, Options{})
	defer s.Close()
	for status, message := range map[int]string{
		404: "with 404: does it serve metrics, and is ports.metrics (METRICS_PORT) the port", 405: "METRICS_PORT", 401: "with 401: metrics have to be there without a login",
		503: "with 503", 204: "with 204",
	} {
		address := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		wantProblem(t, ask(t, s, address), ReasonStatus, message)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	s := start(t, nil, Options{})
	defer s.Close()
	var visits atomic.Int32
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { visits.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		address := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+elsewhere.String()+"/metrics", status)
		})
		wantProblem(t, ask(t, s, address), ReasonRedirect, "which is not followed")
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// The environment is read once in a process, and so can't be set for a test.
func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	if newTransport(Options{}).Proxy != nil {
		t.Error("the transport asks for a proxy")
	}
}

func TestAnAnswerOfAHundredMegabytesIsNotRead(t *testing.T) {
	const size = 100 << 20
	line := append(bytes.Repeat([]byte{'x'}, 1023), '\n')
	for name, announced := range map[string]bool{"announced": true, "chunked": false} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil, Options{Timeout: 5 * time.Second})
			defer s.Close()
			var written atomic.Int64
			done := make(chan struct{})
			address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				defer close(done)
				w.Header().Set("Content-Type", "text/plain")
				if announced {
					w.Header().Set("Content-Length", strconv.Itoa(size))
				}
				for range size / len(line) {
					n, err := w.Write(line)
					written.Add(int64(n))
					if err != nil {
						return
					}
				}
			})
			wantProblem(t, ask(t, s, address), ReasonTooLarge, "larger than 4194304 bytes")
			<-done
			// What the server was able to send before the connection was cut sits in the buffers of the kernel.
			if n := written.Load(); n > 40<<20 {
				t.Errorf("the server could send %d bytes", n)
			}
		})
	}
}

func TestAnAnswerOfJustTheSizeIsRead(t *testing.T) {
	const size = 1000
	for _, n := range []int{size - 1, size, size + 1} {
		s := start(t, nil, Options{MaxBytes: size})
		t.Cleanup(s.Close)
		body := append(bytes.Repeat([]byte{'\n'}, n-4), "x 1\n"...)
		address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush() // without a length
			_, _ = w.Write(body)
		})
		if problem := ask(t, s, address); n <= size && problem != nil {
			t.Errorf("%d bytes: %v", n, problem)
		} else if n > size {
			wantProblem(t, problem, ReasonTooLarge, "larger than 1000 bytes")
		}
	}
}

func TestAnAnswerThatTrickles(t *testing.T) {
	s := start(t, nil, Options{Timeout: 100 * time.Millisecond})
	defer s.Close()
	for name, begin := range map[string]func(http.ResponseWriter){
		"not at all": func(http.ResponseWriter) {},
		"but the header": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte("x 1\n"))
			w.(http.Flusher).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				begin(w)
				<-r.Context().Done()
			})
			wantProblem(t, ask(t, s, address), ReasonTimeout, "within 100ms")
		})
	}
}

func TestNobodyListens(t *testing.T) {
	s := start(t, nil, Options{})
	defer s.Close()
	// Not the port of a server that was closed, which the next one may get.
	address := netip.MustParseAddrPort("127.0.0.1:1")
	wantProblem(t, ask(t, s, address), ReasonUnreachable, "nothing listens on "+address.String()+": is ports.metrics (METRICS_PORT)")
}

func TestSomethingElseThanHTTP(t *testing.T) {
	s := start(t, nil, Options{})
	defer s.Close()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Write([]byte(strings.Repeat("\x15\x03\x01 garbage ", 1000)))
			_ = connection.Close()
		}
	}()
	problem := ask(t, s, netip.MustParseAddrPort(listener.Addr().String()))
	wantProblem(t, problem, ReasonUnreachable, "it can't be asked for /metrics")
	if len(problem.Message) > 400 {
		t.Errorf("the message has %d bytes of garbage", len(problem.Message))
	}
}

func TestOneConnectionIsUsedAgainAndAgain(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x 1\n")) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	s := start(t, nil, Options{})
	defer s.Close()
	for range 5 {
		if problem := ask(t, s, netip.MustParseAddrPort(server.Listener.Addr().String())); problem != nil {
			t.Fatal(problem)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("five scrapes took %d connections", n)
	}
}

func TestTheCallerDials(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })
	var dialled []string
	s := start(t, nil, Options{Dial: func(ctx context.Context, network, target string) (net.Conn, error) {
		dialled = append(dialled, target)
		return new(net.Dialer).DialContext(ctx, network, address.String())
	}})
	defer s.Close()
	if problem := ask(t, s, netip.MustParseAddrPort("10.0.0.1:9090")); problem != nil {
		t.Fatal(problem)
	}
	if !slices.Equal(dialled, []string{"10.0.0.1:9090"}) {
		t.Errorf("dialled %q", dialled)
	}
}

func TestWhatIsAskedFor(t *testing.T) {
	s := start(t, nil, Options{})
	defer s.Close()
	seen := make(chan http.Header, 1)
	address := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	_ = ask(t, s, address)
	header := <-seen
	if accept := header.Get("Accept"); !strings.HasPrefix(accept, "text/plain;version=0.0.4,application/openmetrics-text") {
		t.Errorf("Accept: %s", accept)
	}
	if encoding := header.Get("Accept-Encoding"); encoding != "" && encoding != "identity" {
		t.Errorf("Accept-Encoding: %s", encoding)
	}
}

func TestAScrapeEndsWithItsTarget(t *testing.T) {
	s := start(t, nil, Options{})
	defer s.Close()
	asked := make(chan struct{})
	address := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	began := time.Now()
	_ = s.fetch(ctx, newRequest(address, "/metrics"), map[string]*watched{}, newDocument())
	if took := time.Since(began); took >= 2*time.Second {
		t.Errorf("the scrape went on for %s", took)
	}
}
