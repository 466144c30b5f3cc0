package resources

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

// ControllerRevision records rev in the history of gs under number, which is higher for a later revision. With it goes the
// change-cause annotation that gs has. It fails if rev is not the revision of its own workload.
func ControllerRevision(gs *v1alpha1.GinService, rev Revision, number int64) (*appsv1ac.ControllerRevisionApplyConfiguration, error) {
	normal := normalize(rev.Workload)
	data := canonicalJSON(&normal)
	if name := hash(data); name != workloadName(rev.Name) {
		return nil, fmt.Errorf("recording revision %s: its workload is that of revision %s", rev.Name, name)
	}
	annotations := templateAnnotation()
	if cause := gs.Annotations[v1alpha1.AnnotationChangeCause]; cause != "" {
		annotations[v1alpha1.AnnotationChangeCause] = cause
	}
	return appsv1ac.ControllerRevision(names.Revisioned(gs.Name, rev.Name), gs.Namespace).
		WithLabels(revisionLabels(gs, rev.Name)).
		WithAnnotations(annotations).
		WithOwnerReferences(controllerReference(gs)).
		WithData(runtime.RawExtension{Raw: data}).
		WithRevision(number), nil
}

// WorkloadOf reads a revision back from the history. It fails if the data isn't a workload, or isn't the one that its name
// ends with, and then the record must not be used: somebody changed it, or a newer operator wrote what this one doesn't know.
func WorkloadOf(cr *appsv1.ControllerRevision) (Revision, error) {
	var w v1alpha1.WorkloadSpec
	if err := json.Unmarshal(cr.Data.Raw, &w); err != nil {
		return Revision{}, fmt.Errorf("decoding the data of ControllerRevision %s: %w", cr.Name, err)
	}
	rev := RevisionOf(w)
	name := rev.Name
	if n := len(cr.Name) - len(restartMark) - restartLength; n > 0 && strings.HasSuffix(cr.Name[:n], "-"+name) && strings.HasPrefix(cr.Name[n:], restartMark) {
		rev.Name += cr.Name[n:]
	}
	if !strings.HasSuffix(cr.Name, "-"+rev.Name) {
		return Revision{}, fmt.Errorf("the data of ControllerRevision %s is revision %q: delete it, and the operator goes on without it", cr.Name, name)
	}
	return rev, nil
}
