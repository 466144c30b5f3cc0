package analysis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

const (
	defaultWarmUpRate   = 10
	defaultWarmUpMost   = 100_000
	defaultWarmUpStatus = http.StatusOK
	// warmUpTimeout is what one request of a warm-up may take, with its answer.
	warmUpTimeout = 10 * time.Second
	// warmUpAtOnce is how many of a rollout's are under way at a time. While as many hang, no more are sent.
	warmUpAtOnce = 32
	// warmUpBody is how much of an answer is read, in bytes.
	warmUpBody = 256 << 10
)

// newTransport returns what the requests of warm-ups are sent with.
func newTransport(dial func(ctx context.Context, network, address string) (net.Conn, error)) http.RoundTripper {
	if dial == nil {
		dial = (&net.Dialer{Timeout: warmUpTimeout}).DialContext
	}
	return &http.Transport{
		Proxy:                  nil, // pods are never behind one
		DialContext:            dial,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// warmUp sends requests to pods until it is stopped, or has sent all.
type warmUp struct {
	settings v1alpha1.WarmUp
	host     string
	client   http.RoundTripper
	stop     context.CancelFunc

	mu     sync.Mutex
	pods   []Pod
	turn   int
	result v1alpha1.WarmUpStatus
}

// startWarmUp starts one, which goes on where status says that another one has stopped. host is what the requests name as theirs.
// It lasts for as long as ctx, which stop ends.
func startWarmUp(
	ctx context.Context, stop context.CancelFunc, client http.RoundTripper, settings *v1alpha1.WarmUp, host string, before *v1alpha1.WarmUpStatus,
) *warmUp {
	w := &warmUp{settings: *settings.DeepCopy(), host: host, client: client, stop: stop}
	if before != nil {
		w.result = *before
	}
	go w.run(ctx)
	return w
}

// like reports whether it was started with such settings.
func (w *warmUp) like(settings *v1alpha1.WarmUp) bool {
	return equality.Semantic.DeepEqual(&w.settings, settings)
}

// aim has the requests sent to these pods from now on. None is sent while there are none.
func (w *warmUp) aim(pods []Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pods = slices.Clone(pods)
}

// soFar returns what became of the requests that were answered, or not, so far.
func (w *warmUp) soFar() *v1alpha1.WarmUpStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.result.DeepCopy()
}

func (w *warmUp) run(ctx context.Context) {
	limit := rate.NewLimiter(rate.Limit(valueOr(w.settings.RequestsPerSecond, defaultWarmUpRate)), 1)
	free := make(chan struct{}, warmUpAtOnce)
	for limit.Wait(ctx) == nil {
		pod, request, ok := w.next()
		if !ok {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case free <- struct{}{}:
		}
		go func() {
			defer func() { <-free }()
			problem := w.send(ctx, pod, request)
			if ctx.Err() == nil {
				w.count(pod, problem)
			}
		}()
	}
}

// next returns whom to ask for what, or false while there is nobody to ask, and when all has been sent.
func (w *warmUp) next() (Pod, *v1alpha1.WarmUpRequest, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pods) == 0 || w.result.Sent >= valueOr(w.settings.MaxRequests, defaultWarmUpMost) {
		return Pod{}, nil, false
	}
	// All pods are asked for a path before any is asked for the next.
	pod := w.pods[w.turn%len(w.pods)]
	request := &w.settings.Requests[w.turn/len(w.pods)%len(w.settings.Requests)]
	w.turn++
	w.result.Sent++
	return pod, request, true
}

// send sends a request, and returns what is wrong with its answer, or "".
func (w *warmUp) send(ctx context.Context, pod Pod, request *v1alpha1.WarmUpRequest) string {
	ctx, cancel := context.WithTimeout(ctx, warmUpTimeout)
	defer cancel()
	target, err := url.ParseRequestURI(request.Path)
	if err != nil || target.Host != "" {
		return fmt.Sprintf("%s is no path", request.Path)
	}
	sent := (&http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Scheme: "http", Host: pod.HTTP.String(), Path: target.Path, RawPath: target.RawPath, RawQuery: target.RawQuery},
		Host:   w.host,
		Header: http.Header{"User-Agent": {"gin-operator-warm-up"}},
	}).WithContext(ctx)
	response, err := w.client.RoundTrip(sent) // unlike a client, it follows no redirect
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return fmt.Sprintf("GET %s was not answered in %s", request.Path, warmUpTimeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("GET %s was not answered: nothing listens on port %d", request.Path, pod.HTTP.Port())
	default:
		return fmt.Sprintf("GET %s was not answered: the connection broke", request.Path)
	}
	defer response.Body.Close()
	// The connection can be used again only once the answer is read.
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, warmUpBody)); err != nil {
		return fmt.Sprintf("the answer to GET %s broke off", request.Path)
	}
	if expected := valueOr(request.ExpectedStatus, defaultWarmUpStatus); response.StatusCode != int(expected) {
		return fmt.Sprintf("GET %s was answered with %d instead of %d", request.Path, response.StatusCode, expected)
	}
	return ""
}

// count counts what is wrong with an answer. A pod that is gone by now can't be blamed for not giving any.
func (w *warmUp) count(pod Pod, problem string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	still := slices.ContainsFunc(w.pods, func(p Pod) bool { return p.UID == pod.UID })
	if problem == "" || !still {
		return
	}
	if w.result.Failed++; w.result.Message == "" {
		w.result.Message = shorten(fmt.Sprintf("%s (pod %s)", problem, pod.Name), maxMetricMessage)
	}
}
