package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

const (
	defaultServicePort            int32 = 80
	defaultAffinityTimeoutSeconds int32 = 10800
)

// AnnotationServing is on an active Service that selects both colours, and names the one that served before.
const AnnotationServing = "apps.gin-operator.dev/serving"

// ActiveService is the Service that takes the traffic, with all of it going to color, or to both colours alike. Only the http port is on
// it: metrics are for those inside the cluster who ask each pod. ports are those of the revision that color holds.
func ActiveService(gs *v1alpha1.GinService, color v1alpha1.Color, both bool, ports v1alpha1.Ports) *corev1ac.ServiceApplyConfiguration {
	s := &gs.Spec.Service
	serviceType := corev1.ServiceTypeClusterIP
	if s.Type != "" {
		serviceType = corev1.ServiceType(s.Type)
	}
	service := baseService(gs, names.ActiveService(gs.Name), v1alpha1.RoleActive).
		WithAnnotations(scrapeAnnotations(gs, ports)).
		WithAnnotations(s.Annotations)
	selector := SelectorLabels(gs, color)
	if both {
		delete(selector, v1alpha1.LabelColor)
		service.WithAnnotations(map[string]string{AnnotationServing: string(color)})
	}
	service.Spec.WithType(serviceType).WithSelector(selector)
	if s.SessionAffinity == v1alpha1.SessionAffinity(corev1.ServiceAffinityClientIP) {
		service.Spec.WithSessionAffinity(corev1.ServiceAffinityClientIP).
			WithSessionAffinityConfig(corev1ac.SessionAffinityConfig().
				WithClientIP(corev1ac.ClientIPConfig().
					WithTimeoutSeconds(valueOr(s.SessionAffinityTimeoutSeconds, defaultAffinityTimeoutSeconds))))
	}
	return service
}

// PreviewService is the Service of exactly one revision in color: pods of an earlier revision that the colour is still replacing
// are not behind it. It says in its labels too what it selects: Kubernetes copies them to the EndpointSlices that it makes for it, which
// can so be told from those of an earlier selector. It never leaves the cluster, whatever the type of the active one.
func PreviewService(gs *v1alpha1.GinService, color v1alpha1.Color, revision string) *corev1ac.ServiceApplyConfiguration {
	selector := SelectorLabels(gs, color)
	selector[v1alpha1.LabelRevision] = revision
	service := baseService(gs, names.PreviewService(gs.Name), v1alpha1.RolePreview).
		WithLabels(map[string]string{v1alpha1.LabelColor: string(color), v1alpha1.LabelRevision: revision})
	service.Spec.WithType(corev1.ServiceTypeClusterIP).WithSelector(selector)
	return service
}

func baseService(gs *v1alpha1.GinService, name, role string) *corev1ac.ServiceApplyConfiguration {
	labels := Labels(gs)
	labels[v1alpha1.LabelRole] = role
	port := corev1ac.ServicePort().
		WithName(portHTTP).
		WithProtocol(corev1.ProtocolTCP).
		WithPort(valueOr(gs.Spec.Service.Port, defaultServicePort)).
		WithTargetPort(intstr.FromString(portHTTP))
	if protocol := gs.Spec.Service.AppProtocol; protocol != nil {
		port.WithAppProtocol(*protocol)
	}
	return corev1ac.Service(name, gs.Namespace).
		WithLabels(labels).
		WithOwnerReferences(controllerReference(gs)).
		WithSpec(corev1ac.ServiceSpec().
			WithPorts(port).
			WithSessionAffinity(corev1.ServiceAffinityNone))
}
