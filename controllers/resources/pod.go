package resources

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

const (
	// ContainerName is the name of the one container of a pod.
	ContainerName = "app"

	portHTTP    = "http"
	portMetrics = "metrics"
)

// defaultRequests hold where neither a request nor a limit of the resource is given.
var defaultRequests = map[corev1.ResourceName]string{corev1.ResourceCPU: "100m", corev1.ResourceMemory: "64Mi"}

// podTemplate is template version 1. What it renders for a given revision is frozen: the golden files show it.
func podTemplate(gs *v1alpha1.GinService, color v1alpha1.Color, rev Revision) *corev1ac.PodTemplateSpecApplyConfiguration {
	w := &rev.Workload
	pod := corev1ac.PodSpec().
		WithContainers(container(gs, color, rev)).
		WithVolumes(volumes(gs, rev)...).
		WithTerminationGracePeriodSeconds(int64(valueOr(w.TerminationGracePeriodSeconds, defaultTerminationGracePeriodSeconds))).
		WithAutomountServiceAccountToken(valueOr(w.AutomountServiceAccountToken, false)).
		WithEnableServiceLinks(false).
		// No user is forced on the image: runAsNonRoot makes the kubelet check the one it was built with.
		WithSecurityContext(corev1ac.PodSecurityContext().
			WithRunAsNonRoot(true).
			WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault)))
	for _, secret := range w.ImagePullSecrets {
		pod.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(secret.Name))
	}
	if w.ServiceAccountName != "" {
		pod.WithServiceAccountName(w.ServiceAccountName)
	}
	schedule(pod, &w.Scheduling, SelectorLabels(gs, color))
	return corev1ac.PodTemplateSpec().WithLabels(colorLabels(gs, color, rev.Name)).WithSpec(pod)
}

func container(gs *v1alpha1.GinService, color v1alpha1.Color, rev Revision) *corev1ac.ContainerApplyConfiguration {
	w := &rev.Workload
	app := corev1ac.Container().
		WithName(ContainerName).
		WithImage(w.Image).
		WithCommand(w.Command...).
		WithArgs(w.Args...).
		WithPorts(containerPorts(&w.Ports)...).
		WithEnvFrom(environmentSources(gs, rev)...).
		WithEnv(environment(gs, color, rev)...).
		WithResources(containerResources(&w.Resources)).
		WithVolumeMounts(volumeMounts(w)...).
		WithStartupProbe(probe(w.Probes.Startup, startupDefaults)).
		WithReadinessProbe(probe(w.Probes.Readiness, readinessDefaults)).
		WithLivenessProbe(probe(w.Probes.Liveness, livenessDefaults)).
		WithSecurityContext(corev1ac.SecurityContext().
			WithAllowPrivilegeEscalation(false).
			WithReadOnlyRootFilesystem(true).
			WithCapabilities(corev1ac.Capabilities().WithDrop("ALL")))
	if w.ImagePullPolicy != "" {
		app.WithImagePullPolicy(corev1.PullPolicy(w.ImagePullPolicy))
	}
	if drain := valueOr(w.DrainSeconds, defaultDrainSeconds); drain > 0 {
		// The kubelet sleeps, so the image needs neither a shell nor a sleep of its own.
		app.WithLifecycle(corev1ac.Lifecycle().
			WithPreStop(corev1ac.LifecycleHandler().WithSleep(corev1ac.SleepAction().WithSeconds(int64(drain)))))
	}
	return app
}

func containerPorts(p *v1alpha1.Ports) []*corev1ac.ContainerPortApplyConfiguration {
	httpPort := valueOr(p.HTTP, defaultHTTPPort)
	metricsPort := valueOr(p.Metrics, httpPort)
	ports := []*corev1ac.ContainerPortApplyConfiguration{containerPort(portHTTP, httpPort)}
	if metricsPort != httpPort {
		ports = append(ports, containerPort(portMetrics, metricsPort))
	}
	return ports
}

func containerPort(name string, port int32) *corev1ac.ContainerPortApplyConfiguration {
	return corev1ac.ContainerPort().WithName(name).WithContainerPort(port).WithProtocol(corev1.ProtocolTCP)
}

func containerResources(r *v1alpha1.Resources) *corev1ac.ResourceRequirementsApplyConfiguration {
	requests := maps.Clone(r.Requests)
	for name, amount := range defaultRequests {
		_, requested := r.Requests[name]
		_, limited := r.Limits[name]
		if requested || limited {
			continue
		}
		if requests == nil {
			requests = corev1.ResourceList{}
		}
		requests[name] = resource.MustParse(amount)
	}
	built := corev1ac.ResourceRequirements()
	if len(requests) > 0 {
		built.WithRequests(requests)
	}
	if len(r.Limits) > 0 {
		built.WithLimits(maps.Clone(r.Limits))
	}
	return built
}
