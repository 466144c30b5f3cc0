package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// proxyTo returns a proxy to a server that stands in for the API server.
func proxyTo(t *testing.T, handler http.HandlerFunc) *proxy {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	p, err := startProxy(t.Context(), &rest.Config{Host: server.URL, BearerToken: "operator"}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ask sends a request as the operator would, and returns the status and the body of the answer.
func ask(ctx context.Context, t *testing.T, p *proxy, method, path, body string) (int, io.Reader) {
	t.Helper()
	client, err := rest.HTTPClientFor(p.config)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.config.Host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp.StatusCode, resp.Body
}

// echo answers with what it was asked.
func echo(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		panic(err)
	}
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "%s %s %s %s", req.Method, req.URL, req.Header.Get("Authorization"), body) //nolint:gosec // no browser reads it
}

func TestTheProxyRecordsEachRequestForWhatItIs(t *testing.T) {
	for name, tc := range map[string]struct {
		method, path, body string
		want               counts
		instance           string
	}{
		"an apply of a child is a write": {
			method: "PATCH", path: "/apis/apps/v1/namespaces/ns/deployments/svc-00001-blue?force=true", body: "{}",
			want: counts{writes: 1, kinds: map[string]int{"patch deployments": 1}}, instance: "ns/svc-00001-blue",
		},
		"so is one of a subresource, under its own name": {
			method: "PUT", path: "/apis/apps.gin-operator.dev/v1alpha1/namespaces/ns/ginservices/svc-00001/status", body: "{}",
			want: counts{writes: 1, kinds: map[string]int{"update ginservices/status": 1}}, instance: "ns/svc-00001",
		},
		"a creation has the name that its body has": {
			method: "POST", path: "/api/v1/namespaces/ns/services", body: `{"apiVersion":"v1","kind":"Service","metadata":{"name":"svc-00001-preview"}}`,
			want: counts{writes: 1, kinds: map[string]int{"create services": 1}}, instance: "ns/svc-00001-preview",
		},
		"an Event is counted apart": {
			method: "POST", path: "/apis/events.k8s.io/v1/namespaces/ns/events", body: `{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"svc-00001.1"}}`,
			want: counts{events: 1, kinds: map[string]int{"create events": 1}}, instance: "ns/svc-00001.1",
		},
		"what can't be read still counts": {
			method: "POST", path: "/api/v1/namespaces/ns/services", body: "nonsense",
			want: counts{writes: 1, kinds: map[string]int{"create services": 1}}, instance: "ns/",
		},
		"a get is a read": {
			method: "GET", path: "/api/v1/namespaces/ns/services/svc-00001",
			want: counts{reads: 1, kinds: map[string]int{"get services": 1}}, instance: "ns/svc-00001",
		},
		"so is the list of one namespace": {
			method: "GET", path: "/api/v1/namespaces/ns/pods?limit=10",
			want: counts{reads: 1, kinds: map[string]int{"list pods": 1}}, instance: "ns/",
		},
		"the list of all namespaces fills a cache": {
			method: "GET", path: "/api/v1/services",
			want: counts{informers: 1, kinds: map[string]int{"list services": 1}}, instance: "/",
		},
		"discovery counts for nothing": {method: "GET", path: "/apis/apps/v1", want: counts{kinds: map[string]int{}}, instance: "/"},
		"nor does asking who calls": {
			method: "POST", path: "/apis/authentication.k8s.io/v1/tokenreviews", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview"}`,
			want: counts{kinds: map[string]int{}}, instance: "/",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := proxyTo(t, echo)
			status, body := ask(t.Context(), t, p, tc.method, tc.path, tc.body)
			answer, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("%s %s Bearer operator %s", tc.method, tc.path, tc.body)
			if status != http.StatusCreated || string(answer) != want {
				t.Errorf("the API server was asked %q and answered %d, not %q", answer, status, want)
			}
			if diff := cmp.Diff(tc.want, p.count(everything), cmp.AllowUnexported(counts{})); diff != "" {
				t.Error(diff)
			}
			if got := p.list[0].instance; got != tc.instance {
				t.Errorf("the request is about %q, not %q", got, tc.instance)
			}
		})
	}
}

func TestTheNameOfWhatIsCreatedIsReadFromProtobuf(t *testing.T) {
	p := proxyTo(t, func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil || int64(len(body)) != req.ContentLength {
			t.Errorf("%d bytes of %d came through, error %v", len(body), req.ContentLength, err)
		}
		w.Header().Set("Content-Type", req.Header.Get("Content-Type"))
		_, _ = w.Write(body)
	})
	config := rest.CopyConfig(p.config)
	config.ContentType = runtime.ContentTypeProtobuf
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "svc-00001-abc"}}
	if _, err := clients.CoreV1().ConfigMaps("ns").Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, want := p.list[0].instance, "ns/svc-00001-abc"; got != want {
		t.Errorf("the request is about %q, not %q", got, want)
	}
}

func TestTheEventsOfAWatchPassAtOnce(t *testing.T) {
	events, ended := make(chan string), make(chan struct{})
	p := proxyTo(t, func(w http.ResponseWriter, req *http.Request) {
		defer close(ended)
		w.WriteHeader(http.StatusOK)
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case event := <-events:
				fmt.Fprintln(w, event)
			case <-req.Context().Done():
				return
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	_, body := ask(ctx, t, p, "GET", "/api/v1/services?watch=true", "")
	lines := bufio.NewReader(body)
	want := counts{informers: 1, kinds: map[string]int{"watch services": 1}}
	if diff := cmp.Diff(want, p.count(everything), cmp.AllowUnexported(counts{})); diff != "" {
		t.Errorf("when the watch begins: %s", diff)
	}
	for _, event := range []string{"ADDED", "MODIFIED"} {
		events <- event // the next is sent only when this one has come through
		if line, err := lines.ReadString('\n'); err != nil || line != event+"\n" {
			t.Errorf("%q came of %q, error %v", line, event, err)
		}
	}
	cancel()
	<-ended
	if diff := cmp.Diff(want, p.count(everything), cmp.AllowUnexported(counts{})); diff != "" {
		t.Errorf("when the watch has ended: %s", diff)
	}
}

func TestTheProxyIsForTheOperatorAlone(t *testing.T) {
	p := proxyTo(t, func(http.ResponseWriter, *http.Request) { t.Error("the request of somebody else was passed on") })
	for name, token := range map[string]string{"no token": "", "another token": "guessed"} {
		t.Run(name, func(t *testing.T) {
			config := rest.CopyConfig(p.config)
			config.BearerToken = token
			client, err := rest.HTTPClientFor(config)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Get(config.Host + "/api/v1/services")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized || len(p.list) > 0 {
				t.Errorf("the answer is %s, and %d requests were recorded", resp.Status, len(p.list))
			}
		})
	}
}

func TestAClientWithTheKubeconfigGetsThrough(t *testing.T) {
	p := proxyTo(t, echo)
	path, err := (&plane{dir: t.TempDir()}).writeKubeconfig(p.config)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(config.Host + "/api/v1/services")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("the answer is %s", resp.Status)
	}
}
