package controllers

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

const (
	// indexOwner finds ControllerRevisions by the UID of their controller.
	indexOwner = "gin-operator.owner"
	// indexService finds EndpointSlices by the name of their Service.
	indexService = "gin-operator.service"
)

// CacheOptions returns the options of a manager's cache that hold only what is ours: GinServices, and children by their label. With a
// namespace, they hold only what is in it.
func CacheOptions(namespace string) cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})}
	configs := ours
	configs.Transform = dropData
	deployments := ours
	deployments.Transform = dropBookkeeping
	slices := ours
	slices.Transform = dropEndpointDetail
	options := cache.Options{
		DefaultTransform: dropManagedFields,
		ByObject: map[client.Object]cache.ByObject{
			&appsv1.Deployment{}:                     deployments,
			&appsv1.ControllerRevision{}:             ours,
			&corev1.Service{}:                        ours,
			&corev1.ConfigMap{}:                      configs,
			&autoscalingv2.HorizontalPodAutoscaler{}: ours,
			&policyv1.PodDisruptionBudget{}:          ours,
			&discoveryv1.EndpointSlice{}:             slices,
		},
	}
	if namespace != "" {
		options.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	}
	return options
}

// ClientOptions returns the options of a manager's client: reads come from the cache and wait for the client's own writes, so that no
// pass works on a state older than its predecessor left.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: ptr.To(true)}}
}

func dropManagedFields(object any) (any, error) {
	if meta, ok := object.(metav1.Object); ok {
		meta.SetManagedFields(nil)
	}
	return object, nil
}

// dropData leaves out what a ConfigMap holds. Ours are immutable, so that their names and labels say it all.
func dropData(object any) (any, error) {
	if config, ok := object.(*corev1.ConfigMap); ok {
		config.Data, config.BinaryData = nil, nil
	}
	return dropManagedFields(object)
}

// dropBookkeeping leaves out what the Deployment controller notes for itself in an annotation, soon after each change of a Deployment.
func dropBookkeeping(object any) (any, error) {
	if deployment, ok := object.(*appsv1.Deployment); ok {
		delete(deployment.Annotations, "deployment.kubernetes.io/revision")
	}
	return dropManagedFields(object)
}

// dropEndpointDetail keeps of an EndpointSlice what readyEndpoints reads.
func dropEndpointDetail(object any) (any, error) {
	slice, ok := object.(*discoveryv1.EndpointSlice)
	if !ok {
		return object, nil
	}
	for i, endpoint := range slice.Endpoints {
		kept := discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: endpoint.Conditions.Ready}}
		if endpoint.TargetRef != nil {
			kept.TargetRef = &corev1.ObjectReference{Name: endpoint.TargetRef.Name}
		}
		slice.Endpoints[i] = kept
	}
	slice.Ports, slice.Annotations = nil, nil
	return dropManagedFields(object)
}

func ownerIndex(object client.Object) []string {
	if owner := metav1.GetControllerOf(object); owner != nil {
		return []string{string(owner.UID)}
	}
	return nil
}

func serviceIndex(object client.Object) []string {
	return []string{object.GetLabels()[discoveryv1.LabelServiceName]}
}
