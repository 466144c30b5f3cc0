package resources

import (
	"reflect"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// Defaults of template version 1. A field that a normal form leaves out means one of these, so none of them may ever change.
const (
	defaultHTTPPort                      int32 = 8080
	defaultTerminationGracePeriodSeconds int32 = 30
	defaultDrainSeconds                  int32 = 5
)

// normalize returns the normal form of w: a deep copy in which empty lists and maps are nil, each quantity is spelt in the one way
// that depends on its value alone, and fields with their default value are left out. Pods of w and of its normal form are the same.
func normalize(w v1alpha1.WorkloadSpec) v1alpha1.WorkloadSpec {
	normal := *w.DeepCopy()
	normalizeValue(reflect.ValueOf(&normal).Elem())
	dropDefaults(&normal)
	return normal
}

// normalizeValue does to everything in v what holds for any type: empty lists and maps become nil, quantities canonical.
func normalizeValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			normalizeValue(v.Elem())
		}
	case reflect.Struct:
		if q, ok := reflect.TypeAssert[resource.Quantity](v); ok {
			v.Set(reflect.ValueOf(canonicalQuantity(q)))
			return
		}
		for _, field := range v.Fields() {
			normalizeValue(field)
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.SetZero()
			return
		}
		for i := range v.Len() {
			normalizeValue(v.Index(i))
		}
	case reflect.Map:
		normalizeMap(v)
	default: // A single value is as it is.
	}
}

func normalizeMap(v reflect.Value) {
	if v.Len() == 0 {
		v.SetZero()
		return
	}
	for _, key := range v.MapKeys() {
		if q, ok := reflect.TypeAssert[resource.Quantity](v.MapIndex(key)); ok {
			v.SetMapIndex(key, reflect.ValueOf(canonicalQuantity(q)))
		}
	}
}

// canonicalQuantity spells q in the shorter of its decimal and its binary form, decimal if both are as long. "1000m" becomes "1",
// and "1073741824" becomes "1Gi", so that equal amounts are equal texts.
func canonicalQuantity(q resource.Quantity) resource.Quantity {
	q = limitQuantity(q)
	best := ""
	for _, format := range []resource.Format{resource.DecimalSI, resource.BinarySI} {
		candidate := q.DeepCopy()
		candidate.Format = format
		number, suffix := candidate.CanonicalizeBytes(nil)
		if text := string(number) + string(suffix); best == "" || len(text) < len(best) {
			best = text
		}
	}
	return resource.MustParse(best)
}

// limitQuantity brings q into the range that Kubernetes says a quantity has: at most 2^63-1, at least a billionth. Parsing doesn't see
// to that, and "1e999999" would then be worked out to its last digit, which takes a minute: one GinService could stop the operator.
func limitQuantity(q resource.Quantity) resource.Quantity {
	const maxPower = 36 // Beyond the range, and still cheap to compare.
	largest, smallest := resource.MustParse("9223372036854775807"), resource.MustParse("1n")
	if q.Sign() < 0 {
		largest.Neg()
		smallest.Neg()
	}
	scale := new(q.DeepCopy()).AsDec().Scale()
	switch {
	case q.IsZero():
		return resource.Quantity{}
	case scale < -maxPower:
		return largest
	case scale > maxPower:
		return smallest
	case q.Cmp(largest) == q.Sign():
		return largest
	}
	return q
}

// dropDefaults takes out of w each field of this API that says what leaving it out says. It belongs to the hash: entries are added
// with new fields, and never changed or removed.
func dropDefaults(w *v1alpha1.WorkloadSpec) {
	if w.Ports.Metrics != nil && *w.Ports.Metrics == valueOr(w.Ports.HTTP, defaultHTTPPort) {
		w.Ports.Metrics = nil
	}
	dropDefault(&w.Ports.HTTP, defaultHTTPPort)
	dropDefault(&w.TerminationGracePeriodSeconds, defaultTerminationGracePeriodSeconds)
	dropDefault(&w.DrainSeconds, defaultDrainSeconds)
	dropDefault(&w.AutomountServiceAccountToken, false)
	for i := range w.Env {
		dropEnvDefaults(w.Env[i].ValueFrom)
	}
	for i := range w.EnvFrom {
		for _, ref := range []*v1alpha1.OptionalReference{w.EnvFrom[i].ConfigMapRef, w.EnvFrom[i].SecretRef} {
			if ref != nil {
				dropDefault(&ref.Optional, false)
			}
		}
	}
	for i := range w.VolumeMounts {
		dropDefault(&w.VolumeMounts[i].ReadOnly, false)
	}
	dropProbeDefaults(&w.Probes.Startup, startupDefaults)
	dropProbeDefaults(&w.Probes.Readiness, readinessDefaults)
	dropProbeDefaults(&w.Probes.Liveness, livenessDefaults)
	dropEmptyAffinity(&w.Scheduling)
}

func dropEnvDefaults(source *v1alpha1.EnvVarSource) {
	if source == nil {
		return
	}
	for _, ref := range []*v1alpha1.KeyReference{source.ConfigMapKeyRef, source.SecretKeyRef} {
		if ref != nil {
			dropDefault(&ref.Optional, false)
		}
	}
}

func dropProbeDefaults(probe **v1alpha1.Probe, defaults probeDefaults) {
	p := *probe
	if p == nil {
		return
	}
	if p.Path == defaults.path {
		p.Path = ""
	}
	dropDefault(&p.InitialDelaySeconds, 0)
	dropDefault(&p.PeriodSeconds, defaults.periodSeconds)
	dropDefault(&p.TimeoutSeconds, defaults.timeoutSeconds)
	dropDefault(&p.FailureThreshold, defaults.failureThreshold)
	dropZero(probe)
}

func dropEmptyAffinity(s *v1alpha1.Scheduling) {
	if s.Affinity == nil {
		return
	}
	dropZero(&s.Affinity.NodeAffinity)
	dropZero(&s.Affinity.PodAffinity)
	dropZero(&s.Affinity.PodAntiAffinity)
	dropZero(&s.Affinity)
}

// dropDefault clears a field that says what its absence says.
func dropDefault[T comparable](field **T, value T) {
	if *field != nil && **field == value {
		*field = nil
	}
}

// dropZero clears a field that points to a struct in which nothing is set.
func dropZero[T any](field **T) {
	if *field != nil && reflect.ValueOf(*field).Elem().IsZero() {
		*field = nil
	}
}

// valueOr is what field points to, or fallback if it is left out.
func valueOr[T any](field *T, fallback T) T {
	if field == nil {
		return fallback
	}
	return *field
}
