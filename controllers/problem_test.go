package controllers

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

func TestProblemOf(t *testing.T) {
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	kind := schema.GroupKind{Group: "apps", Kind: "Deployment"}
	invalid := apierrors.NewInvalid(kind, "hello-blue", field.ErrorList{field.Invalid(field.NewPath("spec"), "x", "is wrong")})
	for name, tc := range map[string]struct {
		err    error
		reason string
		retry  time.Duration
		says   string
	}{
		"nothing went wrong":                   {err: nil},
		"a name is taken":                      {&nameTakenError{kind: "Service", name: "hello"}, v1alpha1.ReasonNameTaken, takenRetry, "delete or rename it"},
		"the API server refuses a value":       {invalid, v1alpha1.ReasonRejected, takenRetry, "is wrong"},
		"the API server refuses the request":   {apierrors.NewBadRequest("no"), v1alpha1.ReasonRejected, takenRetry, "correct it"},
		"an object is too large":               {apierrors.NewRequestEntityTooLargeError("3 MiB"), v1alpha1.ReasonRejected, takenRetry, "3 MiB"},
		"a quota or a policy forbids it":       {apierrors.NewForbidden(deployments, "hello-blue", errors.New("exceeded quota")), v1alpha1.ReasonRejected, rejectedRetry, "exceeded quota"},
		"the API server is busy":               {err: apierrors.NewTooManyRequests("later", 1)},
		"the API server fails":                 {err: apierrors.NewInternalError(errors.New("etcd is gone"))},
		"an answer is lost":                    {err: errors.New("EOF")},
		"somebody wrote in between":            {err: apierrors.NewConflict(deployments, "hello-blue", errors.New("changed"))},
		"the same is written too often":        {err: &postponedError{kind: "Service", name: "hello", wait: time.Second}},
		"a resource is not there, as in a CRD": {err: apierrors.NewNotFound(deployments, "hello-blue")},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.err
			if err != nil {
				err = fmt.Errorf("applying Deployment hello-blue: %w", err)
			}
			got := problemOf(err)
			if tc.reason == "" {
				if got != nil {
					t.Errorf("there is nothing that somebody could help with, but %+v", got)
				}
				return
			}
			if got == nil || got.reason != tc.reason || got.retryAfter != tc.retry || !strings.Contains(got.message, tc.says) {
				t.Errorf("problem is %+v, want reason %s, retry after %s, and in the message %q", got, tc.reason, tc.retry, tc.says)
			}
		})
	}
}

// A pass that takes long, because the API server is slow, is no fight: what it writes counts from when it was written.
func TestOneWriteOfALongPassIsNoContention(t *testing.T) {
	o := serving(service())
	ended := start.Add(time.Minute)
	r := &Reconciler{Clock: clocktesting.NewFakePassiveClock(ended)}
	if err := r.mayWrite(o.gs, "Service", "hello", "intent"); err != nil {
		t.Fatal(err)
	}
	if got := r.contention(o); got != nil {
		t.Errorf("one write, and %+v", got)
	}
}
