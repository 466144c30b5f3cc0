package api_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var _ = Describe("A manifest that keeps the rules", func() {
	DescribeTable("is taken",
		func(ctx context.Context, spec string) { Expect(try(ctx, withSpec(spec))).To(Succeed()) },
		Entry("an image alone", `{image: app}`),
		Entry("an image by digest", `{image: "registry.example.com:5000/a/b@sha256:0000000000000000000000000000000000000000000000000000000000000000"}`),
		Entry("an image in a folder, with a tag", `{image: "library/hello-world__x.y:v1.2.0_rc-1"}`),
		Entry("an image in a registry with a port", `{image: "localhost:5000/team/hello:v1"}`),
		Entry("an image in a registry by its address", `{image: "[::1]:5000/hello"}`),
		Entry("an image in a registry in upper case", `{image: Registry.Example.COM/hello}`),
		Entry("an image by tag and digest", `{image: "ghcr.io/a/b:v1@sha256:0000000000000000000000000000000000000000000000000000000000000000"}`),
		Entry("no replicas", `{image: app, replicas: 0}`),
		Entry("a config as files, with keys that are no variables", `{image: app, configMountPath: /etc/app, config: {app.yaml: x, PORT: "1"}}`),
		Entry("an empty value", `{image: app, env: [{name: A}]}`),
		Entry("limits without requests", `{image: app, resources: {limits: {cpu: 1, memory: 64Mi}}}`),
		Entry("a request that equals the limit in other words", `{image: app, resources: {requests: {cpu: 1000m, memory: 1Gi}, limits: {cpu: 1, memory: 1024Mi}}}`),
		Entry("huge pages", `{image: app, resources: {limits: {hugepages-2Mi: 4Mi, memory: 64Mi}}}`),
		Entry("a drain of nothing with the shortest grace period", `{image: app, drainSeconds: 0, terminationGracePeriodSeconds: 1}`),
		Entry("minAvailable as a number", `{image: app, disruptionBudget: {minAvailable: 2}}`),
		Entry("minAvailable as a percentage", `{image: app, disruptionBudget: {minAvailable: 100%}}`),
		Entry("no disruption budget", `{image: app, disruptionBudget: {mode: Disabled}}`),
		Entry("a manual promotion", `{image: app, strategy: {blueGreen: {promotion: Manual, previewReplicas: 1}}}`),
		Entry("an analysis by a bound alone", `{image: app, strategy: {blueGreen: {analysis: {metrics: [{name: a, type: SuccessRate, thresholdRange: {min: "1"}}]}}}}`),
		Entry("an analysis by comparison alone", `{image: app, strategy: {blueGreen: {analysis: {metrics: [{name: a, type: Latency, ratioToActive: {max: "1.2"}}]}}}}`),
		Entry("bounds of every spelling", `{image: app, strategy: {blueGreen: {postPromotionAnalysis: {metrics: [{name: a, type: RequestRate, thresholdRange: {min: ".5", max: 2k}}, {name: b, type: Latency, thresholdRange: {max: 250m}}]}}}}`),
		Entry("autoscaling without metrics", `{image: app, autoscaling: {maxReplicas: 3}}`),
		Entry("a minimum of no pods with an External metric", `{image: app, autoscaling: {minReplicas: 0, maxReplicas: 3, metrics: [{type: External, name: m, averageValue: 1}]}}`),
		Entry("a minimum of no pods with a metric of another GinService", zeroOn("apps.gin-operator.dev/v1alpha1", "GinService", "other")),
		Entry("a minimum of no pods with a metric of something else of the same name", zeroOn("networking.k8s.io/v1", "Ingress", "tried")),
		Entry("a minimum of no pods with a metric of a GinService that is not of this operator", zeroOn("example.com/v1", "GinService", "tried")),
		Entry("a minimum of no pods with a metric of these pods, and one of something else", `{image: app, autoscaling: {minReplicas: 0, maxReplicas: 3, metrics: [
			{type: External, name: m, averageValue: 1},
			{type: Object, name: m, averageValue: 1, object: {apiVersion: apps.gin-operator.dev/v1alpha1, kind: GinService, name: tried}}]}}`),
		Entry("a minimum of no pods that grows by pods", `{image: app, autoscaling: {minReplicas: 0, maxReplicas: 3, metrics: [{type: External, name: m, averageValue: 1}],
			behavior: {scaleUp: {selectPolicy: Min, policies: [{type: Pods, value: 1, periodSeconds: 15}]}}}}`),
		Entry("a minimum of no pods that grows by pods or doubles", `{image: app, autoscaling: {minReplicas: 0, maxReplicas: 3, metrics: [{type: External, name: m, averageValue: 1}],
			behavior: {scaleUp: {policies: [{type: Percent, value: 100, periodSeconds: 15}, {type: Pods, value: 1, periodSeconds: 15}]}, scaleDown: {selectPolicy: Disabled}}}}`),
		Entry("a metric of these pods together with a minimum of one", `{image: app, autoscaling: {maxReplicas: 3, metrics: [
			{type: Object, name: m, averageValue: 1, object: {apiVersion: apps.gin-operator.dev/v1alpha1, kind: GinService, name: tried}}]}}`),
		Entry("a toleration of everything on purpose", `{image: app, scheduling: {tolerations: [{operator: Exists}]}}`),
		Entry("an annotation with a prefix in upper case", `{image: app, service: {annotations: {Example.com/Scheme: internal}}}`),
		Entry("nobody who may call", `{image: app, network: {}}`),
		Entry("everybody in the cluster, and an address", `{image: app, network: {ingressFrom: [{namespaceSelector: {}}, {ipBlock: {cidr: 192.0.2.7/32}}]}}`),
		Entry("all addresses but some", `{image: app, network: {ingressFrom: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}, {ipBlock: {cidr: "::/0", except: ["fc00::/7"]}}]}}`),
		Entry("a PodMonitor", `{image: app, monitoring: {type: PodMonitor, labels: {release: prometheus, example.com/team: ""}}}`),
		Entry("one volume mounted twice", `{image: app, volumes: [{name: d, emptyDir: {}}], volumeMounts: [{name: d, mountPath: /a}, {name: d, mountPath: /b}]}`),
	)

	It("is taken with every field set", func(ctx context.Context) {
		Expect(try(ctx, readManifest("testdata/everything.yaml"))).To(Succeed())
	})

	It("is taken with each list and map as long as it may be", func(ctx context.Context) {
		Expect(try(ctx, withSpec(longest()))).To(Succeed())
	})

	It("gets the documented defaults, and none for replicas", func(ctx context.Context) {
		created, err := resources.Namespace(namespace).Create(ctx, withSpec(`{image: app}`), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		got, err := yaml.Marshal(created.Object["spec"])
		Expect(err).NotTo(HaveOccurred())
		Expect(string(got)).To(Equal(`disruptionBudget:
  mode: Auto
drainSeconds: 5
image: app
minReadySeconds: 0
monitoring:
  type: Annotations
ports:
  http: 8080
probes: {}
progressDeadlineSeconds: 600
revisionHistoryLimit: 10
service:
  port: 80
  sessionAffinity: None
  type: ClusterIP
strategy:
  blueGreen:
    abortScaleDownDelaySeconds: 30
    cutover: Atomic
    promotion: Automatic
    scaleDownDelaySeconds: 30
  type: BlueGreen
terminationGracePeriodSeconds: 30
`))
	})

	It("gets the namespace monitoring as the one that may scrape", func(ctx context.Context) {
		created, err := resources.Namespace(namespace).Create(ctx, withSpec(`{image: app, network: {}}`), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(created.Object["spec"]).To(HaveKeyWithValue("network", map[string]any{"metricsFrom": []any{map[string]any{
			"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": "monitoring"}},
		}}}))
	})

	It("gets a warm-up that lasts for longer than most analyses", func(ctx context.Context) {
		created, err := resources.Namespace(namespace).Create(ctx, withSpec(
			`{image: app, strategy: {blueGreen: {analysis: {metrics: [{name: a, type: SuccessRate, thresholdRange: {min: "1"}}], warmUp: {requests: [{path: /}]}}}}}`), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		warmUp, _, err := unstructured.NestedMap(created.Object, "spec", "strategy", "blueGreen", "analysis", "warmUp")
		Expect(err).NotTo(HaveOccurred())
		Expect(warmUp).To(Equal(map[string]any{
			"requests":          []any{map[string]any{"path": "/", "expectedStatus": int64(200)}},
			"requestsPerSecond": int64(10), "maxRequests": int64(100_000), "failureLimit": int64(0),
		}))
	})

	It("gets one replica as the autoscaler's minimum", func(ctx context.Context) {
		created, err := resources.Namespace(namespace).Create(ctx, withSpec(`{image: app, autoscaling: {maxReplicas: 3}}`), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(created.Object["spec"]).To(HaveKeyWithValue("autoscaling", map[string]any{"minReplicas": int64(1), "maxReplicas": int64(3)}))
	})
})

var _ = Describe("The name of a GinService", func() {
	spec := map[string]any{"image": "app"}

	DescribeTable("is taken",
		func(ctx context.Context, name string) { Expect(try(ctx, named(name, spec))).To(Succeed()) },
		Entry("with 52 characters", strings.Repeat("a", 52)),
		Entry("with one", "a"),
		Entry("with digits and dashes", "shop-2-eu"),
	)

	DescribeTable("is refused",
		func(ctx context.Context, name, message string) {
			err := try(ctx, named(name, spec))
			Expect(apierrors.IsInvalid(err)).To(BeTrue(), "got %v", err)
			Expect(err).To(MatchError(ContainSubstring(message)))
		},
		Entry("with 53 characters", strings.Repeat("a", 53), "metadata.name: must be at most 52 characters"),
		Entry("with a digit first", "2nd", "metadata.name: must be lower-case letters, digits and '-', begin with a letter"),
		Entry("with a dot", "shop.eu", "metadata.name: must be lower-case letters, digits and '-'"),
		Entry("with an upper-case letter", "Shop", "metadata.name: Invalid value"),
	)
})

var _ = Describe("A field that does not exist", func() {
	It("is refused by name, not dropped", func(ctx context.Context) {
		Expect(try(ctx, withSpec(`{image: app, replica: 3}`))).To(MatchError(ContainSubstring(`unknown field "spec.replica"`)))
		Expect(try(ctx, withSpec(`{image: app, volumes: [{name: host, hostPath: {path: /}}]}`))).To(
			MatchError(ContainSubstring(`unknown field "spec.volumes[0].hostPath"`)))
	})
})

var _ = Describe("Each sample", func() {
	It("is taken", func(ctx context.Context) {
		files, err := filepath.Glob(filepath.Join(configFolder, "samples", "*.yaml"))
		Expect(err).NotTo(HaveOccurred())
		tried := 0
		for _, file := range files {
			if filepath.Base(file) == "kustomization.yaml" {
				continue
			}
			content, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			out, err := kubectlWith(ctx, string(content), "create", "--dry-run=server", "--validate=strict", "-f", "-")
			Expect(err).NotTo(HaveOccurred(), "%s: %s", file, out)
			tried++
		}
		Expect(tried).To(BeNumerically(">", 0))
	})
})

// zeroOn returns a spec that scales to zero on a metric of an object.
func zeroOn(apiVersion, kind, name string) string {
	return fmt.Sprintf(`{image: app, autoscaling: {minReplicas: 0, maxReplicas: 3, metrics: [
		{type: Object, name: m, averageValue: 1, object: {apiVersion: %s, kind: %s, name: %s}}]}}`, apiVersion, kind, name)
}

// longest returns a spec whose lists and maps are as long as the schema lets them be: the API server stops evaluating rules that take
// too long, and then refuses what is valid.
func longest() string {
	var b strings.Builder
	list := func(name string, n int, format string) {
		fmt.Fprintf(&b, "%s:\n", name)
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
	}
	fmt.Fprintf(&b, "image: %s\n", strings.Repeat("i", 1024))
	list("config", 256, "  KEY_"+strings.Repeat("k", 200)+"_%d: "+strings.Repeat("v", 3000)+"\n")
	list("env", 256, "- {name: ENV_"+strings.Repeat("e", 200)+"_%d, value: x}\n")
	list("envFrom", 32, "- {configMapRef: {name: c%d}}\n")
	list("imagePullSecrets", 16, "- name: s%d\n")
	list("volumes", 32, "- {name: v"+strings.Repeat("v", 50)+"%d, emptyDir: {}}\n")
	fmt.Fprintln(&b, "configMountPath: /etc/"+strings.Repeat("p", 1000))
	fmt.Fprintln(&b, "volumeMounts:")
	for i := range 64 {
		fmt.Fprintf(&b, "- {name: v%s31, mountPath: /%s%d}\n", strings.Repeat("v", 50), strings.Repeat("m", 1000), i)
	}
	fmt.Fprintln(&b, "resources:")
	for _, kind := range []string{"requests", "limits"} {
		list("  "+kind, 16, "    example.com/"+strings.Repeat("r", 50)+"%d: 1\n")
	}
	fmt.Fprintln(&b, "service:")
	list("  annotations", 64, "    example.com/"+strings.Repeat("a", 50)+"%d: "+strings.Repeat("v", 3000)+"\n")
	fmt.Fprintln(&b, "network:")
	for _, from := range []string{"ingressFrom", "metricsFrom"} {
		fmt.Fprintf(&b, "  %s:\n", from)
		for range 32 {
			list("  - ipBlock:\n      cidr: 2001:db8::/32\n      except", 32, "      - 2001:db8:0000:0000:0000:0000:ffff:%d/128\n")
		}
	}
	fmt.Fprintln(&b, "monitoring:\n  type: PodMonitor")
	list("  labels", 16, "    example.com/"+strings.Repeat("l", 50)+"%d: "+strings.Repeat("v", 63)+"\n")
	fmt.Fprintln(&b, "scheduling:")
	list("  nodeSelector", 64, "    example.com/"+strings.Repeat("n", 50)+"%d: "+strings.Repeat("v", 63)+"\n")
	list("  tolerations", 64, "  - {key: k%d, operator: Exists}\n")
	list("  topologySpreadConstraints", 8, "  - {maxSkew: 1, topologyKey: t%d, whenUnsatisfiable: ScheduleAnyway}\n")
	fmt.Fprintln(&b, "strategy:\n  blueGreen:")
	for _, when := range []string{"analysis", "postPromotionAnalysis"} {
		fmt.Fprintf(&b, "    %s:\n", when)
		list("      metrics", 8, "      - {name: m"+strings.Repeat("m", 61)+"%d, type: Metric, metric: "+strings.Repeat("n", 255)+
			", quantile: \"0.999999\", thresholdRange: {min: \"100000000000.12345678\", max: \"123456789012.123456789k\"}}\n")
		if when == "analysis" {
			list("      warmUp:\n        maxRequests: 100000\n        requests", 16, "        - {path: /"+strings.Repeat("p", 1021)+"%02d}\n")
		}
	}
	fmt.Fprintln(&b, "autoscaling:\n  minReplicas: 0\n  maxReplicas: 10000")
	list("  metrics", 8, "  - {type: Object, name: m"+strings.Repeat("m", 250)+"%d, value: 1, object: {apiVersion: v1, kind: K, name: "+
		strings.Repeat("o", 253)+"}}\n")
	fmt.Fprintln(&b, "  behavior:")
	for _, direction := range []string{"scaleUp", "scaleDown"} {
		fmt.Fprintf(&b, "    %s:\n      tolerance: 100m\n", direction)
		list("      policies", 16, "      - {type: Pods, periodSeconds: 60, value: 1%d}\n")
	}
	return b.String()
}
