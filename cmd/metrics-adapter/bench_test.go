package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/podmetrics"
)

// snapshot lists pods as a cache does: a copy of each that matches.
type snapshot struct {
	client.Reader

	pods []*corev1.Pod
}

func (s snapshot) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	pods, ok := list.(*corev1.PodList)
	if !ok {
		return errors.New("there are only pods")
	}
	var o client.ListOptions
	o.ApplyOptions(options)
	for _, pod := range s.pods {
		if o.LabelSelector.Matches(labels.Set(pod.Labels)) {
			pods.Items = append(pods.Items, *pod.DeepCopy())
		}
	}
	return nil
}

// BenchmarkAnswer answers an autoscaler that asks for a hundred pods, which are scraped for real. Its target is 20 ms at the 99th percentile.
func BenchmarkAnswer(b *testing.B) {
	exposing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "# TYPE http_server_active_requests gauge\nhttp_server_active_requests 3\n")
	}))
	defer exposing.Close()
	scraper, err := podmetrics.New(podmetrics.Options{Interval: time.Second, AllowLoopback: true})
	if err != nil {
		b.Fatal(err)
	}
	defer scraper.Close()
	query := podmetrics.Query{Name: podmetrics.RequestsInFlight}
	cached := snapshot{}
	for i := range 100 {
		p := pod(fmt.Sprintf("pod-%d", i), v1alpha1.Blue)
		cached.pods = append(cached.pods, p)
		err := scraper.Set(podmetrics.Target{
			Pod:     podmetrics.Pod{Namespace: p.Namespace, Name: p.Name, UID: p.UID},
			Address: netip.MustParseAddrPort(exposing.Listener.Addr().String()), Queries: []podmetrics.Query{query},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	get := serveAPI(b, &provider{client: cached, reader: scraper, window: 15 * time.Second, clock: clock.RealClock{}})
	const path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/http_requests_in_flight?labelSelector=apps.gin-operator.dev%2Fcolor%3Dblue"
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(100 * time.Millisecond) {
		code, body := get(path)
		if n := strings.Count(string(body), `"metric"`); code == http.StatusOK && n == len(cached.pods) {
			break
		}
		if time.Now().After(deadline) {
			b.Fatalf("not all pods have a value after two scrapes: %d %.500s", code, body)
		}
	}
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if code, body := get(path); code != http.StatusOK {
			b.Fatalf("%d %s", code, body)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
