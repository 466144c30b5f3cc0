package controllers

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// start is when each test begins.
var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func service() *v1alpha1.GinService {
	gs := &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "hello", UID: "uid-1", Generation: 3}}
	gs.Spec.Image = "example.com/hello:v1"
	gs.Spec.Replicas = new(int32(2))
	return gs
}

func ownedBy(gs *v1alpha1.GinService, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: gs.Namespace, Name: name,
		OwnerReferences: []metav1.OwnerReference{{APIVersion: resources.APIVersion, Kind: resources.Kind, Name: gs.Name, UID: gs.UID, Controller: new(true)}},
	}
}

// serving is what a pass observes of a GinService whose wanted revision serves as blue with all its pods.
func serving(gs *v1alpha1.GinService) *observation {
	wanted := resources.RevisionOf(gs.Spec.WorkloadSpec)
	return &observation{
		gs: gs, wanted: wanted, deployments: map[v1alpha1.Color]*appsv1.Deployment{},
		state: rollout.Observed{
			Now: start, Spec: &gs.Spec, Wanted: wanted.Name, Selected: v1alpha1.Blue, Rollout: gs.Status.Rollout,
			Colors: map[v1alpha1.Color]rollout.Color{
				v1alpha1.Blue: {Revision: wanted.Name, Replicas: 2, Current: 2, Updated: 2, Available: 2, Settled: true},
			},
			ActiveEndpoints: map[v1alpha1.Color]int32{v1alpha1.Blue: 2},
		},
	}
}

// completed is the plan for it: nothing is to be done.
func completed(o *observation) rollout.Plan {
	return rollout.Plan{
		Active: v1alpha1.Blue, Preview: rollout.Preview{Color: v1alpha1.Blue, Revision: o.wanted.Name}, Serving: 2,
		Colors:  map[v1alpha1.Color]rollout.Target{v1alpha1.Blue: {Revision: o.wanted.Name, Replicas: 2}},
		Rollout: &v1alpha1.RolloutStatus{Revision: o.wanted.Name, Step: v1alpha1.StepCompleted, Message: "done"},
	}
}

// world is a reconciler with an API server in memory, and what it told.
type world struct {
	*Reconciler

	client client.WithWatch
	clock  *clocktesting.FakePassiveClock
	events *events.FakeRecorder
}

func newWorld(t *testing.T, faults interceptor.Funcs, objects ...client.Object) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{clock: clocktesting.NewFakePassiveClock(start), events: events.NewFakeRecorder(100)}
	w.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.GinService{}).
		WithIndex(&appsv1.ControllerRevision{}, indexOwner, ownerIndex).WithInterceptorFuncs(faults).Build()
	w.Reconciler = &Reconciler{Client: w.client, Live: w.client, Recorder: w.events, Clock: w.clock}
	return w
}

// told returns what was told since it was asked last.
func (w *world) told() []string {
	var told []string
	for {
		select {
		case event := <-w.events.Events:
			told = append(told, event)
		default:
			return told
		}
	}
}

// stored returns a GinService as the API server has it now.
func (w *world) stored(t *testing.T, gs *v1alpha1.GinService) *v1alpha1.GinService {
	t.Helper()
	now := &v1alpha1.GinService{}
	if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(gs), now); err != nil {
		t.Fatal(err)
	}
	return now
}
