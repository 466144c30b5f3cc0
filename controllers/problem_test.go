package controllers

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
		"a child has lost its owner":           {&nameTakenError{kind: "Service", name: "hello", orphan: true}, v1alpha1.ReasonNameTaken, takenRetry, "ownerReference back"},
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

func TestRefusalNamesFieldsOfSpec(t *testing.T) {
	for child, spec := range map[string]string{
		"spec.template.spec.containers[0].resources.limits[memory]":              "spec.resources.limits[memory]",
		"spec.template.spec.containers[0].readinessProbe.httpGet.path":           "spec.probes.readiness.path",
		"spec.template.spec.containers[0].env[9].valueFrom.configMapKeyRef.name": "spec.env.valueFrom.configMapKeyRef.name",
		"spec.template.spec.containers[0].envFrom[1].configMapRef.name":          "spec.envFrom.configMapRef.name",
		"spec.template.spec.volumes[2].configMap.name":                           "spec.volumes.configMap.name",
		"spec.template.spec.affinity.nodeAffinity":                               "spec.scheduling.affinity.nodeAffinity",
		"spec.template.spec.tolerations[0].operator":                             "spec.scheduling.tolerations[0].operator",
		"spec.template.spec.serviceAccountName":                                  "spec.serviceAccountName",
		"spec.metrics[1].object.metric.selector.matchExpressions[0].operator":    "spec.autoscaling.metrics[1].object.metric.selector.matchExpressions[0].operator",
		"spec.minReplicas": "spec.autoscaling.minReplicas",
		"spec.maxReplicas": "spec.autoscaling.maxReplicas",
		"spec.ingress[1].from[0].podSelector.matchLabels": "spec.network.metricsFrom[0].podSelector.matchLabels",
		"spec.ingress[2].from[3].ipBlock.except[1]":       "spec.network.ingressFrom[3].ipBlock.except[1]",
		"metadata.annotations":                            "metadata.annotations",
	} {
		if got := specField(child); got != spec {
			t.Errorf("%s is made of %s, want %s", child, got, spec)
		}
	}
	kind := schema.GroupKind{Group: "apps", Kind: "Deployment"}
	err := apierrors.NewInvalid(kind, "hello-green", field.ErrorList{
		field.Invalid(field.NewPath("spec", "template", "spec", "volumes").Index(1).Child("name"), "B", "must be lower case"),
		field.Required(field.NewPath("spec", "template", "spec", "tolerations").Index(0).Child("key"), ""),
	})
	want := `spec.volumes.name: Invalid value: "B": must be lower case; spec.scheduling.tolerations[0].key: Required value (in Deployment hello-green)`
	if got := refusal(fmt.Errorf("applying: %w", err)); got != want {
		t.Errorf("refusal = %s, want %s", got, want)
	}
	// As Kubernetes 1.36 says it.
	old := apierrors.NewInvalid(schema.GroupKind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}, "hello", field.ErrorList{
		field.Invalid(field.NewPath("spec", "minReplicas"), 0, "must be greater than or equal to 1"),
	})
	want = `spec.autoscaling.minReplicas: Invalid value: 0: must be greater than or equal to 1: 0 needs Kubernetes 1.37, or the feature gate HPAScaleToZero in its API server and its controller manager (in HorizontalPodAutoscaler hello)`
	if got := refusal(fmt.Errorf("applying: %w", old)); got != want {
		t.Errorf("refusal = %s, want %s", got, want)
	}
	policy := apierrors.NewInvalid(kind, "hello-green", nil)
	policy.ErrStatus.Details.Causes = []metav1.StatusCause{{Message: "a policy says no"}}
	for name, without := range map[string]error{
		"no cause":              apierrors.NewBadRequest("the body is too long"),
		"a cause with no field": policy,
		"another error":         errors.New("EOF"),
	} {
		if got := refusal(without); got != without.Error() {
			t.Errorf("%s: refusal = %s", name, got)
		}
	}
}

func TestJoinedFailuresAreSorted(t *testing.T) {
	name, lost := &nameTakenError{kind: "Service", name: "hello"}, errors.New("EOF")
	trouble, transient := sorted(errors.Join(nil, lost, errors.Join(nil, name)))
	if trouble == nil || trouble.reason != v1alpha1.ReasonNameTaken || !errors.Is(transient, lost) || errors.Is(transient, name) {
		t.Errorf("trouble is %+v, and %v passes", trouble, transient)
	}
	if trouble, transient = sorted(nil); trouble != nil || transient != nil {
		t.Errorf("nothing went wrong, and trouble is %+v, and %v passes", trouble, transient)
	}
}
