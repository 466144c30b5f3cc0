package main

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

// milestone is something that happens once in the life of a service of the benchmark.
type milestone int

const (
	// available is the Deployment of the first version.
	available milestone = iota
	// ready is the GinService's condition, for its newest generation.
	ready
	// created is the first pod of the second version.
	created
	// previewed is the first ready pod of the second version in the EndpointSlices of the preview Service.
	previewed
	// prepared is the Deployment of the second version.
	prepared
	// switched is the active Service selecting the second version.
	switched
	// confirmed is the operator saying that the EndpointSlices show the second version alone.
	confirmed
	// completed is the end of the rollout.
	completed
)

func (m milestone) String() string {
	return [...]string{"available", "ready", "created", "previewed", "prepared", "switched", "confirmed", "completed"}[m]
}

// tracker records when services reach their milestones, as watches tell.
type tracker struct {
	mutex sync.Mutex
	// times are by namespace, milestone and name.
	times map[string]map[milestone]map[string]time.Time
	// listeners are told of what happens in a namespace. They must not block.
	listeners map[string]func(milestone, string)
}

// watch returns a tracker of all namespaces, once its watches have begun.
func watch(ctx context.Context, config *rest.Config, scheme *runtime.Scheme) (*tracker, error) {
	t := &tracker{times: map[string]map[milestone]map[string]time.Time{}, listeners: map[string]func(milestone, string){}}
	config = rest.CopyConfig(config)
	config.DisableCompression = true // the API server has better things to do
	// Of a cluster that is used for other things, only what the operator and the floor make is watched.
	made, err := labels.NewRequirement(v1alpha1.LabelManagedBy, selection.In, []string{v1alpha1.ManagedBy, managedByFloor})
	if err != nil {
		return nil, fmt.Errorf("setting up the watches: %w", err)
	}
	ours := cache.ByObject{Label: labels.NewSelector().Add(*made)}
	objects, err := cache.New(config, cache.Options{Scheme: scheme, ByObject: map[client.Object]cache.ByObject{
		&appsv1.Deployment{}: ours, &corev1.Service{}: ours, &discoveryv1.EndpointSlice{}: ours, &corev1.Pod{}: ours,
	}})
	if err != nil {
		return nil, fmt.Errorf("setting up the watches: %w", err)
	}
	for _, kind := range []client.Object{&v1alpha1.GinService{}, &appsv1.Deployment{}, &corev1.Service{}, &discoveryv1.EndpointSlice{}, &corev1.Pod{}} {
		informer, err := objects.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("setting up the watch of %T: %w", kind, err)
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { t.observe(object, time.Now()) },
			UpdateFunc: func(_, object any) { t.observe(object, time.Now()) },
		})
		if err != nil {
			return nil, fmt.Errorf("setting up the watch of %T: %w", kind, err)
		}
	}
	go func() { _ = objects.Start(ctx) }() // it ends with ctx; what it can't watch does not sync
	if !objects.WaitForCacheSync(ctx) {
		return nil, fmt.Errorf("waiting for the watches to begin: %w", context.Cause(ctx))
	}
	return t, nil
}

func (t *tracker) observe(object any, now time.Time) {
	switch object := object.(type) {
	case *v1alpha1.GinService:
		t.observeService(object, now)
	case *appsv1.Deployment:
		if object.Status.ObservedGeneration < object.Generation || object.Status.AvailableReplicas == 0 {
			return
		}
		if object.Labels[v1alpha1.LabelColor] == string(v1alpha1.Blue) {
			t.reach(object, available, now)
		} else {
			t.reach(object, prepared, now)
		}
	case *corev1.Service:
		if object.Labels[v1alpha1.LabelRole] == v1alpha1.RoleActive && object.Spec.Selector[v1alpha1.LabelColor] == string(v1alpha1.Green) {
			t.reach(object, switched, now)
		}
	case *corev1.Pod:
		if object.Labels[v1alpha1.LabelColor] == string(v1alpha1.Green) {
			t.reach(object, created, now)
		}
	case *discoveryv1.EndpointSlice:
		if object.Labels[v1alpha1.LabelRole] == v1alpha1.RolePreview && showsGreen(object) {
			t.reach(object, previewed, now)
		}
	}
}

func (t *tracker) observeService(gs *v1alpha1.GinService, now time.Time) {
	if gs.Status.ObservedGeneration == gs.Generation && apimeta.IsStatusConditionTrue(gs.Status.Conditions, v1alpha1.ConditionReady) {
		t.reach(gs, ready, now)
	}
	rollout := gs.Status.Rollout
	if gs.Status.ActiveColor != v1alpha1.Green || rollout == nil {
		return
	}
	if rollout.SwitchedAt != nil {
		t.reach(gs, confirmed, now)
	}
	if rollout.Step == v1alpha1.StepCompleted {
		t.reach(gs, completed, now)
	}
}

// showsGreen reports whether an EndpointSlice has a ready pod of the second version.
func showsGreen(slice *discoveryv1.EndpointSlice) bool {
	green := names.Deployment(slice.Labels[v1alpha1.LabelInstance], v1alpha1.Green)
	for _, endpoint := range slice.Endpoints {
		if endpoint.TargetRef != nil && strings.HasPrefix(endpoint.TargetRef.Name, green) && endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
			return true
		}
	}
	return false
}

// reach records a milestone of the service that an object belongs to, the first time.
func (t *tracker) reach(object client.Object, m milestone, now time.Time) {
	service := object.GetLabels()[v1alpha1.LabelInstance]
	if service == "" {
		service = object.GetName()
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	namespace := object.GetNamespace()
	if t.times[namespace] == nil {
		t.times[namespace] = map[milestone]map[string]time.Time{}
	}
	if t.times[namespace][m] == nil {
		t.times[namespace][m] = map[string]time.Time{}
	}
	if _, before := t.times[namespace][m][service]; before {
		return
	}
	t.times[namespace][m][service] = now
	if listener := t.listeners[namespace]; listener != nil {
		listener(m, service)
	}
}

// listen has a function called when services of a namespace reach milestones.
func (t *tracker) listen(namespace string, listener func(milestone, string)) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.listeners[namespace] = listener
}

// of returns when the services of a namespace reached a milestone.
func (t *tracker) of(namespace string, m milestone) map[string]time.Time {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return maps.Clone(t.times[namespace][m])
}

// wait waits until so many services of a namespace have reached a milestone, and returns when.
func (t *tracker) wait(ctx context.Context, namespace string, m milestone, n int) (map[string]time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, fmt.Errorf("they had %s", waitTimeout))
	defer cancel()
	err := poll(ctx, func() (bool, error) { return t.reached(namespace, m) >= n, nil })
	if err != nil {
		return nil, fmt.Errorf("waiting for %d services in %s to be %s, which %d are: %w", n, namespace, m, t.reached(namespace, m), err)
	}
	return t.of(namespace, m), nil
}

func (t *tracker) reached(namespace string, m milestone) int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return len(t.times[namespace][m])
}

const (
	// waitTimeout is how long any one thing may take.
	waitTimeout  = 15 * time.Minute
	pollInterval = 50 * time.Millisecond
)

// poll asks until the answer is true, an error, or ctx ends, and returns why it ended.
func poll(ctx context.Context, done func() (bool, error)) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if finished, err := done(); finished || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// pause waits for some time, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
