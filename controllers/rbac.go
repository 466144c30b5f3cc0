package controllers

// What the operator may do, and no more. `make manifests` makes config/rbac/role.yaml of it; there is no wildcard and no access to
// Secrets. Reads are lists and watches for the caches; the get is for an object that is not in a cache because it isn't ours and has
// taken a name. Nothing here deletes a Deployment or a Service: Kubernetes collects them with their GinService.
//
// +kubebuilder:rbac:groups=apps.gin-operator.dev,resources=ginservices,verbs=list;watch
// +kubebuilder:rbac:groups=apps.gin-operator.dev,resources=ginservices/status,verbs=update
// +kubebuilder:rbac:groups=apps.gin-operator.dev,resources=ginservices/scale,verbs=update
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=podmonitors,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=list;watch
//
// Why the pods of a version don't start is asked for when they don't, and where they listen when they are analysed, without a cache of every pod.
//
// +kubebuilder:rbac:groups="",resources=pods,verbs=list
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create
