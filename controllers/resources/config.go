package resources

import (
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

// MaxConfigSize is how many bytes the data of a ConfigMap may have, as ConfigSize counts them. It is the API server's own limit.
const MaxConfigSize = 1 << 20

// ConfigSize is the size of config in bytes, keys and values. The API server counts the values alone, so what fits here fits there.
func ConfigSize(config map[string]string) int {
	size := 0
	for key, value := range config {
		size += len(key) + len(value)
	}
	return size
}

// ConfigMap is the configuration of rev, or nil if it has none. It is immutable: a revision that is rolled back to finds the
// configuration that it had.
func ConfigMap(gs *v1alpha1.GinService, rev Revision) *corev1ac.ConfigMapApplyConfiguration {
	if len(rev.Workload.Config) == 0 {
		return nil
	}
	return corev1ac.ConfigMap(names.Revisioned(gs.Name, rev.Name), gs.Namespace).
		WithLabels(revisionLabels(gs, rev.Name)).
		WithOwnerReferences(controllerReference(gs)).
		WithImmutable(true).
		WithData(rev.Workload.Config)
}
