package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/podmetrics"
)

// scraper is what the reconciler needs of a podmetrics.Scraper.
type scraper interface {
	Set(podmetrics.Target) error
	Remove(types.UID)
}

// targets has the ready pods scraped of each GinService that scales on metrics of its pods, or that another one in its namespace scales on, and no
// others. It writes nothing to the cluster.
type targets struct {
	client  client.Client
	scraper scraper

	mu sync.Mutex
	// scraped are the pods that are targets, by GinService.
	scraped map[types.NamespacedName]map[types.UID]bool
}

var _ reconcile.Reconciler = (*targets)(nil)

func (t *targets) setup(manager ctrl.Manager) error {
	t.scraped = map[types.NamespacedName]map[types.UID]bool{}
	return ctrl.NewControllerManagedBy(manager).
		Named("targets").
		For(&v1alpha1.GinService{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(serviceOf)).
		Watches(&v1alpha1.GinService{}, handler.EnqueueRequestsFromMapFunc(servicesMeantBy)).
		Complete(t)
}

// serviceOf returns the GinService of a pod.
func serviceOf(_ context.Context, pod client.Object) []reconcile.Request {
	name := pod.GetLabels()[v1alpha1.LabelInstance]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: pod.GetNamespace(), Name: name}}}
}

// servicesMeantBy returns the GinServices that another one scales on.
func servicesMeantBy(_ context.Context, object client.Object) []reconcile.Request {
	gs, ok := object.(*v1alpha1.GinService)
	if !ok {
		return nil
	}
	var requests []reconcile.Request
	wishes, _ := wishesOf(gs) // the reconciler tells of those that are refused
	for _, wish := range wishes {
		if wish.ofService {
			requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: gs.Namespace, Name: wish.service}})
		}
	}
	return requests
}

// Reconcile makes the pods of a GinService targets, or forgets them.
func (t *targets) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	wanted, err := t.wanted(ctx, request.NamespacedName)
	if err != nil {
		return reconcile.Result{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	scraped := map[types.UID]bool{}
	var failed error
	for _, target := range wanted {
		if err := t.scraper.Set(target); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		scraped[target.Pod.UID] = true
	}
	for uid := range t.scraped[request.NamespacedName] {
		if !scraped[uid] {
			t.scraper.Remove(uid)
		}
	}
	t.scraped[request.NamespacedName] = scraped
	if len(scraped) == 0 {
		delete(t.scraped, request.NamespacedName)
	}
	// It would fail in the same way again: what can change it comes as an event.
	if failed != nil {
		ctrl.LoggerFrom(ctx).Error(failed, "Leaving out pods that can't be scraped")
	}
	return reconcile.Result{}, nil
}

// wanted returns the pods to scrape of a GinService, none where there is no such GinService or nobody asks for metrics of them.
func (t *targets) wanted(ctx context.Context, key types.NamespacedName) ([]podmetrics.Target, error) {
	var gs v1alpha1.GinService
	if err := t.client.Get(ctx, key, &gs); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading GinService %s: %w", key, err)
	}
	if _, refused := wishesOf(&gs); refused != nil {
		ctrl.LoggerFrom(ctx).Error(refused, "Leaving out metrics that no pod can have")
	}
	queries, err := t.queries(ctx, &gs)
	if err != nil || len(queries) == 0 {
		return nil, err
	}
	var pods corev1.PodList
	if err := t.client.List(ctx, &pods, client.InNamespace(gs.Namespace), client.MatchingLabels{v1alpha1.LabelUID: string(gs.UID)}); err != nil {
		return nil, fmt.Errorf("listing the pods of GinService %s: %w", key, err)
	}
	var wanted []podmetrics.Target
	for i := range pods.Items {
		if target, ok := targetOf(&gs, &pods.Items[i]); ok {
			target.Queries = queries
			wanted = append(wanted, target)
		}
	}
	return wanted, nil
}

// queries returns what any GinService of the namespace wants to know of the pods of one, each once.
func (t *targets) queries(ctx context.Context, gs *v1alpha1.GinService) ([]podmetrics.Query, error) {
	var list v1alpha1.GinServiceList
	if err := t.client.List(ctx, &list, client.InNamespace(gs.Namespace)); err != nil {
		return nil, fmt.Errorf("listing the GinServices of namespace %s: %w", gs.Namespace, err)
	}
	var queries []podmetrics.Query
	known := map[string]bool{}
	for i := range list.Items {
		if !list.Items[i].DeletionTimestamp.IsZero() {
			continue
		}
		wishes, _ := wishesOf(&list.Items[i]) // a pass over that one tells of those that are refused
		for _, wish := range wishes {
			if key := wish.query.String(); wish.service == gs.Name && !known[key] {
				known[key] = true
				queries = append(queries, wish.query)
			}
		}
	}
	return queries, nil
}

// targetOf returns how to scrape a pod, or false if it isn't ready. One on the network of its node isn't the operator's, whatever its labels say:
// its address is the node's, where what listens may trust whoever asks from within the cluster.
func targetOf(gs *v1alpha1.GinService, pod *corev1.Pod) (podmetrics.Target, bool) {
	address, err := netip.ParseAddr(pod.Status.PodIP)
	if err != nil || !pod.DeletionTimestamp.IsZero() || pod.Spec.HostNetwork || !ready(pod) {
		return podmetrics.Target{}, false
	}
	return podmetrics.Target{
		Pod: podmetrics.Pod{
			Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Service: gs.Name, Color: v1alpha1.Color(pod.Labels[v1alpha1.LabelColor]),
		},
		Address: netip.AddrPortFrom(address, metricsPort(gs, pod)),
	}, true
}

// metricsPort returns the port of the container that serves metrics. The pod knows it better than the spec, which may be of a later revision.
func metricsPort(gs *v1alpha1.GinService, pod *corev1.Pod) uint16 {
	named := map[string]int32{}
	for i := range pod.Spec.Containers {
		if container := &pod.Spec.Containers[i]; container.Name == resources.ContainerName {
			for _, port := range container.Ports {
				named[port.Name] = port.ContainerPort
			}
		}
	}
	spec := &gs.Spec.Ports
	port := cmp.Or(named["metrics"], named["http"], ptr.Deref(spec.Metrics, 0), ptr.Deref(spec.HTTP, 8080))
	return uint16(port) //nolint:gosec // the API admits no port above 65535
}

func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// wish is something that a GinService scales on and pods are asked for.
type wish struct {
	query podmetrics.Query
	// service is the GinService whose pods are meant: the same one, each of its pods for itself, or any one, with all of its pods together.
	service   string
	ofService bool
	// target is what the autoscaler aims at, in thousandths.
	target int64
}

// wishesOf returns what a GinService scales on that pods are asked for, and what is wrong with the rest.
func wishesOf(gs *v1alpha1.GinService) (wishes []wish, refused error) {
	if gs.Spec.Autoscaling == nil {
		return nil, nil
	}
	for i := range gs.Spec.Autoscaling.Metrics {
		metric := &gs.Spec.Autoscaling.Metrics[i]
		w := wish{query: podmetrics.Query{Name: metric.Name}, service: gs.Name}
		if target := cmp.Or(metric.AverageValue, metric.Value); target != nil {
			w.target = target.MilliValue()
		}
		switch {
		case metric.Type == v1alpha1.MetricPods:
		case metric.Type == v1alpha1.MetricObject && metric.Object != nil && isGinService(metric.Object):
			w.service, w.ofService = metric.Object.Name, true
		default:
			continue // somebody else's
		}
		if metric.Selector != nil {
			selector, err := selectorOf(metric.Selector)
			if err != nil {
				refused = errors.Join(refused, fmt.Errorf("autoscaling.metrics[%d].selector: %w", i, err))
				continue
			}
			w.query.Selector = selector
		}
		if err := w.query.Validate(); err != nil {
			refused = errors.Join(refused, fmt.Errorf("autoscaling.metrics[%d].name: %w", i, err))
			continue
		}
		wishes = append(wishes, w)
	}
	return wishes, refused
}

// selectorOf returns a selector as it is after its way through the API, by which an autoscaler asks for it. That leaves out what is there twice.
func selectorOf(selector *metav1.LabelSelector) (labels.Selector, error) {
	written, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, err
	}
	return labels.Parse(written.String())
}

// isGinService reports whether an object is one, in whatever version.
func isGinService(object *v1alpha1.MetricObjectReference) bool {
	group, _, found := strings.Cut(object.APIVersion, "/")
	return found && group == v1alpha1.GroupVersion.Group && object.Kind == resources.Kind
}
