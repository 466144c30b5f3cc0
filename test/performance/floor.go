package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// floorCreate creates the objects of the first version of each service, and returns when it began and when the Deployments were available.
func (p *plane) floorCreate(ctx context.Context, namespace string, l load) (began, ended map[string]time.Time, err error) {
	began, err = l.drive(ctx, func(ctx context.Context, name string) error {
		set, err := p.workload.floorObjects(namespace, name, v1alpha1.Blue)
		if err != nil {
			return err
		}
		if err := p.createVersion(ctx, set); err != nil {
			return err
		}
		for _, service := range []*corev1.Service{set.preview, set.active} {
			if _, err := p.plain.CoreV1().Services(namespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("creating Service %s: %w", service.Name, err)
			}
		}
		return create(ctx, p.plain.AutoscalingV2().HorizontalPodAutoscalers(namespace).Create, set.autoscaler)
	})
	if err != nil {
		return nil, nil, err
	}
	ended, err = p.tracker.wait(ctx, namespace, available, l.n)
	return began, ended, err
}

// floorUpgrade creates the second version of each service beside the first, and once its Deployment is available sends the traffic there.
// It returns when it began and when the Services were switched.
func (p *plane) floorUpgrade(ctx context.Context, namespace string, l load) (began, ended map[string]time.Time, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.switchPrepared(ctx, namespace, l, cancel)
	began, err = l.drive(ctx, func(ctx context.Context, name string) error {
		set, err := p.workload.floorObjects(namespace, name, v1alpha1.Green)
		if err != nil {
			return err
		}
		if err := p.createVersion(ctx, set); err != nil {
			return err
		}
		return p.patchSelector(ctx, set.preview)
	})
	if err != nil {
		return nil, nil, err
	}
	ended, err = p.tracker.wait(ctx, namespace, switched, l.n)
	return began, ended, err
}

// switchPrepared starts workers that switch the Services of those whose second version is available. They end with ctx.
func (p *plane) switchPrepared(ctx context.Context, namespace string, l load, failed context.CancelCauseFunc) {
	names := make(chan string, l.n) // room for all, so that telling of one never blocks
	p.tracker.listen(namespace, func(m milestone, name string) {
		if m == prepared {
			names <- name
		}
	})
	for range l.workers {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case name := <-names:
					if err := p.switchFloor(ctx, namespace, name); err != nil {
						failed(err)
					}
				}
			}
		}()
	}
}

func (p *plane) switchFloor(ctx context.Context, namespace, name string) error {
	set, err := p.workload.floorObjects(namespace, name, v1alpha1.Green)
	if err != nil {
		return err
	}
	return p.patchSelector(ctx, set.active)
}

// createVersion creates what one version of a service has.
func (p *plane) createVersion(ctx context.Context, set *floorSet) error {
	namespace := set.deployment.Namespace
	if err := create[*corev1.ConfigMap](ctx, p.plain.CoreV1().ConfigMaps(namespace).Create, set.config); err != nil {
		return err
	}
	if err := create[*appsv1.ControllerRevision](ctx, p.plain.AppsV1().ControllerRevisions(namespace).Create, set.history); err != nil {
		return err
	}
	return create[*appsv1.Deployment](ctx, p.plain.AppsV1().Deployments(namespace).Create, set.deployment)
}

func (p *plane) patchSelector(ctx context.Context, service *corev1.Service) error {
	selector, err := json.Marshal(service.Spec.Selector)
	if err != nil {
		return fmt.Errorf("switching Service %s: %w", service.Name, err)
	}
	_, err = p.plain.CoreV1().Services(service.Namespace).Patch(ctx, service.Name, types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"selector":%s}}`, selector), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("switching Service %s: %w", service.Name, err)
	}
	return nil
}

// create creates an object by the method of a typed client.
func create[T interface {
	*corev1.ConfigMap | *appsv1.ControllerRevision | *appsv1.Deployment | *autoscalingv2.HorizontalPodAutoscaler
	metav1.Object
}](ctx context.Context, method func(context.Context, T, metav1.CreateOptions) (T, error), object T) error {
	if _, err := method(ctx, object, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating %T %s: %w", object, object.GetName(), err)
	}
	return nil
}
