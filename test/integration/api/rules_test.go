package api_test

import (
	"context"
	"fmt"
	"maps"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// refusals has at least one manifest for each rule that the schema has in CEL. A message begins with the path that kubectl shows
// and goes on with what the rule says.
var refusals = merged(workloadRefusals, routeRefusals, networkRefusals, zeroRefusals, analysisRefusals)

// refusal is a spec, and what is said of which field of it.
type refusal struct{ spec, path, message string }

func merged(some ...map[string]refusal) map[string]refusal {
	all := map[string]refusal{}
	for _, one := range some {
		maps.Copy(all, one)
	}
	return all
}

var workloadRefusals = map[string]refusal{
	"white space in the image": {
		`{image: "app: v1"}`,
		"spec.image", "image: must be a reference such as registry.example.com/hello:v1.2.0 or hello@sha256:<digest>",
	},
	"an image with a scheme": {
		`{image: "https://registry.example.com/hello:v1"}`,
		"spec.image", "image: must be a reference",
	},
	"an image in upper case": {
		`{image: registry.example.com/Hello:v1}`,
		"spec.image", "lower case between the registry and the tag",
	},
	"an image with two tags": {
		`{image: "hello:v1:v2"}`,
		"spec.image", "image: must be a reference",
	},
	"an image with half a digest": {
		`{image: "hello@sha256:0123abcd"}`,
		"spec.image", "image: must be a reference",
	},
	"an image with a digest that is too short for its algorithm": {
		`{image: "hello@sha256:0123456789abcdef0123456789abcdef"}`,
		"spec.image", "image: must be a reference",
	},
	"a Secret's name in upper case": {
		`{image: app, imagePullSecrets: [{name: Registry}]}`,
		"spec.imagePullSecrets[0].name", "imagePullSecrets.name: must be the name of a Secret: lower-case letters, digits, '-' and '.'",
	},
	"a variable from a Secret of a wrong name": {
		`{image: app, env: [{name: A, valueFrom: {secretKeyRef: {name: a_b, key: c}}}]}`,
		"spec.env[0].valueFrom.secretKeyRef.name", "env.valueFrom.name: must be the name of a ConfigMap or Secret",
	},
	"a variable from a wrong key": {
		`{image: app, env: [{name: A, valueFrom: {secretKeyRef: {name: a, key: b/c}}}]}`,
		"spec.env[0].valueFrom.secretKeyRef.key", "env.valueFrom.key: must be letters, digits, '-', '_' and '.'",
	},
	"variables from a ConfigMap of a wrong name": {
		`{image: app, envFrom: [{configMapRef: {name: "a b"}}]}`,
		"spec.envFrom[0].configMapRef.name", "envFrom.name: must be the name of a ConfigMap or Secret",
	},
	"white space in a probe's path": {
		`{image: app, probes: {liveness: {path: "/live z"}}}`,
		"spec.probes.liveness.path", "probes: path must begin with '/' and have no white space",
	},
	"a request of less than a byte": {
		`{image: app, resources: {requests: {memory: 500m}}}`,
		"spec.resources.requests", "resources.requests: memory must be whole bytes, such as 64Mi",
	},
	"a limit of less than a byte": {
		`{image: app, resources: {limits: {memory: 500m}}}`,
		"spec.resources.limits", "resources.limits: memory must be whole bytes, such as 64Mi",
	},
	"a volume of a Secret without a name": {
		`{image: app, volumes: [{name: s, secret: {}}]}`,
		"spec.volumes[0]", "volumes: secret needs secretName, and configMap needs name",
	},
	"a volume of a ConfigMap without a name": {
		`{image: app, volumes: [{name: s, configMap: {}}]}`,
		"spec.volumes[0]", "volumes: secret needs secretName, and configMap needs name",
	},
	"an emptyDir on a wrong medium": {
		`{image: app, volumes: [{name: s, emptyDir: {medium: Disk}}]}`,
		"spec.volumes[0]", "volumes: emptyDir.medium must be Memory, HugePages or HugePages-<size>",
	},
	"a spread over places without a label": {
		`{image: app, scheduling: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: "", whenUnsatisfiable: DoNotSchedule}]}}`,
		"spec.scheduling.topologySpreadConstraints", "scheduling.topologySpreadConstraints: topologyKey must be the label of nodes",
	},
	"an affinity to no node": {
		`{image: app, scheduling: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}}}`,
		"spec.scheduling.affinity.nodeAffinity", "scheduling.affinity.nodeAffinity: nodeSelectorTerms needs an entry",
	},
	"a share of no CPU": {
		`{image: app, resources: {requests: {cpu: 0}}, autoscaling: {maxReplicas: 3, metrics: [{type: CPU, averageUtilization: 50}]}}`,
		"spec", "autoscaling.metrics: averageUtilization is a share of resources.requests.cpu, which is 0",
	},
	"a toleration of all values with one": {
		`{image: app, scheduling: {tolerations: [{key: a, operator: Exists, value: b}]}}`,
		"spec.scheduling.tolerations", "scheduling.tolerations: operator Exists takes no value",
	},
	"a toleration for a while of what evicts nothing": {
		`{image: app, scheduling: {tolerations: [{key: a, operator: Exists, effect: NoSchedule, tolerationSeconds: 5}]}}`,
		"spec.scheduling.tolerations", "scheduling.tolerations: tolerationSeconds needs effect: NoExecute",
	},
	"a drain as long as the grace period": {
		`{image: app, drainSeconds: 30, terminationGracePeriodSeconds: 30}`,
		"spec", "drainSeconds: must be less than terminationGracePeriodSeconds",
	},
	"a drain longer than the grace period that is the default": {
		`{image: app, drainSeconds: 31}`,
		"spec", "drainSeconds: must be less than terminationGracePeriodSeconds",
	},
	"a grace period shorter than the drain that is the default": {
		`{image: app, terminationGracePeriodSeconds: 5}`,
		"spec", "drainSeconds: must be less than terminationGracePeriodSeconds",
	},
	"a deadline no rollout can keep": {
		`{image: app, progressDeadlineSeconds: 60, minReadySeconds: 60}`,
		"spec", "progressDeadlineSeconds: must be greater than minReadySeconds",
	},
	"a config key that is no variable": {
		`{image: app, config: {log-level: info}}`,
		"spec", "config: keys become environment variables and must be letters, digits and '_', not beginning with a digit; set configMountPath",
	},
	"a config key that the operator sets": {
		`{image: app, config: {PORT: "80"}}`,
		"spec", "config: PORT, METRICS_PORT, POD_NAME, POD_NAMESPACE and GIN_SERVICE_* are set by the operator: change spec.ports, or choose another name",
	},
	"a config key with the operator's prefix": {
		`{image: app, config: {GIN_SERVICE_COLOR: red}}`,
		"spec", "config: PORT, METRICS_PORT, POD_NAME, POD_NAMESPACE and GIN_SERVICE_*",
	},
	"a config key that is no file": {
		`{image: app, configMountPath: /etc/app, config: {a/b: "1"}}`,
		"spec.config", "config: keys must be 1 to 253 letters, digits, '-', '_' and '.', and neither be '.' nor begin with '..'",
	},
	"a config key that leads out of its folder": {
		`{image: app, configMountPath: /etc/app, config: {..: "1"}}`,
		"spec.config", "config: keys must be 1 to 253 letters",
	},
	"a config too large for an environment variable": {
		`{image: app, config: {BIG: ` + strings.Repeat("x", 1<<17) + `}}`,
		"spec", "config: a key and its value become one environment variable, which Linux limits to 128 KiB: set configMountPath",
	},
	"a config above the limit of a ConfigMap": {
		`{image: app, configMountPath: /etc/app, config: {BIG: ` + strings.Repeat("x", 1<<20) + `}}`,
		"spec.config", "config: keys and values together must stay within 1 MiB, the limit of a ConfigMap: move large files",
	},
	"a relative configMountPath": {
		`{image: app, config: {a: b}, configMountPath: etc/app}`,
		"spec.configMountPath", "configMountPath: must be an absolute path without '..' and ':'",
	},
	"a configMountPath that climbs": {
		`{image: app, config: {a: b}, configMountPath: /etc/../proc}`,
		"spec.configMountPath", "configMountPath: must be an absolute path",
	},
	"a configMountPath that is taken": {
		`{image: app, config: {a: b}, configMountPath: /data, volumes: [{name: d, emptyDir: {}}], volumeMounts: [{name: d, mountPath: /data}]}`,
		"spec", "configMountPath: is also the mountPath of a volumeMount: choose another path",
	},
	"a mount without its volume": {
		`{image: app, volumeMounts: [{name: missing, mountPath: /data}]}`,
		"spec", "volumeMounts: each name must be that of an entry in volumes",
	},
	"a relative mountPath": {
		`{image: app, volumes: [{name: d, emptyDir: {}}], volumeMounts: [{name: d, mountPath: data}]}`,
		"spec.volumeMounts[0].mountPath", "volumeMounts.mountPath: must be an absolute path without ':'",
	},
	"a subPath that climbs": {
		`{image: app, volumes: [{name: d, emptyDir: {}}], volumeMounts: [{name: d, mountPath: /d, subPath: ../up}]}`,
		"spec.volumeMounts[0].subPath", "volumeMounts.subPath: must be a relative path without '..'",
	},
	"a volume of two kinds": {
		`{image: app, volumes: [{name: d, emptyDir: {}, configMap: {name: c}}]}`,
		"spec.volumes[0]", "volumes: each needs exactly one of configMap, secret, emptyDir, persistentVolumeClaim, projected, downwardAPI and csi",
	},
	"a volume of no kind": {
		`{image: app, volumes: [{name: d}]}`,
		"spec.volumes[0]", "volumes: each needs exactly one of",
	},
	"a volume with the operator's prefix": {
		`{image: app, volumes: [{name: gin-service-config, emptyDir: {}}]}`,
		"spec.volumes[0]", "volumes: names that begin with gin-service- belong to the operator: choose another",
	},
	"a volume's name in upper case": {
		`{image: app, volumes: [{name: Data, emptyDir: {}}]}`,
		"spec.volumes[0].name", "volumes.name: must be lower-case letters, digits and '-'",
	},
	"a variable with two values": {
		`{image: app, env: [{name: A, value: a, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]}`,
		"spec.env[0]", "env: set value or valueFrom, not both",
	},
	"a variable that the operator sets": {
		`{image: app, env: [{name: PORT, value: "80"}]}`,
		"spec.env[0]", "env: PORT, METRICS_PORT, POD_NAME, POD_NAMESPACE and GIN_SERVICE_* are set by the operator",
	},
	"a variable with the operator's prefix": {
		`{image: app, env: [{name: GIN_SERVICE_REVISION, value: x}]}`,
		"spec.env[0]", "are set by the operator: change spec.ports, or choose another name",
	},
	"a variable with a wrong name": {
		`{image: app, env: [{name: 1A, value: x}]}`,
		"spec.env[0].name", "env.name: must be letters, digits, '-', '_' and '.', not beginning with a digit",
	},
	"a variable from two places": {
		`{image: app, env: [{name: A, valueFrom: {configMapKeyRef: {name: a, key: b}, secretKeyRef: {name: a, key: b}}}]}`,
		"spec.env[0].valueFrom", "env.valueFrom: needs exactly one of configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef",
	},
	"a field that no variable can have": {
		`{image: app, env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.containers}}}]}`,
		"spec.env[0].valueFrom.fieldRef.fieldPath", "env.valueFrom.fieldRef.fieldPath: must be metadata.name,",
	},
	"a resource that no variable can have": {
		`{image: app, env: [{name: A, valueFrom: {resourceFieldRef: {resource: cpu}}}]}`,
		"spec.env[0].valueFrom.resourceFieldRef.resource", "env.valueFrom.resourceFieldRef.resource: must be limits or requests, a dot, and cpu, memory",
	},
	"an envFrom of nothing": {
		`{image: app, envFrom: [{prefix: A_}]}`,
		"spec.envFrom[0]", "envFrom: each entry needs exactly one of configMapRef and secretRef",
	},
	"an envFrom of two": {
		`{image: app, envFrom: [{configMapRef: {name: a}, secretRef: {name: a}}]}`,
		"spec.envFrom[0]", "envFrom: each entry needs exactly one of",
	},
	"a CPU request above the limit": {
		`{image: app, resources: {requests: {cpu: 2}, limits: {cpu: 1500m}}}`,
		"spec.resources", "resources.requests: must not exceed resources.limits: lower the request or raise the limit",
	},
	"a memory request above the limit": {
		`{image: app, resources: {requests: {memory: 1Gi}, limits: {memory: 1023Mi}}}`,
		"spec.resources", "resources.requests: must not exceed resources.limits",
	},
	"a request for a resource that does not exist": {
		`{image: app, resources: {requests: {mem: 1Gi}}}`,
		"spec.resources.requests", "resources.requests: keys must be cpu, memory, ephemeral-storage",
	},
	"a limit for a resource that does not exist": {
		`{image: app, resources: {limits: {CPU: 1}}}`,
		"spec.resources.limits", "resources.limits: keys must be cpu, memory, ephemeral-storage",
	},
	"a request below zero": {
		`{image: app, resources: {requests: {cpu: "-1"}}}`,
		"spec.resources.requests", "resources.requests: must not be negative",
	},
	"a limit below zero": {
		`{image: app, resources: {limits: {memory: "-1Gi"}}}`,
		"spec.resources.limits", "resources.limits: must not be negative",
	},
	"a probe without a slash": {
		`{image: app, probes: {readiness: {path: readyz}}}`,
		"spec.probes.readiness.path", "probes: path must begin with '/'",
	},
	"a node label that is none": {
		`{image: app, scheduling: {nodeSelector: {"a b": c}}}`,
		"spec.scheduling.nodeSelector", "scheduling.nodeSelector: keys and values must be those of labels",
	},
	"a node label with a long value": {
		`{image: app, scheduling: {nodeSelector: {a: ` + strings.Repeat("x", 64) + `}}}`,
		"spec.scheduling.nodeSelector", "scheduling.nodeSelector: keys and values must be those of labels",
	},
	"a toleration with a wrong operator": {
		`{image: app, scheduling: {tolerations: [{key: a, operator: In}]}}`,
		"spec.scheduling.tolerations", "scheduling.tolerations: operator must be Exists, Equal, Lt or Gt",
	},
	"a toleration with a wrong effect": {
		`{image: app, scheduling: {tolerations: [{key: a, operator: Exists, effect: NoEviction}]}}`,
		"spec.scheduling.tolerations", "scheduling.tolerations: effect must be NoSchedule, PreferNoSchedule or NoExecute",
	},
	"a toleration of everything by mistake": {
		`{image: app, scheduling: {tolerations: [{effect: NoSchedule}]}}`,
		"spec.scheduling.tolerations", "scheduling.tolerations: an entry without key needs operator: Exists",
	},
	"a spread constraint with a wrong consequence": {
		`{image: app, scheduling: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: Never}]}}`,
		"spec.scheduling.topologySpreadConstraints", "scheduling.topologySpreadConstraints: whenUnsatisfiable must be DoNotSchedule or ScheduleAnyway",
	},
	"a spread constraint without a skew": {
		`{image: app, scheduling: {topologySpreadConstraints: [{maxSkew: 0, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]}}`,
		"spec.scheduling.topologySpreadConstraints", "scheduling.topologySpreadConstraints: maxSkew must be at least 1",
	},
	"a priority class with a wrong name": {
		`{image: app, scheduling: {priorityClassName: High}}`,
		"spec.scheduling.priorityClassName", "scheduling.priorityClassName: must be the name of a PriorityClass",
	},
	"a service account with a wrong name": {
		`{image: app, serviceAccountName: "shop/admin"}`,
		"spec.serviceAccountName", "serviceAccountName: must be the name of a ServiceAccount",
	},
	"an annotation of the operator": {
		`{image: app, service: {annotations: {apps.gin-operator.dev/uid: x}}}`,
		"spec.service.annotations", "service.annotations: keys under gin-operator.dev/ belong to the operator: choose another prefix",
	},
	"an annotation with a wrong key": {
		`{image: app, service: {annotations: {a b: x}}}`,
		"spec.service.annotations", "service.annotations: keys must be letters, digits, '-', '_' and '.', at most 63 of them",
	},
	"annotations above the limit": {
		`{image: app, service: {annotations: {a: ` + strings.Repeat("x", 1<<18) + `}}}`,
		"spec.service.annotations", "service.annotations: keys and values together must stay within 256 KiB",
	},
	"an appProtocol with a wrong name": {
		`{image: app, service: {appProtocol: http/2/plain}}`,
		"spec.service.appProtocol", "service.appProtocol: must be a name such as http",
	},
	"a session timeout without affinity": {
		`{image: app, service: {sessionAffinityTimeoutSeconds: 60}}`,
		"spec.service", "sessionAffinityTimeoutSeconds: needs sessionAffinity: ClientIP",
	},
	"a preview that would expire before its promotion": {
		`{image: app, strategy: {blueGreen: {autoPromotionSeconds: 60, previewTTLSeconds: 60}}}`,
		"spec.strategy.blueGreen", "strategy.blueGreen.previewTTLSeconds: must be greater than autoPromotionSeconds",
	},
	"a timer for a manual promotion": {
		`{image: app, strategy: {blueGreen: {promotion: Manual, autoPromotionSeconds: 10}}}`,
		"spec.strategy.blueGreen", "strategy.blueGreen.autoPromotionSeconds: needs promotion: Automatic",
	},
	"a rolling update of another strategy": {
		`{image: app, strategy: {rollingUpdate: {maxSurge: 1}}}`, "spec.strategy", "strategy.rollingUpdate: needs type: RollingUpdate",
	},
	"a rolling update that may neither add a pod nor take one away": {
		`{image: app, strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 00%, maxUnavailable: 0}}}`,
		"spec.strategy.rollingUpdate", "strategy.rollingUpdate: maxSurge and maxUnavailable can't both be 0",
	},
	"a rolling update that may not add a pod, and by default takes none away": {
		`{image: app, strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0}}}`,
		"spec.strategy.rollingUpdate", "strategy.rollingUpdate: maxSurge: 0 needs a maxUnavailable above 0",
	},
	"a surge of no number of pods": {
		`{image: app, strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: some}}}`,
		"spec.strategy.rollingUpdate.maxSurge", "strategy.rollingUpdate.maxSurge: must be a number of pods, or a percentage from 0% to 100%",
	},
	"less than no pods unavailable": {
		`{image: app, strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: -1}}}`,
		"spec.strategy.rollingUpdate.maxUnavailable", "strategy.rollingUpdate.maxUnavailable: must be a number of pods, or a percentage from 0% to 100%",
	},
	"an overlap without its cutover": {
		`{image: app, strategy: {blueGreen: {overlapSeconds: 10}}}`,
		"spec.strategy.blueGreen", "strategy.blueGreen.overlapSeconds: needs cutover: Overlap",
	},
	"both kinds of disruption budget": {
		`{image: app, disruptionBudget: {minAvailable: 1, maxUnavailable: 1}}`,
		"spec.disruptionBudget", "disruptionBudget: set minAvailable or maxUnavailable, not both",
	},
	"a disruption budget that is disabled": {
		`{image: app, disruptionBudget: {mode: Disabled, minAvailable: 1}}`,
		"spec.disruptionBudget", "disruptionBudget: mode: Disabled goes without minAvailable and maxUnavailable: remove them, or the mode",
	},
	"a minAvailable that is no percentage": {
		`{image: app, disruptionBudget: {minAvailable: "101%"}}`,
		"spec.disruptionBudget.minAvailable", "disruptionBudget.minAvailable: must be a number of pods, or a percentage from 0% to 100%",
	},
	"a maxUnavailable below zero": {
		`{image: app, disruptionBudget: {maxUnavailable: -1}}`,
		"spec.disruptionBudget.maxUnavailable", "disruptionBudget.maxUnavailable: must be a number of pods, or a percentage",
	},
	"a minimum above the maximum": {
		`{image: app, autoscaling: {minReplicas: 5, maxReplicas: 4}}`,
		"spec.autoscaling", "autoscaling.minReplicas: must not be greater than maxReplicas",
	},
	"a CPU metric with a name": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: CPU, name: cpu, averageUtilization: 50}]}}`,
		"spec.autoscaling.metrics[0]", "autoscaling.metrics: types Pods, Object and External need a name; types CPU and Memory have none",
	},
	"a Pods metric without a name": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: Pods, averageValue: 50}]}}`,
		"spec.autoscaling.metrics[0]", "autoscaling.metrics: types Pods, Object and External need a name",
	},
	"an Object metric without an object": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: Object, name: m, value: 1}]}}`,
		"spec.autoscaling.metrics[0]", "autoscaling.metrics: type Object needs object, and no other type has it",
	},
	"a Memory metric with a selector": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: Memory, averageUtilization: 50, selector: {}}]}}`,
		"spec.autoscaling.metrics[0]", "autoscaling.metrics: only types Pods, Object and External have a selector",
	},
	"a Pods metric with a percentage": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: Pods, name: m, averageUtilization: 50}]}}`,
		"spec.autoscaling.metrics[0]", "autoscaling.metrics: only types CPU and Memory have averageUtilization: use averageValue",
	},
	"a Pods metric with a total": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: Pods, name: m, value: 50}]}}`,
		"spec.autoscaling.metrics[0]", "autoscaling.metrics: only types Object and External have value: use averageValue",
	},
	"a metric without a target": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: CPU}]}}`,
		"spec.autoscaling.metrics[0]", "autoscaling.metrics: needs exactly one target: averageUtilization (CPU, Memory), averageValue (all types) or value (Object, External)",
	},
	"a metric with two targets": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: CPU, averageUtilization: 50, averageValue: 1}]}}`,
		"spec.autoscaling.metrics[0]", "autoscaling.metrics: needs exactly one target",
	},
	"a metric's name that is no name": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: Pods, name: http/requests, averageValue: 50}]}}`,
		"spec.autoscaling.metrics[0].name", "autoscaling.metrics: name must be that of a metric, and neither be '.' or '..' nor contain '/' or '%'",
	},
	"a target of nothing": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: Pods, name: m, averageValue: 0}]}}`,
		"spec.autoscaling.metrics[0].averageValue", `autoscaling.metrics: averageValue must be a quantity greater than 0, such as "100" or "500m"`,
	},
	"a total below zero": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: External, name: m, value: "-5"}]}}`,
		"spec.autoscaling.metrics[0].value", "autoscaling.metrics: value must be a quantity greater than 0",
	},
	"an object's version with two groups": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: Object, name: m, value: 1, object: {apiVersion: a/b/v1, kind: Ingress, name: i}}]}}`,
		"spec.autoscaling.metrics[0].object.apiVersion", "autoscaling.metrics: object.apiVersion must be a version such as v1, or a group and a version",
	},
	"an object's kind that is none": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: Object, name: m, value: 1, object: {apiVersion: v1, kind: pods/x, name: i}}]}}`,
		"spec.autoscaling.metrics[0].object.kind", "autoscaling.metrics: object.kind must be a kind such as Ingress",
	},
	"an object's name that leads elsewhere": {
		`{image: app, autoscaling: {maxReplicas: 4, metrics: [{type: Object, name: m, value: 1, object: {apiVersion: v1, kind: Pod, name: ..}}]}}`,
		"spec.autoscaling.metrics[0].object.name", "autoscaling.metrics: object.name must be that of an object, and neither be '.' or '..'",
	},
	"a tolerance below zero": {
		`{image: app, autoscaling: {maxReplicas: 4, behavior: {scaleUp: {tolerance: "-0.1"}}}}`,
		"spec.autoscaling.behavior.scaleUp.tolerance", `autoscaling.behavior: tolerance must be a fraction such as "0.05", not below 0`,
	},
}

var _ = Describe("A manifest that breaks a rule", func() {
	for name, tc := range refusals {
		It("is refused: "+name, func(ctx context.Context) {
			err := try(ctx, withSpec(tc.spec))
			Expect(apierrors.IsInvalid(err)).To(BeTrue(), "got %v", err)
			Expect(err.Error()).To(MatchRegexp(`(?:^|[ \[])%s: Invalid value: .*%s`, quoted(tc.path), quoted(tc.message)))
		})
	}

	It("has an example here for each rule of the schema", func() {
		var untested []string
		walk("", schema(), func(path string, s *apiextensionsv1.JSONSchemaProps) {
			for _, rule := range s.XValidations {
				if !strings.HasPrefix(rule.Message, "metadata.name:") && !refused(rule.Message) {
					untested = append(untested, fmt.Sprintf("%s: %s", path, rule.Message))
				}
			}
		})
		Expect(untested).To(BeEmpty())
	})

	It("says in each rule what is wrong with which field", func() {
		walk("", schema(), func(path string, s *apiextensionsv1.JSONSchemaProps) {
			for _, rule := range s.XValidations {
				Expect(rule.Message).To(MatchRegexp(`^[a-zA-Z.]+: .{10,}`), "the rule %s of %s", rule.Rule, path)
			}
		})
	})
})

// refused reports whether some refusal expects this message.
func refused(message string) bool {
	for _, tc := range refusals {
		if strings.Contains(message, tc.message) {
			return true
		}
	}
	return false
}
