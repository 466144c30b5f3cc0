package resources

import (
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

// configVolume is the volume of config as files. The CRD keeps names that begin with gin-service- for the operator.
const configVolume = "gin-service-config"

func hasConfigFiles(w *v1alpha1.WorkloadSpec) bool {
	return len(w.Config) > 0 && w.ConfigMountPath != ""
}

func volumes(gs *v1alpha1.GinService, rev Revision) []*corev1ac.VolumeApplyConfiguration {
	w := &rev.Workload
	var built []*corev1ac.VolumeApplyConfiguration
	if hasConfigFiles(w) {
		built = append(built, corev1ac.Volume().
			WithName(configVolume).
			WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(names.Revisioned(gs.Name, rev.Name))))
	}
	for i := range w.Volumes {
		v := &w.Volumes[i]
		built = append(built, convert[corev1ac.VolumeApplyConfiguration](corev1.Volume{
			Name: v.Name,
			VolumeSource: corev1.VolumeSource{
				ConfigMap:             v.ConfigMap,
				Secret:                v.Secret,
				EmptyDir:              v.EmptyDir,
				PersistentVolumeClaim: v.PersistentVolumeClaim,
				Projected:             v.Projected,
				DownwardAPI:           v.DownwardAPI,
				CSI:                   v.CSI,
			},
		}))
	}
	return built
}

func volumeMounts(w *v1alpha1.WorkloadSpec) []*corev1ac.VolumeMountApplyConfiguration {
	var built []*corev1ac.VolumeMountApplyConfiguration
	if hasConfigFiles(w) {
		built = append(built, corev1ac.VolumeMount().WithName(configVolume).WithMountPath(w.ConfigMountPath).WithReadOnly(true))
	}
	for i := range w.VolumeMounts {
		m := &w.VolumeMounts[i]
		mount := corev1ac.VolumeMount().WithName(m.Name).WithMountPath(m.MountPath)
		if m.SubPath != "" {
			mount.WithSubPath(m.SubPath)
		}
		if valueOr(m.ReadOnly, false) { // false is left out by the API server.
			mount.WithReadOnly(true)
		}
		built = append(built, mount)
	}
	return built
}
