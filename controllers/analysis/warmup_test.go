package analysis

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/podmetrics"
)

// asked is a pod that remembers what it was asked.
type asked struct {
	mu    sync.Mutex
	paths map[string]int
	odd   []string
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.paths[r.URL.RequestURI()]++
	if r.Method != http.MethodGet || r.Host != "hello-preview.shop" || r.UserAgent() != "gin-operator-warm-up" {
		a.odd = append(a.odd, r.Method+" "+r.Host+" "+r.UserAgent())
	}
	switch r.URL.Path {
	case "/away":
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	case "/broken":
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func warmUpPod(t *testing.T, name string, handler http.Handler) Pod {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return Pod{Pod: podmetrics.Pod{Name: name, UID: types.UID(name)}, HTTP: netip.MustParseAddrPort(strings.TrimPrefix(server.URL, "http://"))}
}

func TestWarmUpAsksEachPodForEachPath(t *testing.T) {
	t.Parallel()
	one, other := &asked{paths: map[string]int{}}, &asked{paths: map[string]int{}}
	pods := []Pod{warmUpPod(t, "one", one), warmUpPod(t, "other", other)}
	settings := &v1alpha1.WarmUp{
		RequestsPerSecond: new(int32(100)), MaxRequests: new(int32(48)),
		Requests: []v1alpha1.WarmUpRequest{
			{Path: "/users?limit=1&q=%20"}, {Path: "/away", ExpectedStatus: new(int32(302))}, {Path: "/broken"}, {Path: "/broken%2Ftoo", ExpectedStatus: new(int32(200))},
		},
	}
	ctx, stop := context.WithCancel(t.Context())
	w := startWarmUp(ctx, stop, newTransport(nil), settings, "hello-preview.shop", nil)
	t.Cleanup(stop)
	if got := w.soFar(); got.Sent != 0 {
		t.Errorf("requests to nobody: %+v", got)
	}
	w.aim(pods)
	answered := func() int {
		total := 0
		for _, a := range []*asked{one, other} {
			a.mu.Lock()
			for _, n := range a.paths {
				total += n
			}
			a.mu.Unlock()
		}
		return total
	}
	eventually(t, "end of the requests", func() bool { return answered() == 48 && w.soFar().Failed == 12 })
	if got := w.soFar(); got.Sent != 48 || !strings.HasPrefix(got.Message, "GET /broken was answered with 503 instead of 200 (pod ") {
		t.Errorf("%+v", got)
	}
	for _, a := range []*asked{one, other} {
		for _, path := range []string{"/users?limit=1&q=%20", "/away", "/broken", "/broken%2Ftoo"} {
			if a.paths[path] != 6 {
				t.Errorf("%s was asked for %d times: %v", path, a.paths[path], a.paths)
			}
		}
		if len(a.paths) != 4 || len(a.odd) > 0 {
			t.Errorf("asked for %v; %v", a.paths, a.odd)
		}
	}
}

func TestWarmUpGoesOnWhereAnotherStopped(t *testing.T) {
	t.Parallel()
	a := &asked{paths: map[string]int{}}
	settings := &v1alpha1.WarmUp{
		RequestsPerSecond: new(int32(100)), MaxRequests: new(int32(10)), Requests: []v1alpha1.WarmUpRequest{{Path: "/broken"}},
	}
	ctx, stop := context.WithCancel(t.Context())
	w := startWarmUp(ctx, stop, newTransport(nil), settings, "hello-preview.shop", &v1alpha1.WarmUpStatus{Sent: 7, Failed: 1, Message: "before"})
	t.Cleanup(stop)
	w.aim([]Pod{warmUpPod(t, "one", a)})
	eventually(t, "end of the requests", func() bool { return w.soFar().Failed == 4 })
	if got := w.soFar(); got.Sent != 10 || got.Message != "before" || a.paths["/broken"] != 3 {
		t.Errorf("%+v, %v", got, a.paths)
	}
}

// Who is gone, or never was there, answers nothing.
func TestWarmUpBlamesNoPodThatIsGone(t *testing.T) {
	t.Parallel()
	w := &warmUp{pods: []Pod{{Pod: podmetrics.Pod{UID: "here"}}}}
	w.count(Pod{Pod: podmetrics.Pod{UID: "gone"}}, "GET / was not answered")
	if w.result.Failed != 0 {
		t.Errorf("%+v", w.result)
	}
	w.count(Pod{Pod: podmetrics.Pod{UID: "here"}}, "GET / was not answered")
	w.count(Pod{Pod: podmetrics.Pod{UID: "here"}}, "")
	if w.result.Failed != 1 {
		t.Errorf("%+v", w.result)
	}
}

// TestWarmUpSaysWhatIsWrong tries answers that are none, each in its own words and without what was answered.
func TestWarmUpSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	hijack := func(answer string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = connection.Write([]byte(answer))
			connection.Close()
		})
	}
	// Not the port of a server that was closed, which the next one may get.
	gone := Pod{HTTP: netip.MustParseAddrPort("127.0.0.1:1")}
	w := &warmUp{client: newTransport(nil), host: "hello-preview.shop"}
	for name, tc := range map[string]struct {
		pod  Pod
		want string
	}{
		"nobody listens": {gone, "GET / was not answered: nothing listens on port "},
		"garbage":        {warmUpPod(t, "garbage", hijack("secret\r\n")), "GET / was not answered: the connection broke"},
		"half an answer": {warmUpPod(t, "half", hijack("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")), "the answer to GET / broke off"},
		"all is well":    {warmUpPod(t, "well", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), ""},
	} {
		got := w.send(t.Context(), tc.pod, &v1alpha1.WarmUpRequest{Path: "/"})
		if !strings.HasPrefix(got, tc.want) || strings.Contains(got, "secret") || (tc.want == "") != (got == "") {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
