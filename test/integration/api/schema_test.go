package api_test

import (
	"encoding/json"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// kubernetesTypes are the places where the schema has a type of Kubernetes as it is. Kubernetes bounds what is in there when the
// child is created, and a child that it refuses ends in a condition.
var kubernetesTypes = []string{
	"spec.autoscaling.metrics[].selector.",
	"spec.network.ingressFrom[].namespaceSelector.",
	"spec.network.ingressFrom[].podSelector.",
	"spec.network.metricsFrom[].namespaceSelector.",
	"spec.network.metricsFrom[].podSelector.",
	"spec.scheduling.affinity.nodeAffinity.",
	"spec.scheduling.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[].labelSelector.",
	"spec.scheduling.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector.",
	"spec.scheduling.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[].labelSelector.",
	"spec.scheduling.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector.",
	"spec.scheduling.tolerations[].",
	"spec.scheduling.topologySpreadConstraints[].",
	"spec.volumes[].configMap.",
	"spec.volumes[].csi.",
	"spec.volumes[].downwardAPI.",
	"spec.volumes[].emptyDir.",
	"spec.volumes[].persistentVolumeClaim.",
	"spec.volumes[].projected.",
	"spec.volumes[].secret.",
}

// boundedByRule are strings whose length a rule limits, because a map's values can't be given a maximum of their own without giving
// up map[string]string.
var boundedByRule = map[string]string{
	"spec.config{}":                  "keys and values together must stay within 1 MiB",
	"spec.service.annotations{}":     "keys and values together must stay within 256 KiB",
	"spec.scheduling.nodeSelector{}": "at most 63 of them",
	"spec.monitoring.labels{}":       "at most 63 of them",
}

// callers are the places that name who may call from other namespaces. That reaches nothing there: it lets them in here.
var callers = []string{"spec.network.ingressFrom[]", "spec.network.metricsFrom[]"}

// embedded returns the place of the Kubernetes type that a path is in, or "" for this project's own types.
func embedded(path string) string {
	for _, prefix := range kubernetesTypes {
		if strings.HasPrefix(path, prefix) {
			return prefix
		}
	}
	return ""
}

var _ = Describe("The schema", func() {
	It("has no reference to another namespace", func() {
		walk("", schema(), func(path string, s *apiextensionsv1.JSONSchemaProps) {
			for name := range s.Properties {
				if name == "namespaceSelector" && slices.Contains(callers, path) {
					continue
				}
				Expect(strings.ToLower(name)).NotTo(HavePrefix("namespace"), "%s.%s", path, name)
			}
		})
	})

	It("says of each list how server-side apply merges it", func() {
		walk("", schema(), func(path string, s *apiextensionsv1.JSONSchemaProps) {
			if s.Type == "array" {
				Expect(s.XListType).NotTo(BeNil(), path)
			}
		})
	})

	It("has a maximum for each list and map of this project", func() {
		walk("", schema(), func(path string, s *apiextensionsv1.JSONSchemaProps) {
			if embedded(path) != "" {
				return
			}
			if s.Type == "array" {
				Expect(s.MaxItems).NotTo(BeNil(), path)
			}
			if s.AdditionalProperties != nil {
				Expect(s.MaxProperties).NotTo(BeNil(), path)
			}
		})
	})

	It("has a maximum for each string of this project", func() {
		unused := map[string]bool{}
		for path := range boundedByRule {
			unused[path] = true
		}
		walk("", schema(), func(path string, s *apiextensionsv1.JSONSchemaProps) {
			for _, rule := range s.XValidations {
				if limit := boundedByRule[path+"{}"]; limit != "" && strings.Contains(rule.Message, limit) {
					delete(unused, path+"{}")
				}
			}
			// Kubernetes itself limits these two.
			if path == "apiVersion" || path == "kind" || embedded(path) != "" || boundedByRule[path] != "" {
				return
			}
			if s.Type == "string" {
				Expect(s.MaxLength != nil || len(s.Enum) > 0 || s.Format != "").To(BeTrue(), path)
			}
			if s.XIntOrString {
				Expect(s.Pattern != "" || len(s.XValidations) > 0).To(BeTrue(), path)
			}
		})
		Expect(unused).To(BeEmpty(), "these have no rule any more that limits them")
	})

	It("is explained: each field of this project has a description", func() {
		walk("", schema(), func(path string, s *apiextensionsv1.JSONSchemaProps) {
			named := path != "" && path != "metadata" && !strings.HasSuffix(path, "]") && !strings.HasSuffix(path, "}")
			if named && embedded(path) == "" {
				Expect(s.Description).NotTo(BeEmpty(), path)
			}
		})
	})

	It("names only Kubernetes types that are there", func() {
		used := map[string]bool{}
		walk("", schema(), func(path string, _ *apiextensionsv1.JSONSchemaProps) { used[embedded(path)] = true })
		for _, prefix := range kubernetesTypes {
			Expect(used).To(HaveKey(prefix))
		}
	})

	It("has no default for replicas, which would reset what an autoscaler wrote", func() {
		spec := schema().Properties["spec"]
		Expect(spec.Properties["replicas"].Default).To(BeNil())
	})

	It("is small enough for kubectl apply to keep in an annotation", func() {
		content, err := json.Marshal(definition())
		Expect(err).NotTo(HaveOccurred())
		Expect(len(content)).To(BeNumerically("<", 256<<10))
	})
})
