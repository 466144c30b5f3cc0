package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/podmetrics"
)

const (
	namespace        = "bench"
	adapterNamespace = "gin-operator-system"
	// podsPerService is how many pods a GinService has, and so an answer to the autoscaler.
	podsPerService = 100
)

// asked is a GinService, as its autoscaler sees it.
type asked struct {
	selector string
	pods     int
}

// populate makes the GinServices, and for each address a pod that is ready there.
func populate(ctx context.Context, config *rest.Config, addresses []netip.AddrPort) ([]asked, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	for _, name := range []string{namespace, adapterNamespace} {
		if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return nil, fmt.Errorf("creating namespace %s: %w", name, err)
		}
	}
	services := make([]asked, (len(addresses)+podsPerService-1)/podsPerService)
	errs := make([]error, len(services))
	var all sync.WaitGroup
	for i := range services {
		mine := addresses[i*podsPerService : min((i+1)*podsPerService, len(addresses))]
		all.Go(func() { services[i], errs[i] = makeService(ctx, c, fmt.Sprintf("svc-%05d", i), mine) })
	}
	all.Wait()
	return services, errors.Join(errs...)
}

// makeService makes a GinService with its pods.
func makeService(ctx context.Context, c client.Client, name string, addresses []netip.AddrPort) (asked, error) {
	gs := &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	gs.Spec.Image = "registry.example.com/hello:v1.2.0"
	gs.Spec.Ports.Metrics = ptr.To[int32](9090)
	gs.Spec.Autoscaling = &v1alpha1.Autoscaling{MaxReplicas: podsPerService}
	// The quantile is what costs most: it takes the buckets of each route.
	// The adapter refuses what is very far above its target, so that of the time is high.
	for metric, target := range map[string]string{podmetrics.RequestsPerSecond: "100", podmetrics.RequestDurationP99: "100", clockName: "1G"} {
		gs.Spec.Autoscaling.Metrics = append(gs.Spec.Autoscaling.Metrics, v1alpha1.Metric{
			Type: v1alpha1.MetricPods, Name: metric, AverageValue: ptr.To(resource.MustParse(target)),
		})
	}
	if err := c.Create(ctx, gs); err != nil {
		return asked{}, fmt.Errorf("creating GinService %s: %w", name, err)
	}
	// As the operator makes it.
	text, err := json.Marshal(resources.Deployment(gs, v1alpha1.Blue, resources.RevisionOf(gs.Spec.WorkloadSpec), 1).Spec.Template)
	if err != nil {
		return asked{}, fmt.Errorf("making a pod of GinService %s: %w", name, err)
	}
	for i, address := range addresses {
		pod := &corev1.Pod{}
		if err := json.Unmarshal(text, pod); err != nil {
			return asked{}, fmt.Errorf("making a pod of GinService %s: %w", name, err)
		}
		pod.Namespace, pod.Name = namespace, fmt.Sprintf("%s-blue-%03d", name, i)
		for port := range pod.Spec.Containers[0].Ports {
			if p := &pod.Spec.Containers[0].Ports[port]; p.Name == "metrics" {
				p.ContainerPort = int32(address.Port())
			}
		}
		if err := c.Create(ctx, pod); err != nil {
			return asked{}, fmt.Errorf("creating pod %s: %w", pod.Name, err)
		}
		pod.Status = corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: address.Addr().String(), PodIPs: []corev1.PodIP{{IP: address.Addr().String()}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		}
		if err := c.Status().Update(ctx, pod); err != nil {
			return asked{}, fmt.Errorf("making pod %s ready: %w", pod.Name, err)
		}
	}
	return asked{selector: resources.Selector(gs, v1alpha1.Blue), pods: len(addresses)}, nil
}
