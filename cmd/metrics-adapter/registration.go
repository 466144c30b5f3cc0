package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/metrics/pkg/apis/custom_metrics"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fieldOwner is who has written the APIServices.
const fieldOwner = "gin-operator-metrics-adapter"

var apiServiceKind = schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"}

// served are the versions of custom.metrics.k8s.io that the adapter serves, with their priorities.
var served = []struct {
	version  string
	priority int64
}{{"v1beta1", 100}, {"v1beta2", 200}}

// registration tells the API server that the adapter serves custom.metrics.k8s.io, unless anybody else does, by APIServices that go when the
// adapter is uninstalled. They are no part of the manifests: applying those would take the API away from whoever has it.
type registration struct {
	// live reads from the API server.
	live   client.Reader
	client client.Client
	// service is the Service of the adapter, and role the ClusterRole that comes and goes with the installation.
	service types.NamespacedName
	role    string
	// bundle returns the authorities that the API server is to trust.
	bundle func() ([]byte, error)
	// events get what an administrator has to know, as an event of the pod. Both are nil where it isn't known which pod this is.
	events events.EventRecorder
	pod    *corev1.Pod

	// told is what was told last of others who serve the API.
	told string
}

// refresh registers the adapter, or tells who else serves the API.
func (r *registration) refresh(ctx context.Context) error {
	var found []*unstructured.Unstructured
	var others []string
	for _, s := range served {
		apiService := &unstructured.Unstructured{}
		apiService.SetGroupVersionKind(apiServiceKind)
		err := r.live.Get(ctx, types.NamespacedName{Name: apiServiceName(s.version)}, apiService)
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("reading APIService %s: %w", apiServiceName(s.version), err)
		}
		ours := false
		if apierrors.IsNotFound(err) {
			apiService = nil
		} else {
			var owner string
			if owner, ours = r.ownerOf(apiService); !ours {
				others = append(others, fmt.Sprintf("%s is served by %s", apiServiceName(s.version), owner))
			}
		}
		registered.WithLabelValues(s.version).Set(map[bool]float64{true: 1}[ours])
		found = append(found, apiService)
	}
	r.tell(ctx, others)
	bundle, err := r.bundle()
	if err != nil {
		return err
	}
	var failed error
	for i, apiService := range found {
		// Clients choose among the versions of a group: with one of each, autoscalers would leave the other adapter for this one.
		if len(others) == 0 {
			failed = errors.Join(failed, r.apply(ctx, i, bundle, apiService))
		} else if apiService != nil {
			failed = errors.Join(failed, r.giveWay(ctx, apiService))
		}
	}
	return failed
}

// giveWay deletes an APIService, if it is ours. One that was ours is not to go with the adapter.
func (r *registration) giveWay(ctx context.Context, apiService *unstructured.Unstructured) error {
	if _, ours := r.ownerOf(apiService); !ours {
		return r.leave(ctx, apiService)
	}
	uid, version := apiService.GetUID(), apiService.GetResourceVersion()
	err := r.client.Delete(ctx, apiService, client.Preconditions{UID: &uid, ResourceVersion: &version})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting APIService %s: %w", apiService.GetName(), err)
	}
	return nil
}

// leave takes back that an APIService of somebody else, who has taken it over, is deleted with the ClusterRole. An adapter of ours in another namespace
// is nobody else: there is one ClusterRole for both.
func (r *registration) leave(ctx context.Context, apiService *unstructured.Unstructured) error {
	if !r.goesWithRole(apiService) || servedBy(apiService).Name == r.service.Name {
		return nil
	}
	left := apiService.DeepCopy()
	left.SetOwnerReferences(slices.DeleteFunc(left.GetOwnerReferences(), r.isRole))
	err := r.client.Patch(ctx, left, client.MergeFromWithOptions(apiService, client.MergeFromWithOptimisticLock{}), client.FieldOwner(fieldOwner))
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("leaving APIService %s to its new server: %w", apiService.GetName(), err)
	}
	return nil
}

func apiServiceName(version string) string { return version + "." + custom_metrics.GroupName }

// ownerOf returns who serves an APIService, and whether that is this adapter.
func (r *registration) ownerOf(apiService *unstructured.Unstructured) (owner string, ours bool) {
	service := servedBy(apiService)
	if service == (types.NamespacedName{}) {
		return "the API server itself", false
	}
	return "Service " + service.String(), service == r.service
}

// servedBy returns the Service that an APIService names, or no name where it names none.
func servedBy(apiService *unstructured.Unstructured) types.NamespacedName {
	service, _, err := unstructured.NestedMap(apiService.Object, "spec", "service")
	if err != nil {
		return types.NamespacedName{}
	}
	return types.NamespacedName{Namespace: textOf(service["namespace"]), Name: textOf(service["name"])}
}

func textOf(value any) string {
	text, isText := value.(string)
	if !isText {
		return "" // which names nothing
	}
	return text
}

// tell says who else serves the API, once.
func (r *registration) tell(ctx context.Context, others []string) {
	text := strings.Join(others, ", ")
	if text == r.told {
		return
	}
	r.told = text
	log := ctrl.LoggerFrom(ctx)
	if text == "" {
		log.Info("Nobody else serves custom.metrics.k8s.io any more")
		return
	}
	const wayOut = "autoscalers ask there, and not this adapter until that APIService is deleted"
	log.Info("Leaving custom.metrics.k8s.io to whoever serves it: "+wayOut, "others", others)
	if r.events != nil {
		r.events.Eventf(r.pod, nil, corev1.EventTypeWarning, "APIServedByAnother", "Register", "%s: %s", text, wayOut)
	}
}

// apply writes an APIService, unless it is as it should be.
func (r *registration) apply(ctx context.Context, i int, bundle []byte, found *unstructured.Unstructured) error {
	name := apiServiceName(served[i].version)
	spec := map[string]any{
		"group": custom_metrics.GroupName, "version": served[i].version, "groupPriorityMinimum": int64(100), "versionPriority": served[i].priority,
		"caBundle": base64.StdEncoding.EncodeToString(bundle),
		"service":  map[string]any{"namespace": r.service.Namespace, "name": r.service.Name, "port": int64(443)},
	}
	if found != nil && asWanted(found.Object["spec"], spec) && r.goesWithRole(found) {
		return nil
	}
	role := &metav1.PartialObjectMetadata{}
	role.SetGroupVersionKind(rbacv1.SchemeGroupVersion.WithKind("ClusterRole"))
	if err := r.live.Get(ctx, types.NamespacedName{Name: r.role}, role); err != nil {
		return fmt.Errorf("reading ClusterRole %s, with which APIService %s is to go: %w", r.role, name, err)
	}
	// With "no" to skipping verification it can't be somebody's left-over "yes", which a bundle contradicts.
	spec["insecureSkipTLSVerify"] = false
	wanted := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	wanted.SetGroupVersionKind(apiServiceKind)
	wanted.SetName(name)
	wanted.SetLabels(labelsOfOurs())
	wanted.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole", Name: role.Name, UID: role.UID,
	}})
	options := []client.ApplyOption{client.FieldOwner(fieldOwner)}
	if found != nil {
		// Ours, and still what was read: so it is for this adapter to say what is in it.
		wanted.SetResourceVersion(found.GetResourceVersion())
		options = append(options, client.ForceOwnership)
	}
	err := r.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(wanted), options...)
	if apierrors.IsConflict(err) {
		return nil // somebody else was first, and the next pass sees who
	}
	if err != nil {
		return fmt.Errorf("applying APIService %s: %w", name, err)
	}
	registered.WithLabelValues(served[i].version).Set(1)
	ctrl.LoggerFrom(ctx).Info("Registered for custom.metrics.k8s.io", "version", served[i].version)
	return nil
}

// goesWithRole reports whether an APIService is deleted with the ClusterRole. One that was made by hand or comes from a backup may not be.
func (r *registration) goesWithRole(apiService *unstructured.Unstructured) bool {
	return slices.ContainsFunc(apiService.GetOwnerReferences(), r.isRole)
}

func (r *registration) isRole(owner metav1.OwnerReference) bool {
	return owner.Kind == "ClusterRole" && owner.Name == r.role
}

// asWanted reports whether all that is wanted of a spec is there, and it does not say to skip verification.
func asWanted(found any, wanted map[string]any) bool {
	spec, ok := found.(map[string]any)
	if !ok {
		return false
	}
	if unverified, _ := spec["insecureSkipTLSVerify"].(bool); unverified {
		return false
	}
	for field, value := range wanted {
		if !equality.Semantic.DeepEqual(spec[field], value) {
			return false
		}
	}
	return true
}
