package analysis

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
	"github.com/gin-operator/gin-operator/podmetrics"
)

const (
	// listInterval is how often pods are listed at most for one rollout, where EndpointSlices show some that are not known.
	listInterval = time.Second
	// knownFor is how long what is known counts: a pod gets another address where its node had to start it anew.
	knownFor = 30 * time.Second
)

// found are the pods of a GinService that are known, by their names. EndpointSlices say which of them are ready, as they do for the planner. Their
// addresses are those of the pods' own status, which nobody but the kubelet writes: an EndpointSlice could lead anywhere.
type found struct {
	pods   map[string]Pod
	listed time.Time
}

// of returns the ready pods of a colour behind a Service, in the order of their names, and whether there are more that are not known yet.
func (f *found) of(ctx context.Context, r *Runner, gs *v1alpha1.GinService, service string, color v1alpha1.Color) (ready []Pod, more bool, err error) {
	wanted, err := readyNames(ctx, r.options.Client, gs, service, color)
	if err != nil {
		return nil, false, err
	}
	unknown := func(name string) bool { return f.pods[name].UID == "" }
	keep := knownFor
	if slices.ContainsFunc(wanted, unknown) {
		keep = listInterval
	}
	if now := r.options.Clock.Now(); len(wanted) > 0 && !now.Before(f.listed.Add(keep)) {
		if err := f.list(ctx, r.options.Live, gs); err != nil {
			return nil, false, err
		}
		f.listed = now
	}
	for _, name := range wanted {
		if unknown(name) {
			more = true
			continue
		}
		ready = append(ready, f.pods[name])
	}
	return ready, more, nil
}

// readyNames returns the names of the pods of a colour that the EndpointSlices of a Service show ready, in order. A pod's name begins with that of its
// Deployment.
func readyNames(ctx context.Context, cache client.Reader, gs *v1alpha1.GinService, service string, color v1alpha1.Color) ([]string, error) {
	var list discoveryv1.EndpointSliceList
	err := cache.List(ctx, &list, client.InNamespace(gs.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing EndpointSlices of Service %s: %w", service, err)
	}
	var ready []string
	for i := range list.Items {
		for j := range list.Items[i].Endpoints {
			endpoint := &list.Items[i].Endpoints[j]
			isReady := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
			if endpoint.TargetRef != nil && isReady && strings.HasPrefix(endpoint.TargetRef.Name, names.Deployment(gs.Name, color)+"-") {
				ready = append(ready, endpoint.TargetRef.Name)
			}
		}
	}
	slices.Sort(ready)
	return slices.Compact(ready), nil // a dual-stack pod is in two slices
}

// list looks up the pods of both colours.
func (f *found) list(ctx context.Context, live client.Reader, gs *v1alpha1.GinService) error {
	var list corev1.PodList
	// What the API server has in its cache will do: a pod that is not there yet is looked for again.
	fromCache := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}}
	if err := live.List(ctx, &list, fromCache, client.InNamespace(gs.Namespace), client.MatchingLabels{v1alpha1.LabelUID: string(gs.UID)}); err != nil {
		return fmt.Errorf("listing the pods of GinService %s: %w", gs.Name, err)
	}
	f.pods = map[string]Pod{}
	for i := range list.Items {
		if pod, ok := podOf(gs, &list.Items[i]); ok {
			f.pods[pod.Name] = pod
		}
	}
	return nil
}

// podOf returns where a pod listens, or false where it is not to be dialled: it has no address yet, or one that no pod has, such as that of its node; or
// it was not made by a Deployment of the GinService. Nothing else that is dialled for a GinService comes from anywhere but here.
func podOf(gs *v1alpha1.GinService, pod *corev1.Pod) (Pod, bool) {
	color := v1alpha1.Color(pod.Labels[v1alpha1.LabelColor])
	owner := metav1.GetControllerOf(pod)
	made := owner != nil && owner.Kind == "ReplicaSet" && strings.HasPrefix(owner.Name, names.Deployment(gs.Name, color)+"-")
	address, err := netip.ParseAddr(pod.Status.PodIP)
	if err != nil || !podmetrics.IsPodIP(address) || !made || pod.Spec.HostNetwork || !pod.DeletionTimestamp.IsZero() {
		return Pod{}, false
	}
	ports := map[string]uint16{}
	for i := range pod.Spec.Containers {
		if container := &pod.Spec.Containers[i]; container.Name == resources.ContainerName {
			for _, port := range container.Ports {
				ports[port.Name] = uint16(port.ContainerPort) //nolint:gosec // Kubernetes takes no port above 65535
			}
		}
	}
	http, metrics := ports["http"], ports["metrics"]
	if metrics == 0 {
		metrics = http
	}
	return Pod{
		Pod:  podmetrics.Pod{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Service: gs.Name, Color: color},
		HTTP: netip.AddrPortFrom(address, http), Metrics: netip.AddrPortFrom(address, metrics),
	}, http != 0
}
