package controllers

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
)

// containment is whether actual has everything that is in want, both in YAML.
type containment struct {
	actual, want string
	expected     bool
}

func (c containment) expect(t *testing.T) {
	t.Helper()
	var actual, want any
	for text, into := range map[string]*any{c.actual: &actual, c.want: &want} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	if c.actual == c.want {
		actual = want
	}
	if got := contains(actual, want); got != c.expected {
		t.Errorf("contains(%s, %s) = %t", c.actual, c.want, got)
	}
}

func TestContains(t *testing.T) {
	for name, tc := range map[string]containment{
		"a field of others is none of our business": {`{spec: {replicas: 1, paused: true}}`, `{spec: {replicas: 1}}`, true},
		"a value that somebody changed":             {`{spec: {replicas: 2}}`, `{spec: {replicas: 1}}`, false},
		"a field that somebody removed":             {`{spec: {}}`, `{spec: {replicas: 1}}`, false},
		"a zero that the API server leaves out":     {`{spec: {}}`, `{spec: {replicas: 0}}`, false},
		"an object in the place of a value":         {`{a: {b: 1}}`, `{a: 1}`, false},
		"a value in the place of an object":         {`{a: 1}`, `{a: {b: 1}}`, false},
		"nothing is wanted of what is not there":    {`{}`, `{labels: {}, args: []}`, true},
		"items that are told apart by a key, in another order, with a sidecar that somebody injected": {
			`{containers: [{name: proxy}, {name: b, image: x}, {name: a, image: y}]}`,
			`{containers: [{name: a, image: y}, {name: b, image: x}]}`, true,
		},
		"an item that somebody removed": {`{env: [{name: A}]}`, `{env: [{name: A}, {name: B}]}`, false},
		"an item that somebody changed": {`{env: [{name: A, value: "2"}]}`, `{env: [{name: A, value: "1"}]}`, false},
		"a list without a key in another order": {
			`{args: [b, a]}`, `{args: [a, b]}`, false,
		},
		"a list without a key with one item more": {`{args: [a, b]}`, `{args: [a]}`, false},
		"a label more in a selector":              {`{selector: {app: a, tier: b}}`, `{selector: {app: a}}`, false},
		"a selector as it should be":              {`{selector: {app: a}}`, `{selector: {app: a}}`, true},
		"a node label more":                       {`{nodeSelector: {zone: a, disk: b}}`, `{nodeSelector: {zone: a}}`, false},
		"a reference that somebody made optional": {
			`{env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}]}`,
			`{env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]}`, false,
		},
		"a spread constraint of somebody else beside ours": {
			`{topologySpreadConstraints: [{topologyKey: rack, whenUnsatisfiable: DoNotSchedule}, {topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, maxSkew: 1}]}`,
			`{topologySpreadConstraints: [{topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, maxSkew: 1}]}`, true,
		},
		"two spread constraints for the same topology, and one is not as it should be": {
			`{topologySpreadConstraints: [{topologyKey: zone, whenUnsatisfiable: DoNotSchedule, maxSkew: 2}, {topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, maxSkew: 1}]}`,
			`{topologySpreadConstraints: [{topologyKey: zone, whenUnsatisfiable: DoNotSchedule, maxSkew: 1}, {topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, maxSkew: 1}]}`, false,
		},
		"two ports with one number, which their names tell apart": {
			`{ports: [{name: b, containerPort: 80}, {name: a, containerPort: 80}]}`, `{ports: [{name: a, containerPort: 80}, {name: b, containerPort: 80}]}`, true,
		},
	} {
		t.Run(name, tc.expect)
	}
}

// TestContainsAllOfWhatBelongsToOneWriter: whatever somebody adds to it is a change.
func TestContainsAllOfWhatBelongsToOneWriter(t *testing.T) {
	for name, tc := range map[string]containment{
		"an HTTPRoute as the API server completes it": {
			`{rules: [{backendRefs: [{name: s, port: 80, weight: 1}]}], useDefaultGateways: All}`, `{rules: [{backendRefs: [{name: s, port: 80, weight: 1}]}]}`, true,
		},
		"a weight that somebody changed in an HTTPRoute": {
			`{rules: [{backendRefs: [{name: s, port: 80, weight: 0}]}]}`, `{rules: [{backendRefs: [{name: s, port: 80, weight: 1}]}]}`, false,
		},
		"a filter that somebody added to an HTTPRoute": {
			`{rules: [{backendRefs: [{name: s}], filters: [{type: URLRewrite}]}]}`, `{rules: [{backendRefs: [{name: s}]}]}`, false,
		},
		"a match that somebody added to an HTTPRoute": {
			`{rules: [{matches: [{headers: [{name: a, value: b}]}, {path: {value: /admin}}]}]}`, `{rules: [{matches: [{headers: [{name: a, value: b}]}]}]}`, false,
		},
		"a Gateway that somebody added to an HTTPRoute": {`{parentRefs: [{name: a}, {name: b}]}`, `{parentRefs: [{name: a}]}`, false},
		"a host that somebody added to an HTTPRoute":    {`{hostnames: [a, b]}`, `{hostnames: [a]}`, false},
		"somebody whom a policy lets in, too": {
			`{ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: http, protocol: TCP}]}]}`,
			`{ingress: [{from: [{podSelector: {}}], ports: [{port: http, protocol: TCP}]}]}`, false,
		},
		"a rule that somebody added to a policy": {`{ingress: [{from: [{podSelector: {}}]}, {}]}`, `{ingress: [{from: [{podSelector: {}}]}]}`, false},
		"a policy that somebody had select other pods": {
			`{podSelector: {matchLabels: {a: b}, matchExpressions: [{key: c, operator: Exists}]}}`, `{podSelector: {matchLabels: {a: b}}}`, false,
		},
		"a policy as the API server has it": {
			`{policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {}}], ports: [{port: http, protocol: TCP}]}]}`,
			`{policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {}}], ports: [{port: http, protocol: TCP}]}]}`, true,
		},
		"a setting that somebody added to an endpoint of a PodMonitor": {
			`{podMetricsEndpoints: [{port: http, path: /metrics, interval: 1s}]}`, `{podMetricsEndpoints: [{port: http, path: /metrics}]}`, false,
		},
		"a limit that somebody added beside the endpoints": {
			`{sampleLimit: 7, podMetricsEndpoints: [{port: http, path: /metrics}]}`, `{podMetricsEndpoints: [{port: http, path: /metrics}]}`, true,
		},
	} {
		t.Run(name, tc.expect)
	}
}

func TestHolds(t *testing.T) {
	gs := service()
	wanted := resources.PodDisruptionBudget(gs, v1alpha1.Blue)
	hash, err := hashOf(wanted)
	if err != nil {
		t.Fatal(err)
	}
	budget := func(version string, changes ...func(*policyv1.PodDisruptionBudget)) client.Object {
		live := &policyv1.PodDisruptionBudget{ObjectMeta: ownedBy(gs, "hello")}
		live.ResourceVersion, live.Labels = version, resources.Labels(gs)
		live.Annotations = map[string]string{annotationIntent: hash}
		live.Spec.MaxUnavailable = wanted.Spec.MaxUnavailable
		live.Spec.UnhealthyPodEvictionPolicy = wanted.Spec.UnhealthyPodEvictionPolicy
		live.Spec.Selector = &metav1.LabelSelector{MatchLabels: resources.SelectorLabels(gs, v1alpha1.Blue)}
		for _, change := range changes {
			change(live)
		}
		return live
	}
	for _, tc := range []struct {
		name     string
		live     client.Object
		expected bool
	}{
		{"as it was applied", budget("10"), true},
		{"what was applied last is something else", budget("11", func(b *policyv1.PodDisruptionBudget) { b.Annotations[annotationIntent] = "other" }), false},
		{"a field that somebody changed in a later version", budget("12", func(b *policyv1.PodDisruptionBudget) { b.Labels[v1alpha1.LabelInstance] = "x" }), false},
		{"a selector that somebody narrowed", budget("13", func(b *policyv1.PodDisruptionBudget) {
			b.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "x", Operator: metav1.LabelSelectorOpExists}}
		}), false},
		{"a label of somebody else", budget("14", func(b *policyv1.PodDisruptionBudget) { b.Labels["team"] = "x" }), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := holds(tc.live, wanted, hash)
			if err != nil || got != tc.expected {
				t.Errorf("holds = %t, %v", got, err)
			}
		})
	}
}

// TestHoldsWhatIsRaw: the spec of a PodMonitor is kept as the API server sends it, with fields that no type here has.
func TestHoldsWhatIsRaw(t *testing.T) {
	gs := service()
	gs.Spec.Monitoring.Type = v1alpha1.MonitoringPodMonitor
	wanted := resources.PodMonitor(gs, []string{"http"})
	spec, err := json.Marshal(wanted.Spec)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		spec     string
		expected bool
	}{
		"as it was applied":                       {string(spec), true},
		"with a field of others":                  {strings.Replace(string(spec), "{", `{"sampleLimit":7,`, 1), true},
		"with an endpoint that somebody switched": {strings.Replace(string(spec), `"path":"/metrics"`, `"path":"/metrics","scheme":"https"`, 1), false},
		"for other pods":                          {strings.Replace(string(spec), "uid-1", "uid-2", 1), false},
		"emptied":                                 {`{}`, false},
	} {
		live := &monitoring.PodMonitor{ObjectMeta: ownedBy(gs, "hello"), Spec: runtime.RawExtension{Raw: []byte(tc.spec)}}
		live.Labels, live.Annotations = maps.Clone(wanted.Labels), map[string]string{annotationIntent: "hash"}
		if got, err := holds(live, wanted, "hash"); err != nil || got != tc.expected {
			t.Errorf("%s: holds = %t, %v", name, got, err)
		}
	}
}

// TestHoldsConfig: the data of ConfigMaps are not in the cache, and are not looked for.
func TestHoldsConfig(t *testing.T) {
	gs := service()
	gs.Spec.Config = map[string]string{"A": "b"}
	wanted := resources.ConfigMap(gs, resources.RevisionOf(gs.Spec.WorkloadSpec))
	for name, tc := range map[string]struct {
		change   func(*corev1.ConfigMap)
		expected bool
	}{
		"as it was applied":           {func(*corev1.ConfigMap) {}, true},
		"that anybody may change":     {func(c *corev1.ConfigMap) { c.Immutable = new(false) }, false},
		"that says nothing of that":   {func(c *corev1.ConfigMap) { c.Immutable = nil }, false},
		"with a label that is wrong":  {func(c *corev1.ConfigMap) { c.Labels[v1alpha1.LabelInstance] = "x" }, false},
		"without one of its labels":   {func(c *corev1.ConfigMap) { delete(c.Labels, v1alpha1.LabelUID) }, false},
		"with a label of others":      {func(c *corev1.ConfigMap) { c.Labels["team"] = "x" }, true},
		"of which another was wanted": {func(c *corev1.ConfigMap) { c.Annotations[annotationIntent] = "other" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			live := &corev1.ConfigMap{ObjectMeta: ownedBy(gs, *wanted.Name), Immutable: new(true)}
			live.Labels, live.Annotations = maps.Clone(wanted.Labels), map[string]string{annotationIntent: "hash"}
			tc.change(live)
			if got, err := holds(live, wanted, "hash"); err != nil || got != tc.expected {
				t.Errorf("holds = %t, %v", got, err)
			}
		})
	}
}

// TestVersion: what is found once is looked at again when anything of it may differ, and not for each report in status.
func TestVersion(t *testing.T) {
	base := &policyv1.PodDisruptionBudget{ObjectMeta: ownedBy(service(), "hello")}
	base.UID, base.Generation, base.ResourceVersion = "uid-2", 4, "100"
	base.Labels = map[string]string{"a": "b"}
	for name, tc := range map[string]struct {
		change func(*policyv1.PodDisruptionBudget)
		same   bool
	}{
		"nothing":             {func(*policyv1.PodDisruptionBudget) {}, true},
		"a report in status":  {func(b *policyv1.PodDisruptionBudget) { b.ResourceVersion = "101" }, true},
		"its spec":            {func(b *policyv1.PodDisruptionBudget) { b.Generation = 5 }, false},
		"a label":             {func(b *policyv1.PodDisruptionBudget) { b.Labels["a"] = "c" }, false},
		"an annotation":       {func(b *policyv1.PodDisruptionBudget) { b.Annotations = map[string]string{"a": "b"} }, false},
		"its owner":           {func(b *policyv1.PodDisruptionBudget) { b.OwnerReferences[0].Controller = nil }, false},
		"another of its name": {func(b *policyv1.PodDisruptionBudget) { b.UID = "uid-3" }, false},
		"a kind without generations": {func(b *policyv1.PodDisruptionBudget) {
			b.Generation = 0
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			changed := base.DeepCopy()
			tc.change(changed)
			if got := versionOf(base) == versionOf(changed); got != tc.same {
				t.Errorf("equal = %t, want %t", got, tc.same)
			}
		})
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{UID: "uid-4", ResourceVersion: "7"}}
	later := service.DeepCopy()
	later.ResourceVersion = "8"
	if versionOf(service) != versionOf(service.DeepCopy()) || versionOf(service) == versionOf(later) {
		t.Error("an object without generations is known by its resourceVersion")
	}
}

func TestHeldForgetsWhatIsPruned(t *testing.T) {
	var h held
	key := types.NamespacedName{Namespace: "shop", Name: "hello"}
	h.remember(key, "ConfigMap hello-r1", finding{recipe: 7})
	h.drop(key, "ConfigMap hello-r1")
	if got := h.of(key, "ConfigMap hello-r1"); got.recipe != 0 || len(h.services[key]) != 0 {
		t.Errorf("still remembered: %+v", got)
	}
	if got := kindOf(&corev1.ConfigMap{}); got != "ConfigMap" {
		t.Errorf("kindOf = %q", got)
	}
}
