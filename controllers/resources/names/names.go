// Package names knows what the children of a GinService are called. It takes names and returns names; nothing else in the project
// puts one together. A GinService's name has at most 52 characters (a rule of the CRD), so that every name here has at most 63,
// the limit of a Service's name and of a label's value.
package names

import "github.com/gin-operator/gin-operator/api/v1alpha1"

// Deployment is the name of the Deployment of one colour.
func Deployment(name string, color v1alpha1.Color) string { return name + "-" + string(color) }

// ActiveService is the name of the Service that takes the traffic.
func ActiveService(name string) string { return name }

// PreviewService is the name of the Service of the colour that is being prepared.
func PreviewService(name string) string { return name + "-preview" }

// Revisioned is the name of what exists once for each revision: the ConfigMap and the ControllerRevision.
func Revisioned(name, revision string) string { return name + "-" + revision }

// HorizontalPodAutoscaler is the name of the autoscaler.
func HorizontalPodAutoscaler(name string) string { return name }

// PodDisruptionBudget is the name of the disruption budget.
func PodDisruptionBudget(name string) string { return name }

// HTTPRoute is the name of the route of the Gateway API.
func HTTPRoute(name string) string { return name }

// NetworkPolicy is the name of the policy that says who may reach the pods.
func NetworkPolicy(name string) string { return name }

// PodMonitor is the name of the PodMonitor of prometheus-operator.
func PodMonitor(name string) string { return name }
