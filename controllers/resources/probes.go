package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// probeDefaults are what a field of a Probe means when it is left out; times are in seconds. Like all defaults of template version
// 1 they never change.
type probeDefaults struct {
	path             string
	periodSeconds    int32
	timeoutSeconds   int32
	failureThreshold int32
}

var (
	startupDefaults   = probeDefaults{path: "/livez", periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 60}
	readinessDefaults = probeDefaults{path: "/readyz", periodSeconds: 2, timeoutSeconds: 1, failureThreshold: 2}
	livenessDefaults  = probeDefaults{path: "/livez", periodSeconds: 10, timeoutSeconds: 2, failureThreshold: 3}
)

// probe builds an HTTP probe of the port "http". Every field that the API server would fill in is set, except a delay of 0, which
// it leaves out.
func probe(p *v1alpha1.Probe, defaults probeDefaults) *corev1ac.ProbeApplyConfiguration {
	if p == nil {
		p = &v1alpha1.Probe{}
	}
	path := p.Path
	if path == "" {
		path = defaults.path
	}
	built := corev1ac.Probe().
		WithHTTPGet(corev1ac.HTTPGetAction().
			WithPath(path).
			WithPort(intstr.FromString(portHTTP)).
			WithScheme(corev1.URISchemeHTTP)).
		WithPeriodSeconds(valueOr(p.PeriodSeconds, defaults.periodSeconds)).
		WithTimeoutSeconds(valueOr(p.TimeoutSeconds, defaults.timeoutSeconds)).
		WithSuccessThreshold(1).
		WithFailureThreshold(valueOr(p.FailureThreshold, defaults.failureThreshold))
	if delay := valueOr(p.InitialDelaySeconds, 0); delay > 0 {
		built.WithInitialDelaySeconds(delay)
	}
	return built
}
