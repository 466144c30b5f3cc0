package resources

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

const (
	// AnnotationTemplate is an annotation of Deployments and ControllerRevisions with the version of the pod template that the revision is rendered
	// with. What a released version renders never changes, and a newer one is used for new revisions alone, so that an upgrade of
	// the operator restarts no pod.
	AnnotationTemplate = "apps.gin-operator.dev/template"
	// TemplateVersion is the version that this operator renders.
	TemplateVersion = "1"
)

const (
	defaultProgressDeadlineSeconds int32 = 600
	// keptReplicaSets is how many old ReplicaSets a Deployment keeps. The history of a GinService is in ControllerRevisions, and going back is
	// a matter of colours; but the disruption controller looks for the ReplicaSet of each pod that drains, also when two changes follow one
	// another, and warns where it is gone.
	keptReplicaSets int32 = 2
)

// Deployment is the Deployment of one colour of gs, holding rev with that many replicas.
//
// A colour whose template changes while it has pods keeps them until as many new ones are ready, unless the strategy is to replace them
// a few at a time.
func Deployment(gs *v1alpha1.GinService, color v1alpha1.Color, rev Revision, replicas int32) *appsv1ac.DeploymentApplyConfiguration {
	surge, unavailable := RollingLimits(gs.Spec.Strategy)
	spec := appsv1ac.DeploymentSpec().
		WithReplicas(replicas).
		WithSelector(colorSelector(gs, color)).
		WithStrategy(appsv1ac.DeploymentStrategy().
			WithType(appsv1.RollingUpdateDeploymentStrategyType).
			WithRollingUpdate(appsv1ac.RollingUpdateDeployment().WithMaxSurge(surge).WithMaxUnavailable(unavailable))).
		WithRevisionHistoryLimit(keptReplicaSets).
		WithProgressDeadlineSeconds(valueOr(gs.Spec.ProgressDeadlineSeconds, defaultProgressDeadlineSeconds)).
		WithTemplate(podTemplate(gs, color, rev))
	if seconds := valueOr(gs.Spec.MinReadySeconds, 0); seconds > 0 { // 0 is left out by the API server.
		spec.WithMinReadySeconds(seconds)
	}
	return appsv1ac.Deployment(names.Deployment(gs.Name, color), gs.Namespace).
		WithLabels(colorLabels(gs, color, rev.Name)).
		WithAnnotations(templateAnnotation()).
		WithOwnerReferences(controllerReference(gs)).
		WithSpec(spec)
}

// RollingLimits returns how many pods a Deployment that replaces its pods may have beyond its replicas, and how many of these may be missing.
// A colour whose pods don't serve replaces all at once.
func RollingLimits(strategy v1alpha1.Strategy) (surge, unavailable intstr.IntOrString) {
	surge, unavailable = intstr.FromString("100%"), intstr.FromInt32(0)
	if strategy.Type == v1alpha1.StrategyRollingUpdate {
		surge = intstr.FromString("25%")
		if settings := strategy.RollingUpdate; settings != nil {
			surge, unavailable = valueOr(settings.MaxSurge, surge), valueOr(settings.MaxUnavailable, unavailable)
		}
	}
	return surge, unavailable
}

func templateAnnotation() map[string]string {
	return map[string]string{AnnotationTemplate: TemplateVersion}
}
