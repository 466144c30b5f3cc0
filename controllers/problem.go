package controllers

import (
	"errors"
	"fmt"
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

// problemOf finds in an error what somebody has to help with, or nil where trying again is all there is to do.
func problemOf(err error) *problem {
	var taken *nameTakenError
	switch {
	case errors.As(err, &taken):
		return &problem{reason: v1alpha1.ReasonNameTaken, message: taken.Error(), retryAfter: takenRetry}
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err):
		return &problem{reason: v1alpha1.ReasonRejected, retryAfter: takenRetry, message: fmt.Sprintf("the API server refuses what spec asks for: correct it: %v", err)}
	case apierrors.IsForbidden(err):
		return &problem{reason: v1alpha1.ReasonRejected, retryAfter: rejectedRetry, message: fmt.Sprintf(
			"the API server forbids what spec asks for: a quota, an admission policy or the operator's permissions have to allow it: %v", err)}
	default:
		return nil
	}
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
