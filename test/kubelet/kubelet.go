package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	// NodeName is the name of the node that a Kubelet plays.
	NodeName = "simulated"

	workers = 8
)

// Kubelet plays a node. It is safe for use by several goroutines.
type Kubelet struct {
	client kubernetes.Interface
	lister corelisters.PodLister
	queue  workqueue.TypedRateLimitingInterface[cache.ObjectName]
	binds  bool

	mu    sync.Mutex
	rules []*rule
	pods  map[types.UID]*podState
	ips   uint32
}

type rule struct {
	match    Match
	behavior Behavior
	since    time.Time
}

// podState is what a Kubelet remembers of a pod.
type podState struct {
	ip       string
	bound    time.Time
	deleted  time.Time
	reported *outcome
}

// Option changes a Kubelet.
type Option func(*Kubelet)

// WithoutBinding leaves it to a scheduler to bind pods to the node.
func WithoutBinding() Option { return func(k *Kubelet) { k.binds = false } }

// Start makes the node and plays it for all pods of all namespaces until ctx ends. Only one Kubelet may play in a control plane.
func Start(ctx context.Context, cfg *rest.Config, opts ...Option) (*Kubelet, error) {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making the kubelet's client: %w", err)
	}
	k := &Kubelet{
		client: client,
		// A conflict is tried again within milliseconds, and no bucket throttles the rest.
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](5*time.Millisecond, time.Second)),
		binds: true,
		pods:  map[types.UID]*podState{},
	}
	for _, opt := range opts {
		opt(k)
	}
	if err := k.createNode(ctx); err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods()
	k.lister = pods.Lister()
	if _, err := pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    k.enqueue,
		UpdateFunc: func(_, pod any) { k.enqueue(pod) },
		DeleteFunc: k.forget,
	}); err != nil {
		return nil, fmt.Errorf("watching pods: %w", err)
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), pods.Informer().HasSynced) {
		return nil, fmt.Errorf("watching pods: %w", context.Cause(ctx))
	}
	for range workers {
		go k.work(ctx)
	}
	context.AfterFunc(ctx, k.queue.ShutDown)
	return k, nil
}

// Set makes pods that match behave like this, those that exist and those to come. Where several match a pod, the latest counts. The
// function it returns takes it back.
func (k *Kubelet) Set(match Match, behavior Behavior) (undo func()) {
	added := &rule{match: match, behavior: behavior, since: time.Now()}
	k.mu.Lock()
	k.rules = append(k.rules, added)
	k.mu.Unlock()
	k.enqueueAll()
	return func() {
		k.mu.Lock()
		for i, r := range k.rules {
			if r == added {
				k.rules = append(k.rules[:i:i], k.rules[i+1:]...)
				break
			}
		}
		k.mu.Unlock()
		k.enqueueAll()
	}
}

func (k *Kubelet) enqueueAll() {
	pods, err := k.lister.List(labels.Everything())
	if err != nil {
		panic(fmt.Sprintf("listing pods from a cache: %v", err)) // the lister has no error to return
	}
	for _, pod := range pods {
		k.enqueue(pod)
	}
}

func (k *Kubelet) enqueue(pod any) {
	k.queue.Add(cache.MetaObjectToName(pod.(*corev1.Pod)))
}

func (k *Kubelet) forget(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pods, obj.(*corev1.Pod).UID)
}

func (k *Kubelet) work(ctx context.Context) {
	for {
		key, shutdown := k.queue.Get()
		if shutdown {
			return
		}
		again, err := k.sync(ctx, key)
		switch {
		case err != nil:
			k.queue.AddRateLimited(key)
		case again > 0:
			k.queue.Forget(key)
			k.queue.AddAfter(key, again)
		default:
			k.queue.Forget(key)
		}
		k.queue.Done(key)
	}
}

// sync does the next thing for a pod, and returns when to look again: 0 for not before it changes.
func (k *Kubelet) sync(ctx context.Context, key cache.ObjectName) (time.Duration, error) {
	pod, err := k.lister.Pods(key.Namespace).Get(key.Name)
	if err != nil {
		return 0, nil //nolint:nilerr // it is gone
	}
	now := time.Now()
	behavior, since := k.behavior(pod)
	switch {
	case pod.DeletionTimestamp != nil:
		return k.release(ctx, pod, behavior, now)
	case pod.Spec.NodeName == "":
		return 0, k.bind(ctx, pod, behavior)
	case pod.Spec.NodeName != NodeName:
		return 0, nil
	}
	state := k.state(pod.UID)
	k.mu.Lock()
	if state.bound.IsZero() {
		state.bound = now
	}
	if state.bound.After(since) {
		since = state.bound
	}
	reported := state.reported
	k.mu.Unlock()
	want, again := behavior.at(now.Sub(since))
	if reported != nil && *reported == want {
		return again, nil
	}
	if err := k.report(ctx, pod, want, state.ip, now); err != nil {
		return 0, err
	}
	k.mu.Lock()
	state.reported = &want
	k.mu.Unlock()
	return again, nil
}

// behavior returns what a pod is to do, and since when.
func (k *Kubelet) behavior(pod *corev1.Pod) (Behavior, time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, rule := range slices.Backward(k.rules) {
		if rule.match(pod) {
			return rule.behavior, rule.since
		}
	}
	return Behavior{}, time.Time{}
}

// state returns what is remembered of a pod; a new pod gets an address that no other has had.
func (k *Kubelet) state(uid types.UID) *podState {
	k.mu.Lock()
	defer k.mu.Unlock()
	state := k.pods[uid]
	if state == nil {
		k.ips++
		state = &podState{ip: fmt.Sprintf("10.%d.%d.%d", 128+k.ips/64000%64, k.ips/250%256, 1+k.ips%250)}
		k.pods[uid] = state
	}
	return state
}

func (k *Kubelet) bind(ctx context.Context, pod *corev1.Pod, behavior Behavior) error {
	if !k.binds || behavior.State == Unscheduled {
		return nil
	}
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: NodeName},
	}
	err := k.client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	// A conflict is a pod that is bound already: the cache will show it soon.
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (k *Kubelet) report(ctx context.Context, pod *corev1.Pod, o outcome, ip string, now time.Time) error {
	patch, err := json.Marshal(map[string]any{
		// With the UID, a patch that comes late does not reach a pod of the same name.
		"metadata": map[string]any{"uid": pod.UID},
		"status":   status(pod, o, ip, metav1.NewTime(now)),
	})
	if err != nil {
		return err
	}
	_, err = k.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// release deletes a pod for good, as a kubelet does once its containers have ended.
func (k *Kubelet) release(ctx context.Context, pod *corev1.Pod, behavior Behavior, now time.Time) (time.Duration, error) {
	state := k.state(pod.UID)
	k.mu.Lock()
	if state.deleted.IsZero() {
		state.deleted = now
	}
	rest := behavior.Linger - now.Sub(state.deleted)
	k.mu.Unlock()
	if rest > 0 {
		return rest, nil
	}
	err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64),
		Preconditions:      metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return 0, nil
	}
	return 0, err
}
