package analysis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/podmetrics"
)

// dials notes what is dialled, and lets nobody through.
type dials struct {
	mu  sync.Mutex
	all map[string]bool
}

func (d *dials) dial(_ context.Context, _, address string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = map[string]bool{}
	}
	d.all[address] = true
	return nil, errors.New("nobody is to be reached")
}

func (d *dials) has(addresses ...string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !slices.ContainsFunc(addresses, func(a string) bool { return !d.all[a] })
}

// Whoever may write EndpointSlices, make pods, or write their status, must not have the operator dial anything for him.
func TestNothingIsDialledButPods(t *testing.T) {
	t.Parallel()
	gs := previewed()
	analysis := gs.Spec.Strategy.BlueGreen.Analysis
	analysis.Metrics = append(analysis.Metrics, compared(v1alpha1.ThresholdRange{Max: "2"}))
	analysis.WarmUp = &v1alpha1.WarmUp{RequestsPerSecond: new(int32(100)), FailureLimit: new(int32(100000)), Requests: []v1alpha1.WarmUpRequest{{Path: "//10.6.6.6/"}, {Path: "/x"}}}
	green := []*corev1.Pod{podOfColor(gs, v1alpha1.Green, "g1111", "10.0.1.1"), podOfColor(gs, v1alpha1.Green, "g2222", "10.0.1.2")}
	blue := podOfColor(gs, v1alpha1.Blue, "b1111", "10.0.0.1")
	forged := map[string]*corev1.Pod{}
	for suffix, address := range map[string]string{"local": "127.0.0.1", "cloud": "169.254.169.254", "node": "192.168.1.1", "orphan": "10.6.6.1", "other": "10.6.6.2"} {
		forged[suffix] = podOfColor(gs, v1alpha1.Green, suffix, address)
	}
	forged["node"].Spec.HostNetwork = true
	forged["orphan"].OwnerReferences = nil
	forged["other"].Labels[v1alpha1.LabelUID] = "uid-2"
	preview := slice(gs, "hello-preview", green...)
	for _, pod := range forged {
		preview.Endpoints = append(preview.Endpoints, slice(gs, "hello-preview", pod).Endpoints...)
	}
	for i := range preview.Endpoints {
		preview.Endpoints[i].Addresses = []string{"10.6.6.3"}
	}
	preview.Ports = []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(22))}}
	objects := []client.Object{green[0], green[1], blue, preview, slice(gs, "hello", blue)}
	for _, pod := range forged {
		objects = append(objects, pod)
	}
	w := newWorld(t, objects...)

	var scraped, warmed dials
	scraper, err := podmetrics.New(podmetrics.Options{Interval: 50 * time.Millisecond, Dial: scraped.dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scraper.Close)
	w.Runner = NewRunner(Options{Client: w.client, Live: w.client, Clock: w.clock, Source: NewPods(scraper), Dial: warmed.dial})
	t.Cleanup(w.end)
	w.pass(t, gs)
	eventually(t, "request to each pod", func() bool {
		return scraped.has("10.0.1.1:9090", "10.0.1.2:9090", "10.0.0.1:9090") && warmed.has("10.0.1.1:8080", "10.0.1.2:8080")
	})
	w.elapse(5 * time.Second)
	w.pass(t, gs)
	w.end()
	scraper.Close()
	if len(scraped.all) != 3 || len(warmed.all) != 2 {
		t.Errorf("scraped %v, warmed up %v", scraped.all, warmed.all)
	}
}

// piped answers each connection as a pod does that reads a request, and then does as it likes.
func piped(answer func(net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			if _, err := far.Read(make([]byte, 4096)); err == nil {
				answer(far)
			}
		}()
		return near, nil
	}
}

// TestWarmUpBearsWithPods tries pods that take their time, or have too much to say. In a bubble, ten seconds are none.
func TestWarmUpBearsWithPods(t *testing.T) {
	t.Parallel()
	pod := Pod{HTTP: netip.MustParseAddrPort("10.0.1.1:8080")}
	for name, tc := range map[string]struct {
		answer func(net.Conn)
		want   string
		takes  time.Duration
	}{
		"never answers": {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, "GET / was not answered in 10s", warmUpTimeout},
		"trickles": {func(c net.Conn) {
			_, err := fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
			for ; err == nil; _, err = c.Write([]byte{'x'}) {
				<-time.After(time.Second)
			}
		}, "the answer to GET / broke off", warmUpTimeout},
		"sends headers without end": {func(c net.Conn) {
			_, err := fmt.Fprint(c, "HTTP/1.1 200 OK\r\n")
			for err == nil {
				_, err = fmt.Fprint(c, "X: ", strings.Repeat("x", 4096), "\r\n")
			}
		}, "GET / was not answered: the connection broke", 0},
		"sends 100 MB": {func(c net.Conn) {
			_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 100<<20)
			sent := 0
			for chunk := make([]byte, 32<<10); err == nil; sent += len(chunk) {
				_, err = c.Write(chunk)
			}
			if sent > 2*warmUpBody {
				t.Errorf("%d bytes of it were read", sent)
			}
		}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport := newTransport(piped(tc.answer))
				w := &warmUp{client: transport, host: "hello-preview.shop"}
				begun := time.Now()
				got := w.send(t.Context(), pod, &v1alpha1.WarmUpRequest{Path: "/"})
				if took := time.Since(begun); got != tc.want || took != tc.takes {
					t.Errorf("%q after %s, want %q after %s", got, took, tc.want, tc.takes)
				}
				transport.(*http.Transport).CloseIdleConnections()
				<-time.After(time.Minute) // the pod notices, too
			})
		})
	}
}

func TestWarmUpKeepsToItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		settings := &v1alpha1.WarmUp{MaxRequests: new(int32(70)), Requests: []v1alpha1.WarmUpRequest{{Path: "/"}}}
		ctx, stop := context.WithCancel(t.Context())
		answers := func(c net.Conn) {
			_, _ = fmt.Fprint(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		}
		w := startWarmUp(ctx, stop, newTransport(piped(answers)), settings, "hello-preview.shop", nil)
		w.aim([]Pod{
			{Pod: podmetrics.Pod{UID: "one"}, HTTP: netip.MustParseAddrPort("10.0.1.1:8080")}, {Pod: podmetrics.Pod{UID: "two"}, HTTP: netip.MustParseAddrPort("10.0.1.2:8080")},
		})
		// Ten a second, to both together, and maybe one at once.
		for second := range int32(10) {
			synctest.Wait()
			if got := w.soFar(); got.Sent < min(70, 10*second) || got.Sent > min(70, 10*second+1) || got.Failed != 0 {
				t.Errorf("after %d seconds: %+v", second, got)
			}
			<-time.After(time.Second + time.Microsecond)
		}
		stop()
		synctest.Wait()
	})
}

// A pod that hangs holds up no more than there are places.
func TestWarmUpWaitsForPodsThatHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		settings := &v1alpha1.WarmUp{RequestsPerSecond: new(int32(100)), Requests: []v1alpha1.WarmUpRequest{{Path: "/"}}}
		ctx, stop := context.WithCancel(t.Context())
		hangs := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
		w := startWarmUp(ctx, stop, newTransport(piped(hangs)), settings, "hello-preview.shop", nil)
		w.aim([]Pod{{Pod: podmetrics.Pod{UID: "one"}, HTTP: netip.MustParseAddrPort("10.0.1.1:8080")}})
		<-time.After(5 * time.Second)
		// One more waits for its turn.
		if got := w.soFar(); got.Sent != warmUpAtOnce+1 || got.Failed != 0 {
			t.Errorf("after five seconds: %+v", got)
		}
		<-time.After(warmUpTimeout)
		if got := w.soFar(); got.Failed != warmUpAtOnce || !strings.HasPrefix(got.Message, "GET / was not answered in 10s") {
			t.Errorf("after fifteen seconds: %+v", got)
		}
		stop()
		synctest.Wait()
	})
}
