// Package v1alpha1 is version v1alpha1 of the API group apps.gin-operator.dev: the GinService resource, its conditions and the
// labels and annotations that the operator and its users share.
//
// The package imports only k8s.io/api and k8s.io/apimachinery, so that a client of the API needs nothing else.
//
// +kubebuilder:object:generate=true
// +groupName=apps.gin-operator.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the group and version of the types in this package.
	GroupVersion = schema.GroupVersion{Group: "apps.gin-operator.dev", Version: "v1alpha1"}

	// SchemeBuilder collects what AddToScheme registers.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the types in this package with a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &GinService{}, &GinServiceList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
