package analysis

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/podmetrics"
)

// soon is what anything may take that takes a moment.
const soon = 20 * time.Second

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for late := time.After(soon); ; {
		if holds() {
			return
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("after %s there is still no %s", soon, what)
		}
	}
}

// previewed returns a GinService whose blue colour serves, with v2 ready in green, and an analysis of five measurements of its success.
func previewed() *v1alpha1.GinService {
	gs := &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "hello", UID: "uid-1"}}
	gs.Spec.Replicas = new(int32(2))
	gs.Spec.Strategy.BlueGreen.Analysis = &v1alpha1.Analysis{AnalysisRun: *only(success(v1alpha1.ThresholdRange{Min: "0.99"}))}
	gs.Status.ActiveColor = v1alpha1.Blue
	gs.Status.Rollout = &v1alpha1.RolloutStatus{
		Revision: "v2", Step: v1alpha1.StepWaitingForPromotion, StartedAt: &metav1.MicroTime{Time: epoch}, ReadyAt: &metav1.MicroTime{Time: epoch},
	}
	return gs
}

// draining returns a GinService whose green colour has just taken the traffic, with an analysis of what serves.
func draining() *v1alpha1.GinService {
	gs := previewed()
	gs.Spec.Strategy.BlueGreen.Analysis = nil
	gs.Spec.Strategy.BlueGreen.PostPromotionAnalysis = only(success(v1alpha1.ThresholdRange{Min: "0.99"}))
	gs.Status.ActiveColor = v1alpha1.Green
	gs.Status.Rollout.Step, gs.Status.Rollout.ApprovedAt = v1alpha1.StepDraining, &metav1.MicroTime{Time: epoch}
	return gs
}

// podOfColor returns a pod as its Deployment and the kubelet make it.
func podOfColor(gs *v1alpha1.GinService, color v1alpha1.Color, suffix, address string) *corev1.Pod {
	set := fmt.Sprintf("%s-%s-6d4cf56db6", gs.Name, color)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: gs.Namespace, Name: set + "-" + suffix, UID: types.UID(set + "-" + suffix), Labels: resources.SelectorLabels(gs, color),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: set, UID: types.UID(set), Controller: new(true)}},
		},
		Status: corev1.PodStatus{PodIP: address},
	}
	pod.Spec.Containers = []corev1.Container{
		{Name: "proxy", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 15000}}},
		{Name: resources.ContainerName, Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "metrics", ContainerPort: 9090}}},
	}
	return pod
}

// slice returns the EndpointSlice of a Service that shows pods ready.
func slice(gs *v1alpha1.GinService, service string, pods ...*corev1.Pod) *discoveryv1.EndpointSlice {
	made := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace: gs.Namespace, Name: service + "-slice", Labels: map[string]string{discoveryv1.LabelServiceName: service},
	}}
	for _, pod := range pods {
		made.Endpoints = append(made.Endpoints, discoveryv1.Endpoint{
			Conditions: discoveryv1.EndpointConditions{Ready: new(true)}, TargetRef: &corev1.ObjectReference{Name: pod.Name},
		})
	}
	return made
}

// said is a source that says what a test lets it say.
type said struct {
	mu      sync.Mutex
	samples map[v1alpha1.Color]Sample
	// hangs, if there is one, is waited for by each measurement.
	hangs chan struct{}
	// watched are the pods of the latest Watch, and measured the windows that were asked for.
	watched  []string
	measured []time.Duration
	// forgotten is how often Forget was called.
	forgotten int
}

func (s *said) Watch(_ types.NamespacedName, pods []Pod, _ *v1alpha1.AnalysisRun) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched = nil
	for _, pod := range pods {
		s.watched = append(s.watched, pod.Name)
	}
	return nil
}

func (s *said) Measure(ctx context.Context, subject Subject, _ *v1alpha1.AnalysisMetric, window time.Duration) Sample {
	s.mu.Lock()
	hangs := s.hangs
	s.measured = append(s.measured, window)
	sample := s.samples[subject.Color]
	s.mu.Unlock()
	if hangs != nil {
		select {
		case <-hangs:
		case <-ctx.Done():
		}
	}
	return sample
}

func (s *said) Forget(types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten++
}

func (s *said) say(color v1alpha1.Color, sample Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples[color] = sample
}

func (s *said) windows() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Duration(nil), s.measured...)
}

// world is a runner with an API server in memory.
type world struct {
	*Runner

	client client.WithWatch
	clock  *clocktesting.FakePassiveClock
	source *said
	lists  int // of pods
	// serving is the revision that takes the traffic, by the active Service.
	serving string
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	w := &world{clock: clocktesting.NewFakePassiveClock(epoch), source: &said{samples: map[v1alpha1.Color]Sample{}}}
	w.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, pods := list.(*corev1.PodList); pods {
				w.lists++
			}
			return c.List(ctx, list, opts...)
		},
	}).Build()
	w.start(t)
	return w
}

// start starts a runner, as a new operator does.
func (w *world) start(t *testing.T) {
	t.Helper()
	w.Runner = NewRunner(Options{Client: w.client, Live: w.client, Clock: w.clock, Source: w.source})
	t.Cleanup(w.end)
}

func (w *world) elapse(d time.Duration) { w.clock.SetTime(w.clock.Now().Add(d)) }

// measuresThrice begins an analysis, and lets three measurements come due, as many as it takes by default.
func (w *world) measuresThrice(t *testing.T, gs *v1alpha1.GinService) {
	t.Helper()
	w.pass(t, gs)
	for range 3 {
		w.elapse(5 * time.Second)
		w.pass(t, gs)
	}
}

// dialAlways connects to an address, whatever it is asked for.
func dialAlways(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

// exposed is a pod that exposes the metrics of ginkit, whose numbers a test sets.
type exposed struct {
	Pod

	mu                sync.Mutex
	succeeded, failed int
	status            int
}

// serve starts the server of a pod.
func serve(t *testing.T, name string) *exposed {
	t.Helper()
	e := &exposed{}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	address := netip.MustParseAddrPort(strings.TrimPrefix(server.URL, "http://"))
	e.Pod = Pod{Pod: podmetrics.Pod{Namespace: "shop", Name: name, UID: types.UID(name), Service: "hello", Color: v1alpha1.Green}, HTTP: address, Metrics: address}
	return e
}
