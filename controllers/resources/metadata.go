package resources

import (
	"k8s.io/apimachinery/pkg/labels"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

const (
	// APIVersion is the API version of a GinService, as owner references and scale targets need it.
	APIVersion = "apps.gin-operator.dev/v1alpha1"
	// Kind is the kind of a GinService.
	Kind = "GinService"
)

// Labels are the labels of every child of gs: the ones that caches and people select by.
func Labels(gs *v1alpha1.GinService) map[string]string {
	return map[string]string{
		v1alpha1.LabelName:      gs.Name,
		v1alpha1.LabelInstance:  gs.Name,
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
		v1alpha1.LabelUID:       string(gs.UID),
	}
}

// SelectorLabels are the labels that select the pods of one colour of gs, and no others: they hold its UID, so neither a namesake
// nor a pod of somebody else can match.
func SelectorLabels(gs *v1alpha1.GinService, color v1alpha1.Color) map[string]string {
	return map[string]string{
		v1alpha1.LabelUID:   string(gs.UID),
		v1alpha1.LabelColor: string(color),
	}
}

// Selector is SelectorLabels in the text form that status.selector, and through it /scale, needs.
func Selector(gs *v1alpha1.GinService, color v1alpha1.Color) string {
	return labels.Set(SelectorLabels(gs, color)).String()
}

func colorLabels(gs *v1alpha1.GinService, color v1alpha1.Color, revision string) map[string]string {
	set := revisionLabels(gs, revision)
	set[v1alpha1.LabelColor] = string(color)
	return set
}

func revisionLabels(gs *v1alpha1.GinService, revision string) map[string]string {
	set := Labels(gs)
	set[v1alpha1.LabelRevision] = revision
	return set
}

func colorSelector(gs *v1alpha1.GinService, color v1alpha1.Color) *metav1ac.LabelSelectorApplyConfiguration {
	return metav1ac.LabelSelector().WithMatchLabels(SelectorLabels(gs, color))
}

// controllerReference makes a child belong to gs. blockOwnerDeletion stays unset: it only matters to a foreground deletion, which
// then would wait for the child, and where the admission plugin OwnerReferencesPermissionEnforcement runs it takes the permission
// to update ginservices/finalizers, which the operator otherwise has no use for.
func controllerReference(gs *v1alpha1.GinService) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(APIVersion).
		WithKind(Kind).
		WithName(gs.Name).
		WithUID(gs.UID).
		WithController(true)
}
