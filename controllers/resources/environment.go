package resources

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

const (
	envGinMode    = "GIN_MODE"
	envGoMemLimit = "GOMEMLIMIT"
)

// environment is the operator's variables, then the user's. A name appears once, because server-side apply merges the list by it:
// the user's value of GIN_MODE or GOMEMLIMIT takes the place of the default, and the operator's other names can't be set.
func environment(gs *v1alpha1.GinService, color v1alpha1.Color, rev Revision) []*corev1ac.EnvVarApplyConfiguration {
	env := identityEnvironment(gs, color, rev)
	reserved := len(env)
	env = append(env, runtimeEnvironment(&rev.Workload)...)

	position := make(map[string]int, len(env)+len(rev.Workload.Env))
	for i, variable := range env {
		position[*variable.Name] = i
	}
	for i := range rev.Workload.Env {
		variable := userVariable(&rev.Workload.Env[i])
		at, taken := position[*variable.Name]
		switch {
		case !taken:
			position[*variable.Name] = len(env)
			env = append(env, variable)
		case at >= reserved:
			env[at] = variable
		}
	}
	return env
}

// identityEnvironment tells the container where it listens, who it is and how long it has to stop. Users can't override it.
func identityEnvironment(gs *v1alpha1.GinService, color v1alpha1.Color, rev Revision) []*corev1ac.EnvVarApplyConfiguration {
	w := &rev.Workload
	httpPort := valueOr(w.Ports.HTTP, defaultHTTPPort)
	shutdown := valueOr(w.TerminationGracePeriodSeconds, defaultTerminationGracePeriodSeconds) - valueOr(w.DrainSeconds, defaultDrainSeconds)
	return []*corev1ac.EnvVarApplyConfiguration{
		variable("PORT", decimal(httpPort)),
		variable("METRICS_PORT", decimal(valueOr(w.Ports.Metrics, httpPort))),
		podField("POD_NAME", "metadata.name"),
		podField("POD_NAMESPACE", "metadata.namespace"),
		variable("GIN_SERVICE_NAME", gs.Name),
		variable("GIN_SERVICE_COLOR", string(color)),
		variable("GIN_SERVICE_REVISION", rev.Name),
		variable("GIN_SERVICE_SHUTDOWN_SECONDS", decimal(shutdown)),
	}
}

// runtimeEnvironment are defaults for Gin and the Go runtime. A variable wins over envFrom, so one that config has is left out.
func runtimeEnvironment(w *v1alpha1.WorkloadSpec) []*corev1ac.EnvVarApplyConfiguration {
	defaults := map[string]string{envGinMode: "release"}
	if limit := w.Resources.Limits[corev1.ResourceMemory]; limit.Sign() > 0 {
		// A tenth is left for what the runtime doesn't count: the binary itself, C memory, the kernel's buffers.
		bytes := limit.Value()
		defaults[envGoMemLimit] = strconv.FormatInt(bytes-bytes/10, 10)
	}
	var env []*corev1ac.EnvVarApplyConfiguration
	for _, name := range []string{envGinMode, envGoMemLimit} {
		value, wanted := defaults[name]
		_, configured := w.Config[name]
		if wanted && (!configured || w.ConfigMountPath != "") {
			env = append(env, variable(name, value))
		}
	}
	return env
}

func variable(name, value string) *corev1ac.EnvVarApplyConfiguration {
	return corev1ac.EnvVar().WithName(name).WithValue(value)
}

func podField(name, path string) *corev1ac.EnvVarApplyConfiguration {
	return corev1ac.EnvVar().WithName(name).WithValueFrom(corev1ac.EnvVarSource().WithFieldRef(fieldRef(path)))
}

// fieldRef sets the version that the API server would fill in.
func fieldRef(path string) *corev1ac.ObjectFieldSelectorApplyConfiguration {
	return corev1ac.ObjectFieldSelector().WithAPIVersion("v1").WithFieldPath(path)
}

func userVariable(v *v1alpha1.EnvVar) *corev1ac.EnvVarApplyConfiguration {
	built := corev1ac.EnvVar().WithName(v.Name)
	if v.Value != "" { // An empty value is left out by the API server.
		built.WithValue(v.Value)
	}
	if v.ValueFrom != nil {
		built.WithValueFrom(variableSource(v.ValueFrom))
	}
	return built
}

func variableSource(s *v1alpha1.EnvVarSource) *corev1ac.EnvVarSourceApplyConfiguration {
	built := corev1ac.EnvVarSource()
	if ref := s.ConfigMapKeyRef; ref != nil {
		built.WithConfigMapKeyRef(corev1ac.ConfigMapKeySelector().WithName(ref.Name).WithKey(ref.Key))
		built.ConfigMapKeyRef.Optional = trueOrNone(ref.Optional)
	}
	if ref := s.SecretKeyRef; ref != nil {
		built.WithSecretKeyRef(corev1ac.SecretKeySelector().WithName(ref.Name).WithKey(ref.Key))
		built.SecretKeyRef.Optional = trueOrNone(ref.Optional)
	}
	if ref := s.FieldRef; ref != nil {
		built.WithFieldRef(fieldRef(ref.FieldPath))
	}
	if ref := s.ResourceFieldRef; ref != nil {
		built.WithResourceFieldRef(corev1ac.ResourceFieldSelector().WithResource(ref.Resource))
	}
	return built
}

// environmentSources is the config of the revision, then the user's sources: the last one that has a key wins.
func environmentSources(gs *v1alpha1.GinService, rev Revision) []*corev1ac.EnvFromSourceApplyConfiguration {
	w := &rev.Workload
	var sources []*corev1ac.EnvFromSourceApplyConfiguration
	if len(w.Config) > 0 && w.ConfigMountPath == "" {
		sources = append(sources, corev1ac.EnvFromSource().
			WithConfigMapRef(corev1ac.ConfigMapEnvSource().WithName(names.Revisioned(gs.Name, rev.Name))))
	}
	for i := range w.EnvFrom {
		sources = append(sources, userSource(&w.EnvFrom[i]))
	}
	return sources
}

func userSource(s *v1alpha1.EnvFromSource) *corev1ac.EnvFromSourceApplyConfiguration {
	built := corev1ac.EnvFromSource()
	if s.Prefix != "" {
		built.WithPrefix(s.Prefix)
	}
	if ref := s.ConfigMapRef; ref != nil {
		built.WithConfigMapRef(corev1ac.ConfigMapEnvSource().WithName(ref.Name))
		built.ConfigMapRef.Optional = trueOrNone(ref.Optional)
	}
	if ref := s.SecretRef; ref != nil {
		built.WithSecretRef(corev1ac.SecretEnvSource().WithName(ref.Name))
		built.SecretRef.Optional = trueOrNone(ref.Optional)
	}
	return built
}

func decimal(n int32) string { return strconv.FormatInt(int64(n), 10) }

// trueOrNone leaves out a false, which says nothing, but would be a difference between two pod templates.
func trueOrNone(field *bool) *bool {
	if valueOr(field, false) {
		return new(true)
	}
	return nil
}
