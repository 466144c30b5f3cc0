package controllers

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

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
	options := cache.Options{
		DefaultTransform: keepNeeded,
		// What is read is watched, too: nothing begins to be read by the way.
		ReaderFailOnMissingInformer: true,
		DefaultLabelSelector:        labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}),
		ByObject:                    map[client.Object]cache.ByObject{&v1alpha1.GinService{}: {Label: labels.Everything()}},
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

// keepNeeded leaves out of an object for a cache what nobody reads, and shares the texts of the rest. What the operator writes is made of
// less, so that nothing of that is lost.
func keepNeeded(object any) (any, error) {
	meta, ok := object.(metav1.Object)
	if !ok || len(meta.GetManagedFields()) == 0 {
		return object, nil // an informer that fills up does this twice to each
	}
	keepMetadata(meta)
	switch o := object.(type) {
	case *v1alpha1.GinService:
		delete(o.Annotations, corev1.LastAppliedConfigAnnotation)
		intern(&o.Spec, &o.Status)
	case *appsv1.Deployment:
		delete(o.Annotations, "deployment.kubernetes.io/revision") // the Deployment controller's own, soon after each change
		o.Status.Conditions = slices.DeleteFunc(o.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
			return c.Type != appsv1.DeploymentReplicaFailure
		})
		intern(&o.Spec, &o.Status)
		if maps.Equal(o.Labels, o.Spec.Template.Labels) {
			o.Spec.Template.Labels = o.Labels
		}
	case *corev1.Service:
		o.Status = corev1.ServiceStatus{}
		intern(&o.Spec)
	case *corev1.ConfigMap:
		o.Data, o.BinaryData = nil, nil // ours are immutable, so that their names and labels say it all
	case *autoscalingv2.HorizontalPodAutoscaler:
		for i := range o.Status.CurrentMetrics { // which of them there is a value of is all that counts
			o.Status.CurrentMetrics[i] = autoscalingv2.MetricStatus{Type: o.Status.CurrentMetrics[i].Type}
		}
		o.Status.Conditions = slices.DeleteFunc(o.Status.Conditions, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool {
			return c.Type != autoscalingv2.ScalingActive
		})
		intern(&o.Spec, &o.Status)
	case *policyv1.PodDisruptionBudget:
		o.Status = policyv1.PodDisruptionBudgetStatus{}
		intern(&o.Spec)
	case *networkingv1.NetworkPolicy:
		intern(&o.Spec)
	case *gatewayv1.HTTPRoute:
		intern(&o.Spec, &o.Status)
	case *discoveryv1.EndpointSlice:
		keepReadiness(o)
	}
	return object, nil
}

// keepReadiness keeps of an EndpointSlice what readyEndpoints reads, and what tells whose it is.
func keepReadiness(slice *discoveryv1.EndpointSlice) {
	kept := make([]discoveryv1.Endpoint, len(slice.Endpoints))
	for i, endpoint := range slice.Endpoints {
		kept[i].Conditions.Ready = endpoint.Conditions.Ready
		if endpoint.TargetRef != nil {
			kept[i].TargetRef = &corev1.ObjectReference{Name: endpoint.TargetRef.Name}
		}
	}
	slice.Endpoints, slice.Ports, slice.Annotations, slice.OwnerReferences = kept, nil, nil, nil
	maps.DeleteFunc(slice.Labels, func(label, _ string) bool {
		return label != discoveryv1.LabelServiceName && label != v1alpha1.LabelInstance && label != v1alpha1.LabelColor && label != v1alpha1.LabelRevision
	})
}

func keepMetadata(meta metav1.Object) {
	meta.SetManagedFields(nil)
	namespace, labels, annotations, owners := meta.GetNamespace(), meta.GetLabels(), meta.GetAnnotations(), meta.GetOwnerReferences()
	intern(&namespace, &labels, &annotations, &owners)
	meta.SetNamespace(namespace)
	meta.SetLabels(labels)
	meta.SetAnnotations(annotations)
	meta.SetOwnerReferences(owners)
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
