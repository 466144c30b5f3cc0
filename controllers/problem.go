package controllers

import (
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// problem is something that somebody has to help with.
type problem struct {
	reason  string // of the conditions
	message string
	// retryAfter is when to try again, where something else may change.
	retryAfter time.Duration
}

const (
	// conflictRetry is how soon a write is tried again that met a newer version of its object. The event of that version is on its way.
	conflictRetry = 20 * time.Millisecond
	// takenRetry is how often a name that was taken is tried again, and an object that was invalid: an admission policy may have said so.
	takenRetry = time.Minute
	// rejectedRetry is how often a write is tried again that was forbidden, for a quota or a permission can change.
	rejectedRetry = 30 * time.Second
)

// sorted tells what somebody has to help with from what trying again may heal, among failures that were joined. Of several of the former,
// the first is told.
func sorted(failure error) (*problem, error) {
	var trouble *problem
	var transient []error
	for _, one := range joined(failure) {
		switch found := problemOf(one); {
		case found == nil:
			transient = append(transient, one)
		case trouble == nil:
			trouble = found
		}
	}
	return trouble, errors.Join(transient...)
}

// joined returns the failures that errors.Join has joined.
func joined(failure error) []error {
	if failure == nil {
		return nil
	}
	var all []error
	if several, ok := failure.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			all = append(all, joined(one)...)
		}
		return all
	}
	return []error{failure}
}

// problemOf finds in an error what somebody has to help with, or nil where trying again is all there is to do.
func problemOf(err error) *problem {
	var taken *nameTakenError
	switch {
	case errors.As(err, &taken):
		return &problem{reason: v1alpha1.ReasonNameTaken, message: taken.Error(), retryAfter: takenRetry}
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err):
		return &problem{reason: v1alpha1.ReasonRejected, retryAfter: takenRetry, message: "the API server refuses what spec asks for: correct it: " + refusal(err)}
	case apierrors.IsForbidden(err):
		return &problem{reason: v1alpha1.ReasonRejected, retryAfter: rejectedRetry, message: fmt.Sprintf(
			"the API server forbids what spec asks for: a quota, an admission policy or the operator's permissions have to allow it: %v", err)}
	default:
		return nil
	}
}

// refusal returns what is wrong, with the fields of the GinService that the refused ones are made of.
func refusal(err error) string {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || status.ErrStatus.Details == nil || len(status.ErrStatus.Details.Causes) == 0 {
		return err.Error()
	}
	var causes []string
	for _, cause := range status.ErrStatus.Details.Causes {
		if cause.Field == "" {
			return err.Error()
		}
		causes = append(causes, specField(cause.Field)+": "+cause.Message+wayOutOf[cause.Field])
	}
	details := status.ErrStatus.Details
	return fmt.Sprintf("%s (in %s %s)", strings.Join(causes, "; "), details.Kind, details.Name)
}

// wayOutOf says what to do about fields of children that are refused for what the cluster is, and not for what they say: where the API server
// is too old for a zero, the schema of a GinService can't know.
var wayOutOf = map[string]string{
	"spec.minReplicas": ": 0 needs Kubernetes 1.37, or the feature gate HPAScaleToZero in its API server and its controller manager",
}

// specField returns the field of a GinService that a field of a child is made of, or the latter where it is none of these.
func specField(field string) string {
	for _, from := range specFields {
		rest, found := strings.CutPrefix(field, from.child)
		if !found {
			continue
		}
		if from.mixed {
			_, rest, _ = strings.Cut(rest, "]")
		}
		return from.spec + strings.ReplaceAll(rest, ".httpGet.", ".")
	}
	return field
}

// specFields are the fields of children that are made of fields of spec, the longer prefixes first.
var specFields = []struct {
	child, spec string
	mixed       bool // the operator has entries of its own in this list: the index is another one than in spec
}{
	{child: "spec.template.spec.containers[0].startupProbe", spec: "spec.probes.startup"},
	{child: "spec.template.spec.containers[0].readinessProbe", spec: "spec.probes.readiness"},
	{child: "spec.template.spec.containers[0].livenessProbe", spec: "spec.probes.liveness"},
	{child: "spec.template.spec.containers[0].env[", spec: "spec.env", mixed: true},
	{child: "spec.template.spec.containers[0].envFrom[", spec: "spec.envFrom", mixed: true},
	{child: "spec.template.spec.containers[0].volumeMounts[", spec: "spec.volumeMounts", mixed: true},
	{child: "spec.template.spec.containers[0].", spec: "spec."},
	{child: "spec.template.spec.volumes[", spec: "spec.volumes", mixed: true},
	{child: "spec.template.spec.affinity", spec: "spec.scheduling.affinity"},
	{child: "spec.template.spec.nodeSelector", spec: "spec.scheduling.nodeSelector"},
	{child: "spec.template.spec.tolerations", spec: "spec.scheduling.tolerations"},
	{child: "spec.template.spec.topologySpreadConstraints", spec: "spec.scheduling.topologySpreadConstraints"},
	{child: "spec.template.spec.priorityClassName", spec: "spec.scheduling.priorityClassName"},
	{child: "spec.template.spec.", spec: "spec."},
	{child: "spec.minReplicas", spec: "spec.autoscaling.minReplicas"},
	{child: "spec.maxReplicas", spec: "spec.autoscaling.maxReplicas"},
	{child: "spec.metrics", spec: "spec.autoscaling.metrics"},
	{child: "spec.behavior", spec: "spec.autoscaling.behavior"},
	{child: "spec.ingress[1].from[", spec: "spec.network.metricsFrom["},
	{child: "spec.ingress[2].from[", spec: "spec.network.ingressFrom["},
	{child: "spec.parentRefs", spec: "spec.route.gateways"},
	{child: "spec.hostnames", spec: "spec.route.hostnames"},
	{child: "spec.rules[0].matches", spec: "spec.route.preview"},
}

// contention returns as a problem that something keeps changing a child back. It counts from now, as the writes do, and not from the start
// of the pass, which may take long where the API server is slow.
func (r *Reconciler) contention(o *observation) *problem {
	child, calm := r.pace.contested(client.ObjectKeyFromObject(o.gs), r.Clock.Now())
	if child == "" {
		return nil
	}
	return &problem{reason: v1alpha1.ReasonContested, retryAfter: calm, message: fmt.Sprintf(
		"something keeps changing %s, which belongs to this GinService, so that it is repaired only now and then: find out what, from its metadata.managedFields, and stop it", child)}
}
