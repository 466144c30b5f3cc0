// Package invariants watches a GinService and its children, and finds out from every version of them that the API server had whether the
// promises of docs/designs/0003-blue-green.md were kept. What happened is put in order by resource version, which is that of etcd's
// revision for all kinds, and then looked at step by step: no matter how late a watch was.
package invariants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
)

// Observer watches one GinService.
type Observer struct {
	namespace, name string
	client          client.Client
	cancel          context.CancelFunc
	done            sync.WaitGroup

	mutex   sync.Mutex
	seen    []step
	excused []span
	ended   error
}

// step is one version of an object.
type step struct {
	version int64
	gone    bool
	object  client.Object
}

// Observe watches a GinService, which need not exist yet, and all that has to do with it in its namespace, until Stop.
func Observe(c client.WithWatch, namespace, name string) (*Observer, error) {
	ctx, cancel := context.WithCancel(context.Background())
	o := &Observer{namespace: namespace, name: name, client: c, cancel: cancel}
	for _, list := range watched() {
		// What is there already comes as an addition, with the version of its last change.
		w, err := c.Watch(ctx, list, client.InNamespace(namespace))
		if isOptional(list) && (apimeta.IsNoMatchError(err) || apierrors.IsNotFound(err)) {
			continue
		}
		if err != nil {
			cancel()
			return nil, fmt.Errorf("watching: %w", err)
		}
		o.done.Go(func() {
			if err := o.follow(ctx, c, list, namespace, w); err != nil {
				o.mutex.Lock()
				defer o.mutex.Unlock()
				o.ended = errors.Join(o.ended, err)
			}
		})
	}
	return o, nil
}

// watched are the kinds of all that an operator writes in the namespace of a GinService, and of what tells who can be reached.
func watched() []client.ObjectList {
	return []client.ObjectList{
		&v1alpha1.GinServiceList{}, &corev1.ServiceList{}, &appsv1.DeploymentList{}, &discoveryv1.EndpointSliceList{},
		&corev1.ConfigMapList{}, &appsv1.ControllerRevisionList{}, &autoscalingv2.HorizontalPodAutoscalerList{},
		&policyv1.PodDisruptionBudgetList{}, &networkingv1.NetworkPolicyList{}, &gatewayv1.HTTPRouteList{}, &monitoring.PodMonitorList{},
	}
}

// isOptional reports whether a cluster need not have a kind.
func isOptional(list client.ObjectList) bool {
	switch list.(type) {
	case *gatewayv1.HTTPRouteList, *monitoring.PodMonitorList:
		return true
	default:
		return false
	}
}

// follow notes all that a watch tells, and watches anew where the API server ends it after its time.
func (o *Observer) follow(ctx context.Context, c client.WithWatch, list client.ObjectList, namespace string, w watch.Interface) error {
	last := ""
	for {
		for event := range w.ResultChan() {
			object, ok := event.Object.(client.Object)
			if !ok && ctx.Err() != nil {
				continue // it was cut off in the middle of an event
			}
			if !ok {
				w.Stop()
				return fmt.Errorf("the watch of %T failed after version %s: %v", list, last, event.Object)
			}
			last = object.GetResourceVersion()
			if err := o.note(event.Type, object); err != nil {
				w.Stop()
				return err
			}
		}
		var err error
		w, err = c.Watch(ctx, list, client.InNamespace(namespace), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: last}})
		switch {
		case ctx.Err() != nil:
			if err == nil {
				w.Stop()
			}
			return nil
		case apierrors.IsNotFound(err):
			return nil // the kind itself is gone
		case err != nil:
			return fmt.Errorf("watching %T again after version %s: %w", list, last, err)
		}
	}
}

func (o *Observer) note(kind watch.EventType, object client.Object) error {
	version, err := strconv.ParseInt(object.GetResourceVersion(), 10, 64)
	if err != nil {
		return fmt.Errorf("resource version of %s: %w", object.GetName(), err)
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.seen = append(o.seen, step{version: version, gone: kind == watch.Deleted, object: object})
	return nil
}

// Excuse says that during takes pods, Services or Deployments away by itself, or sees to it that others do: until it returns, nobody has to be
// reached. Everything else that the operator does is looked at all the same.
func (o *Observer) Excuse(ctx context.Context, during func()) error {
	from, err := o.now(ctx)
	if err != nil {
		return err
	}
	o.mutex.Lock()
	i := len(o.excused)
	o.excused = append(o.excused, span{from: from, until: math.MaxInt64}) // where during ends in a panic, it says enough by itself
	o.mutex.Unlock()
	during()
	until, err := o.now(ctx)
	if err != nil {
		return err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.excused[i].until = until
	return nil
}

// now returns the resource version of the latest change to anything: a list that asks for no version is as new as can be.
func (o *Observer) now(ctx context.Context) (int64, error) {
	list := &corev1.ConfigMapList{}
	if err := o.client.List(ctx, list, client.InNamespace(o.namespace), client.Limit(1)); err != nil {
		return 0, fmt.Errorf("asking for the resource version: %w", err)
	}
	version, err := strconv.ParseInt(list.ResourceVersion, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("resource version of a list: %w", err)
	}
	return version, nil
}

// Stop ends the watches and returns what was wrong, and all that was seen.
func (o *Observer) Stop() (wrong []string, history string, err error) {
	o.cancel()
	o.done.Wait()
	o.mutex.Lock()
	defer o.mutex.Unlock()
	slices.SortStableFunc(o.seen, func(a, b step) int { return cmp.Compare(a.version, b.version) })
	r := newReplay(o.name, o.excused...)
	for _, s := range o.seen {
		r.take(s)
	}
	return r.wrong, strings.Join(r.lines, "\n"), o.ended
}
