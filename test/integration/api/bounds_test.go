package api_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

var quoted = regexp.QuoteMeta

// violation is a manifest with one value that the schema does not allow.
type violation struct {
	// bound is the path in the schema and the keyword, and path is that of the value in the manifest.
	bound, path string
	manifest    *unstructured.Unstructured
	message     string
}

// place is a value somewhere in a manifest: what it is, and how to get a copy of the manifest with another value there; remove
// instead of a value leaves it out.
type place struct {
	path  string
	value any
	with  func(value any) map[string]any
}

type removal struct{}

var remove = removal{}

// violations derives from the schema, and from a manifest that has each field, one violation for each of the schema's bounds.
func violations(base *unstructured.Unstructured) map[string]violation {
	found := map[string]violation{}
	root := place{path: "spec", value: base.Object["spec"], with: func(value any) map[string]any {
		copied := runtime.DeepCopyJSON(base.Object)
		copied["spec"] = value
		return copied
	}}
	spec := schema().Properties["spec"]
	collect(found, "spec", &spec, root)
	return found
}

func collect(found map[string]violation, path string, s *apiextensionsv1.JSONSchemaProps, p place) {
	for _, v := range broken(s, p) {
		v.bound = path + " " + v.bound
		if _, known := found[v.bound]; !known {
			found[v.bound] = v
		}
	}
	switch value := p.value.(type) {
	case map[string]any:
		for name, child := range value {
			in := place{path: p.path + "." + name, value: child, with: func(v any) map[string]any {
				copied := maps.Clone(value)
				copied[name] = v
				if v == remove {
					delete(copied, name)
				}
				return p.with(copied)
			}}
			if property, ok := s.Properties[name]; ok {
				collect(found, path+"."+name, &property, in)
			}
		}
	case []any:
		for i, child := range value {
			collect(found, path+"[]", s.Items.Schema, place{path: fmt.Sprintf("%s[%d]", p.path, i), value: child, with: func(v any) map[string]any {
				copied := slices.Clone(value)
				copied[i] = v
				return p.with(copied)
			}})
		}
	}
}

// broken returns a violation for each bound of one schema.
func broken(s *apiextensionsv1.JSONSchemaProps, p place) []violation {
	var all []violation
	add := func(bound, message string, value any) {
		all = append(all, violation{
			bound: bound, path: p.path, message: message,
			manifest: &unstructured.Unstructured{Object: p.with(value)},
		})
	}
	if s.Minimum != nil {
		add("minimum", "should be greater than or equal to", int64(*s.Minimum)-1)
	}
	if s.Maximum != nil {
		add("maximum", "should be less than or equal to", int64(*s.Maximum)+1)
	}
	if s.MinLength != nil && *s.MinLength > 0 {
		add("minLength", "should be at least", strings.Repeat("a", int(*s.MinLength)-1))
	}
	if s.MaxLength != nil {
		add("maxLength", "may not be more than", strings.Repeat("a", int(*s.MaxLength)+1))
	}
	if len(s.Enum) > 0 {
		add("enum", "Unsupported value", "no-such-value")
	}
	if s.MinItems != nil && *s.MinItems > 0 {
		add("minItems", "should have at least", []any{})
	}
	if list, ok := p.value.([]any); ok && s.MaxItems != nil {
		add("maxItems", "must have at most", slices.Repeat(list[:1], int(*s.MaxItems)+1))
	}
	if object, ok := p.value.(map[string]any); ok {
		if s.MaxProperties != nil {
			add("maxProperties", "must have at most", filled(object, int(*s.MaxProperties)+1))
		}
		for _, name := range s.Required {
			copied := maps.Clone(object)
			delete(copied, name)
			all = append(all, violation{
				bound: "required " + name, path: p.path + "." + name, message: "Required value",
				manifest: &unstructured.Unstructured{Object: p.with(copied)},
			})
		}
	}
	return all
}

// filled returns a map with n keys and a value that object has.
func filled(object map[string]any, n int) map[string]any {
	result := map[string]any{}
	for _, value := range object {
		for i := range n {
			result[fmt.Sprintf("example.com/key-%d", i)] = value
		}
	}
	return result
}

var _ = Describe("The bounds of the schema", func() {
	It("are enforced, each with a message that names the field", func(ctx context.Context) {
		base := readManifest("testdata/everything.yaml")
		Expect(try(ctx, base)).To(Succeed())
		all := violations(base)
		Expect(len(all)).To(BeNumerically(">", 100))
		AddReportEntry("bounds tried", len(all))
		for _, bound := range slices.Sorted(maps.Keys(all)) {
			v := all[bound]
			err := try(ctx, v.manifest)
			Expect(err).To(HaveOccurred(), bound)
			Expect(err.Error()).To(MatchRegexp(`(?s)%s: .*%s`, quoted(v.path), quoted(v.message)), bound)
		}
	})

	It("are all reached: the manifest with everything has each field of this project's types", func() {
		base := readManifest("testdata/everything.yaml")
		set := map[string]bool{}
		markSet(set, "spec", base.Object["spec"])
		var missing []string
		spec := schema().Properties["spec"]
		walk("spec", &spec, func(path string, _ *apiextensionsv1.JSONSchemaProps) {
			if !set[path] && !strings.HasSuffix(path, "}") && embedded(path) == "" && !sometimes[path] {
				missing = append(missing, path)
			}
		})
		Expect(missing).To(BeEmpty())
	})
})

// sometimes are fields that exclude another one that the manifest with everything has. The valid manifests have them.
var sometimes = map[string]bool{
	"spec.disruptionBudget.minAvailable": true,
	// Refused there: it is the same type as in analysis, which has them.
	"spec.strategy.blueGreen.postPromotionAnalysis.metrics[].ratioToActive":     true,
	"spec.strategy.blueGreen.postPromotionAnalysis.metrics[].ratioToActive.min": true,
	"spec.strategy.blueGreen.postPromotionAnalysis.metrics[].ratioToActive.max": true,
}

func markSet(set map[string]bool, path string, value any) {
	set[path] = true
	switch value := value.(type) {
	case map[string]any:
		for name, child := range value {
			markSet(set, path+"."+name, child)
		}
	case []any:
		for _, child := range value {
			markSet(set, path+"[]", child)
		}
	}
}
