package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
)

// WorkloadSpec is all that reaches the pods. Its hash is the revision: a change of any of it is a new version, rolled out beside the
// old one, and a revision that comes back gets its old configuration back with its old image.
//
// +kubebuilder:validation:XValidation:rule="!has(self.drainSeconds) || !has(self.terminationGracePeriodSeconds) || self.drainSeconds < self.terminationGracePeriodSeconds",message="drainSeconds: must be less than terminationGracePeriodSeconds, which includes it: what is left is the time for requests in flight"
// +kubebuilder:validation:XValidation:rule="has(self.configMountPath) || !has(self.config) || self.config.all(k, k.matches('^[A-Za-z_][A-Za-z0-9_]*$'))",message="config: keys become environment variables and must be letters, digits and '_', not beginning with a digit; set configMountPath to get files instead"
// +kubebuilder:validation:XValidation:rule="has(self.configMountPath) || !has(self.config) || self.config.all(k, !(k in ['PORT', 'METRICS_PORT', 'POD_NAME', 'POD_NAMESPACE']) && !k.startsWith('GIN_SERVICE_'))",message="config: PORT, METRICS_PORT, POD_NAME, POD_NAMESPACE and GIN_SERVICE_* are set by the operator: change spec.ports, or choose another name"
// +kubebuilder:validation:XValidation:rule="has(self.configMountPath) || !has(self.config) || self.config.all(k, k.size() + self.config[k].size() <= 131070)",message="config: a key and its value become one environment variable, which Linux limits to 128 KiB: set configMountPath to get files instead"
// +kubebuilder:validation:XValidation:rule="!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))",message="volumeMounts: each name must be that of an entry in volumes"
// +kubebuilder:validation:XValidation:rule="!has(self.configMountPath) || !has(self.volumeMounts) || !self.volumeMounts.exists(m, m.mountPath == self.configMountPath)",message="configMountPath: is also the mountPath of a volumeMount: choose another path for one of them"
type WorkloadSpec struct {
	// image is the container image, such as "registry.example.com/hello:v1.2.0".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^((([a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?)|[[][0-9a-fA-F:]+[]])(:[0-9]+)?/)?[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?$')",message="image: must be a reference such as registry.example.com/hello:v1.2.0 or hello@sha256:<digest>: no scheme, no white space, and lower case between the registry and the tag"
	Image string `json:"image,omitempty"`

	// imagePullPolicy says when the image is pulled. Default: that of Kubernetes, Always for the tag latest and IfNotPresent otherwise.
	// +optional
	ImagePullPolicy PullPolicy `json:"imagePullPolicy,omitempty"`

	// imagePullSecrets are Secrets in the same namespace with the credentials for the image's registry.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []LocalReference `json:"imagePullSecrets,omitempty"`

	// command is the entry point. Default: that of the image.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=8192
	Command []string `json:"command,omitempty"`

	// args are the arguments of the entry point. Default: those of the image.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=8192
	Args []string `json:"args,omitempty"`

	// ports are the ports that the container listens on.
	// +optional
	// +kubebuilder:default={}
	Ports Ports `json:"ports,omitzero"`

	// config is the configuration of this version. It becomes an immutable ConfigMap of its own for each revision, given to the
	// container as environment variables, or as files with configMountPath. All keys and values together must stay below 1 MiB, and
	// as an environment variable a key and its value below 128 KiB.
	// +optional
	// +kubebuilder:validation:MaxProperties=256
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[-._a-zA-Z0-9]{1,253}$') && k != '.' && !k.startsWith('..'))",message="config: keys must be 1 to 253 letters, digits, '-', '_' and '.', and neither be '.' nor begin with '..'"
	// +kubebuilder:validation:XValidation:rule="self.map(k, k.size() + self[k].size()).sum() <= 1048576",message="config: keys and values together must stay within 1 MiB, the limit of a ConfigMap: move large files into the image or a volume"
	Config map[string]string `json:"config,omitempty"`

	// configMountPath is an absolute path at which config appears as files, one for each key. Default: config is given as environment
	// variables.
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/') && !self.contains(':') && !self.contains('/../') && !self.endsWith('/..')",message="configMountPath: must be an absolute path without '..' and ':'"
	ConfigMountPath string `json:"configMountPath,omitempty"`

	// env are environment variables. They win over config and envFrom. PORT, METRICS_PORT, POD_NAME, POD_NAMESPACE and the names
	// that begin with GIN_SERVICE_ are set by the operator.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Env []EnvVar `json:"env,omitempty"`

	// envFrom are ConfigMaps and Secrets in the same namespace whose keys become environment variables. A change of their content
	// is not a new revision: pods read it when they start.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	EnvFrom []EnvFromSource `json:"envFrom,omitempty"`

	// resources are what each pod asks for, and its limits. Default: requests of 100m CPU and 64Mi memory, where neither a request
	// nor a limit is given. With a memory limit, GOMEMLIMIT is set to 90 % of it.
	// +optional
	Resources Resources `json:"resources,omitzero"`

	// probes tell when a pod has started, is ready and is alive.
	// +optional
	// +kubebuilder:default={}
	Probes Probes `json:"probes,omitzero"`

	// volumes are the volumes of the pod, of the kinds that the Pod Security level restricted allows.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Volumes []Volume `json:"volumes,omitempty"`

	// volumeMounts say where in the container the volumes appear. The container's own file system is read-only.
	// +optional
	// +listType=map
	// +listMapKey=mountPath
	// +kubebuilder:validation:MaxItems=64
	VolumeMounts []VolumeMount `json:"volumeMounts,omitempty"`

	// scheduling says which nodes the pods may run on.
	// +optional
	Scheduling Scheduling `json:"scheduling,omitzero"`

	// serviceAccountName is the ServiceAccount of the pods. Default: the namespace's default account.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="serviceAccountName: must be the name of a ServiceAccount: lower-case letters, digits, '-' and '.'"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// automountServiceAccountToken says whether the pods get a token for the Kubernetes API. Default: false.
	// +optional
	AutomountServiceAccountToken *bool `json:"automountServiceAccountToken,omitempty"`

	// terminationGracePeriodSeconds is how long, in seconds, a pod that is asked to stop may take, drainSeconds included. Default: 30.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	TerminationGracePeriodSeconds *int32 `json:"terminationGracePeriodSeconds,omitempty"`

	// drainSeconds is how long, in seconds, a pod that is to stop goes on serving before it is told, so that every proxy has learned
	// by then to send it nothing new. 0 tells it at once. Default: 5.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	DrainSeconds *int32 `json:"drainSeconds,omitempty"`
}

// PullPolicy says when an image is pulled.
// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
type PullPolicy string

// LocalReference names an object in the GinService's namespace.
type LocalReference struct {
	// name is the name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="imagePullSecrets.name: must be the name of a Secret: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`
}

// Ports are the ports that the container listens on, named "http" and "metrics" in the pod.
type Ports struct {
	// http is the port of the service, given to the container as PORT. Default: 8080.
	// +optional
	// +kubebuilder:default=8080
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	HTTP *int32 `json:"http,omitempty"`

	// metrics is the port that serves /metrics, given to the container as METRICS_PORT. Default: the http port.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	Metrics *int32 `json:"metrics,omitempty"`
}

// EnvVar is an environment variable.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.value) && has(self.valueFrom))",message="env: set value or valueFrom, not both"
// +kubebuilder:validation:XValidation:rule="!(self.name in ['PORT', 'METRICS_PORT', 'POD_NAME', 'POD_NAMESPACE']) && !self.name.startsWith('GIN_SERVICE_')",message="env: PORT, METRICS_PORT, POD_NAME, POD_NAMESPACE and GIN_SERVICE_* are set by the operator: change spec.ports, or choose another name"
type EnvVar struct {
	// name is the name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')",message="env.name: must be letters, digits, '-', '_' and '.', not beginning with a digit"
	Name string `json:"name,omitempty"`

	// value is the value. $(NAME) is replaced with the value of another variable, as in any container. Default: "".
	// +optional
	// +kubebuilder:validation:MaxLength=32768
	Value string `json:"value,omitempty"`

	// valueFrom is where the value comes from.
	// +optional
	ValueFrom *EnvVarSource `json:"valueFrom,omitempty"`
}

// EnvVarSource is where the value of an environment variable comes from.
//
// +kubebuilder:validation:XValidation:rule="[has(self.configMapKeyRef), has(self.secretKeyRef), has(self.fieldRef), has(self.resourceFieldRef)].filter(x, x).size() == 1",message="env.valueFrom: needs exactly one of configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef"
type EnvVarSource struct {
	// configMapKeyRef is a key of a ConfigMap in the same namespace.
	// +optional
	ConfigMapKeyRef *KeyReference `json:"configMapKeyRef,omitempty"`

	// secretKeyRef is a key of a Secret in the same namespace.
	// +optional
	SecretKeyRef *KeyReference `json:"secretKeyRef,omitempty"`

	// fieldRef is a field of the pod.
	// +optional
	FieldRef *FieldReference `json:"fieldRef,omitempty"`

	// resourceFieldRef is a resource of the container.
	// +optional
	ResourceFieldRef *ResourceFieldReference `json:"resourceFieldRef,omitempty"`
}

// KeyReference names a key of a ConfigMap or Secret in the GinService's namespace.
type KeyReference struct {
	// name is the name of the ConfigMap or Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="env.valueFrom.name: must be the name of a ConfigMap or Secret: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`

	// key is the key.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="env.valueFrom.key: must be letters, digits, '-', '_' and '.'"
	Key string `json:"key,omitempty"`

	// optional lets a pod start without it. Default: false.
	// +optional
	Optional *bool `json:"optional,omitempty"`
}

// FieldReference names a field of the pod.
type FieldReference struct {
	// fieldPath is the path of the field, such as "status.podIP".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self in ['metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName', 'spec.serviceAccountName', 'status.hostIP', 'status.hostIPs', 'status.podIP', 'status.podIPs'] || self.matches('^metadata[.](labels|annotations)[[].+[]]$')",message="env.valueFrom.fieldRef.fieldPath: must be metadata.name, metadata.namespace, metadata.uid, metadata.labels['<key>'], metadata.annotations['<key>'], spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP or status.podIPs"
	FieldPath string `json:"fieldPath,omitempty"`
}

// ResourceFieldReference names a resource of the container.
type ResourceFieldReference struct {
	// resource is the resource, such as "limits.cpu".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^(limits|requests)[.](cpu|memory|ephemeral-storage|hugepages-.+)$')",message="env.valueFrom.resourceFieldRef.resource: must be limits or requests, a dot, and cpu, memory, ephemeral-storage or hugepages-<size>"
	Resource string `json:"resource,omitempty"`
}

// EnvFromSource is a ConfigMap or Secret whose keys become environment variables.
//
// +kubebuilder:validation:XValidation:rule="has(self.configMapRef) != has(self.secretRef)",message="envFrom: each entry needs exactly one of configMapRef and secretRef"
type EnvFromSource struct {
	// prefix is put before each key. Default: "".
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Prefix string `json:"prefix,omitempty"`

	// configMapRef is a ConfigMap in the same namespace.
	// +optional
	ConfigMapRef *OptionalReference `json:"configMapRef,omitempty"`

	// secretRef is a Secret in the same namespace.
	// +optional
	SecretRef *OptionalReference `json:"secretRef,omitempty"`
}

// OptionalReference names an object in the GinService's namespace that may be missing.
type OptionalReference struct {
	// name is the name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="envFrom.name: must be the name of a ConfigMap or Secret: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`

	// optional lets a pod start without it. Default: false.
	// +optional
	Optional *bool `json:"optional,omitempty"`
}

// Resources are what each pod asks for, and its limits.
//
// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || ['cpu', 'memory', 'ephemeral-storage'].all(k, !(k in self.requests) || !(k in self.limits) || quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",message="resources.requests: must not exceed resources.limits: lower the request or raise the limit"
type Resources struct {
	// requests are what the scheduler sets aside for a pod.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'] || k.startsWith('hugepages-') || k.contains('/'))",message="resources.requests: keys must be cpu, memory, ephemeral-storage, hugepages-<size> or a resource with a domain, such as example.com/gpu"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == int ? self[k] >= 0 : !string(self[k]).startsWith('-'))",message="resources.requests: must not be negative"
	// +kubebuilder:validation:XValidation:rule="!('memory' in self) || quantity(string(self['memory'])).isInteger()",message="resources.requests: memory must be whole bytes, such as 64Mi: m are thousandths of one"
	Requests corev1.ResourceList `json:"requests,omitempty"`

	// limits are what a pod may use at most.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'] || k.startsWith('hugepages-') || k.contains('/'))",message="resources.limits: keys must be cpu, memory, ephemeral-storage, hugepages-<size> or a resource with a domain, such as example.com/gpu"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == int ? self[k] >= 0 : !string(self[k]).startsWith('-'))",message="resources.limits: must not be negative"
	// +kubebuilder:validation:XValidation:rule="!('memory' in self) || quantity(string(self['memory'])).isInteger()",message="resources.limits: memory must be whole bytes, such as 64Mi: m are thousandths of one"
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// Probes tell when a pod has started, is ready and is alive: HTTP GETs on the http port that a status from 200 to 399 answers.
type Probes struct {
	// startup holds the other two back until it has succeeded once. Default: GET /livez each second, 60 times.
	// +optional
	Startup *Probe `json:"startup,omitempty"`

	// readiness takes a pod out of its Services while it fails. Default: GET /readyz every 2 seconds, 2 times.
	// +optional
	Readiness *Probe `json:"readiness,omitempty"`

	// liveness restarts a pod when it fails. Default: GET /livez every 10 seconds, 3 times.
	// +optional
	Liveness *Probe `json:"liveness,omitempty"`
}

// Probe is an HTTP GET on the http port. A field that is left out keeps the default of that kind of probe.
type Probe struct {
	// path is the path that is asked for.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^/[^[:space:]]*$')",message="probes: path must begin with '/' and have no white space"
	Path string `json:"path,omitempty"`

	// initialDelaySeconds is how long, in seconds, the first try waits. Default: 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	InitialDelaySeconds *int32 `json:"initialDelaySeconds,omitempty"`

	// periodSeconds is the time, in seconds, between tries.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	PeriodSeconds *int32 `json:"periodSeconds,omitempty"`

	// timeoutSeconds is how long, in seconds, an answer may take. Default: 1, and 2 for liveness.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`

	// failureThreshold is how many tries in a row must fail.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	FailureThreshold *int32 `json:"failureThreshold,omitempty"`
}

// Volume is a volume of the pod.
//
// +kubebuilder:validation:XValidation:rule="[has(self.configMap), has(self.secret), has(self.emptyDir), has(self.persistentVolumeClaim), has(self.projected), has(self.downwardAPI), has(self.csi)].filter(x, x).size() == 1",message="volumes: each needs exactly one of configMap, secret, emptyDir, persistentVolumeClaim, projected, downwardAPI and csi"
// +kubebuilder:validation:XValidation:rule="(!has(self.secret) || has(self.secret.secretName)) && (!has(self.configMap) || has(self.configMap.name) && self.configMap.name.size() > 0)",message="volumes: secret needs secretName, and configMap needs name"
// +kubebuilder:validation:XValidation:rule="!has(self.emptyDir) || !has(self.emptyDir.medium) || self.emptyDir.medium.size() == 0 || self.emptyDir.medium == 'Memory' || self.emptyDir.medium.startsWith('HugePages')",message="volumes: emptyDir.medium must be Memory, HugePages or HugePages-<size>, or left out for the node's disk"
// +kubebuilder:validation:XValidation:rule="!self.name.startsWith('gin-service-')",message="volumes: names that begin with gin-service- belong to the operator: choose another"
type Volume struct {
	// name is the name of the volume.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="volumes.name: must be lower-case letters, digits and '-', beginning and ending with a letter or digit"
	Name string `json:"name,omitempty"`

	// configMap is a ConfigMap in the same namespace.
	// +optional
	ConfigMap *corev1.ConfigMapVolumeSource `json:"configMap,omitempty"`

	// secret is a Secret in the same namespace.
	// +optional
	Secret *corev1.SecretVolumeSource `json:"secret,omitempty"`

	// emptyDir is a directory that lives as long as the pod.
	// +optional
	EmptyDir *corev1.EmptyDirVolumeSource `json:"emptyDir,omitempty"`

	// persistentVolumeClaim is a claim in the same namespace. Both colours' pods use it at once during a rollout.
	// +optional
	PersistentVolumeClaim *corev1.PersistentVolumeClaimVolumeSource `json:"persistentVolumeClaim,omitempty"`

	// projected is several of the others in one directory.
	// +optional
	Projected *corev1.ProjectedVolumeSource `json:"projected,omitempty"`

	// downwardAPI are fields of the pod as files.
	// +optional
	DownwardAPI *corev1.DownwardAPIVolumeSource `json:"downwardAPI,omitempty"`

	// csi is an ephemeral volume of a CSI driver.
	// +optional
	CSI *corev1.CSIVolumeSource `json:"csi,omitempty"`
}

// VolumeMount says where in the container a volume appears.
type VolumeMount struct {
	// name is the name of the volume.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// mountPath is an absolute path in the container.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/') && !self.contains(':')",message="volumeMounts.mountPath: must be an absolute path without ':'"
	MountPath string `json:"mountPath,omitempty"`

	// subPath is a path within the volume. Default: its root.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.contains('..')",message="volumeMounts.subPath: must be a relative path without '..'"
	SubPath string `json:"subPath,omitempty"`

	// readOnly mounts the volume read-only. Default: false.
	// +optional
	ReadOnly *bool `json:"readOnly,omitempty"`
}
