package resources

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// The names are fixed: a name that changes restarts every pod of every service with such a spec when the operator is upgraded.
// docs/designs/0001-revisions.md says what to do instead.
func TestRevisionNamesAreFixed(t *testing.T) {
	want := map[string]string{
		"config-as-files":  "wzw4rcdzgx",
		"everything":       "kq9f4w68ks",
		"guarded":          "h5zs4bq4tn",
		"metrics":          "qsjqqwwnr9",
		"minimal":          "qsjqqwwnr9",
		"nothing-optional": "qsjqqwwnr9",
		"overrides":        "g8fxf8ghpn",
	}
	got := map[string]string{}
	for name, gs := range services(t) {
		got[name] = RevisionOf(gs.Spec.WorkloadSpec).Name
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSpecsThatMeanTheSameAreOneRevision(t *testing.T) {
	requests := func(name corev1.ResourceName, amount string) v1alpha1.WorkloadSpec {
		return v1alpha1.WorkloadSpec{Resources: v1alpha1.Resources{Requests: corev1.ResourceList{name: resource.MustParse(amount)}}}
	}
	workload := func(change func(*v1alpha1.WorkloadSpec)) v1alpha1.WorkloadSpec {
		w := v1alpha1.WorkloadSpec{}
		change(&w)
		return w
	}
	cases := map[string][2]v1alpha1.WorkloadSpec{
		"a thousand millicores are a core":          {requests("cpu", "1000m"), requests("cpu", "1")},
		"a tenth of a core is a hundred millicores": {requests("cpu", "0.1"), requests("cpu", "100m")},
		"an exponent is a suffix":                   {requests("memory", "1e9"), requests("memory", "1G")},
		"1024 mebibytes are a gibibyte":             {requests("memory", "1024Mi"), requests("memory", "1Gi")},
		"a gibibyte in bytes is a gibibyte":         {requests("memory", "1073741824"), requests("memory", "1Gi")},
		"half a gibibyte is 512 mebibytes":          {requests("memory", "0.5Gi"), requests("memory", "512Mi")},
		"an empty map of requests is none":          {workload(func(w *v1alpha1.WorkloadSpec) { w.Resources.Requests = corev1.ResourceList{} }), {}},
		"an empty config is none":                   {workload(func(w *v1alpha1.WorkloadSpec) { w.Config = map[string]string{} }), {}},
		"an empty list of arguments is none":        {workload(func(w *v1alpha1.WorkloadSpec) { w.Args = []string{} }), {}},
		"an empty probe is the default probe":       {workload(func(w *v1alpha1.WorkloadSpec) { w.Probes.Liveness = &v1alpha1.Probe{} }), {}},
		"an affinity to nothing is none": {workload(func(w *v1alpha1.WorkloadSpec) {
			w.Scheduling.Affinity = &v1alpha1.Affinity{PodAffinity: &v1alpha1.PodAffinity{}}
		}), {}},
		"metrics on the http port is the default":    {workload(func(w *v1alpha1.WorkloadSpec) { w.Ports.Metrics = new(int32(8080)) }), {}},
		"a token that is not mounted is the default": {workload(func(w *v1alpha1.WorkloadSpec) { w.AutomountServiceAccountToken = new(false) }), {}},
		"the default drain and grace period are none": {workload(func(w *v1alpha1.WorkloadSpec) {
			w.DrainSeconds, w.TerminationGracePeriodSeconds = new(int32(5)), new(int32(30))
		}), {}},
	}
	for name, pair := range cases {
		t.Run(name, func(t *testing.T) {
			a, b := RevisionOf(pair[0]), RevisionOf(pair[1])
			if a.Name != b.Name {
				t.Errorf("revisions %s and %s of\n%s\n%s", a.Name, b.Name, canonicalJSON(&a.Workload), canonicalJSON(&b.Workload))
			}
			if !bytes.Equal(canonicalJSON(&a.Workload), canonicalJSON(&b.Workload)) {
				t.Errorf("one revision with two normal forms:\n%s\n%s", canonicalJSON(&a.Workload), canonicalJSON(&b.Workload))
			}
		})
	}
}

func TestSpecsThatMeanSomethingElseAreAnotherRevision(t *testing.T) {
	term := func(selector *metav1.LabelSelector) v1alpha1.WorkloadSpec {
		return v1alpha1.WorkloadSpec{Scheduling: v1alpha1.Scheduling{Affinity: &v1alpha1.Affinity{PodAntiAffinity: &v1alpha1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []v1alpha1.PodAffinityTerm{{LabelSelector: selector, TopologyKey: "zone"}},
		}}}}
	}
	cases := map[string][2]v1alpha1.WorkloadSpec{
		"no drain is not the default drain":          {{DrainSeconds: new(int32(0))}, {}},
		"a selector of every pod is not no selector": {term(&metav1.LabelSelector{}), term(nil)},
		"the order of arguments counts":              {{Args: []string{"a", "b"}}, {Args: []string{"b", "a"}}},
		"an argument is not two":                     {{Args: []string{"a b"}}, {Args: []string{"a", "b"}}},
		"a command is not arguments":                 {{Args: []string{"a"}}, {Command: []string{"a"}}},
		"a gigabyte is not a gibibyte": {
			{Resources: v1alpha1.Resources{Limits: corev1.ResourceList{"memory": resource.MustParse("1G")}}},
			{Resources: v1alpha1.Resources{Limits: corev1.ResourceList{"memory": resource.MustParse("1Gi")}}},
		},
	}
	for name, pair := range cases {
		t.Run(name, func(t *testing.T) {
			if a, b := RevisionOf(pair[0]), RevisionOf(pair[1]); a.Name == b.Name {
				t.Errorf("both are revision %s", a.Name)
			}
		})
	}
}

func TestEveryFieldIsPartOfTheRevision(t *testing.T) {
	full := v1alpha1.WorkloadSpec{}
	fill(reflect.ValueOf(&full).Elem())
	before := RevisionOf(full).Name
	leaves := 0
	forEachLeaf(reflect.ValueOf(&full).Elem(), "spec", func(path string, set func(reflect.Value), old, changed reflect.Value) {
		leaves++
		for what, value := range map[string]reflect.Value{"changing": changed, "clearing": reflect.Zero(old.Type())} {
			set(value)
			if RevisionOf(full).Name == before {
				t.Errorf("%s %s makes no new revision", what, path)
			}
		}
		set(old)
	})
	if RevisionOf(full).Name != before {
		t.Error("the test did not restore what it changed")
	}
	if leaves < 100 {
		t.Errorf("the test found only %d fields", leaves)
	}
}

// fill sets everything in v to something that is no default.
func fill(v reflect.Value) {
	if v.Type() == quantityType {
		v.Set(reflect.ValueOf(resource.MustParse("77")))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("something")
	case reflect.Bool:
		v.SetBool(true)
	default:
		v.SetInt(77)
	}
}

// forEachLeaf calls visit for each single value in v, with a way to set it and another value for it.
func forEachLeaf(v reflect.Value, path string, visit func(path string, set func(reflect.Value), old, changed reflect.Value)) {
	old := reflect.New(v.Type()).Elem()
	old.Set(v)
	leaf := func(changed any) {
		visit(path, v.Set, old, reflect.ValueOf(changed).Convert(v.Type()))
	}
	if v.Type() == quantityType {
		leaf(resource.MustParse("78"))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		forEachLeaf(v.Elem(), path, visit)
	case reflect.Struct:
		for i := range v.NumField() {
			forEachLeaf(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	case reflect.Slice:
		forEachLeaf(v.Index(0), path+"[0]", visit)
	case reflect.Map:
		key := v.MapKeys()[0]
		value := reflect.New(v.Type().Elem()).Elem()
		value.Set(v.MapIndex(key))
		forEachLeaf(value, path+"[key]", func(path string, _ func(reflect.Value), old, changed reflect.Value) {
			visit(path, func(value reflect.Value) { v.SetMapIndex(key, value) }, old, changed)
		})
	case reflect.String:
		leaf("something else")
	case reflect.Bool:
		leaf(false)
	default:
		leaf(78)
	}
}

func TestDefaultsOfTheCRDAreNotPartOfTheRevision(t *testing.T) {
	data, err := os.ReadFile("../../config/crd/bases/apps.gin-operator.dev_ginservices.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema struct {
						Properties map[string]schema
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	for name, gs := range services(t) {
		t.Run(name, func(t *testing.T) {
			defaulted := tree(t, mustMarshal(t, gs.Spec.WorkloadSpec))
			spec.fillIn(defaulted)
			var w v1alpha1.WorkloadSpec
			if err := json.Unmarshal(mustMarshal(t, defaulted), &w); err != nil {
				t.Fatal(err)
			}
			if name == "minimal" && (w.DrainSeconds == nil || w.Ports.HTTP == nil) {
				t.Fatal("the test found no defaults in the CRD")
			}
			if got, want := RevisionOf(w), RevisionOf(gs.Spec.WorkloadSpec); got.Name != want.Name {
				t.Errorf("a default of the CRD is missing in dropDefaults; -as written +with defaults:\n%s", cmp.Diff(want.Workload, got.Workload))
			}
		})
	}
}

// schema is as much of an OpenAPI schema as its defaults need.
type schema struct {
	Default    any
	Properties map[string]schema
	Items      *schema
}

// fillIn does what the API server does with the defaults of a schema.
func (s schema) fillIn(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, property := range s.Properties {
			if _, ok := value[name]; !ok && property.Default != nil {
				if object, ok := property.Default.(map[string]any); ok {
					value[name] = maps.Clone(object)
				} else {
					value[name] = property.Default
				}
			}
			property.fillIn(value[name])
		}
	case []any:
		for i := range value {
			s.Items.fillIn(value[i])
		}
	}
}

// revisionName is what a name looks like, and why: 10 characters, no vowels, no number.
var revisionName = regexp.MustCompile(`^[bcdfghjklmnpqrstvwxz][bcdfghjklmnpqrstvwxz2456789]{9}$`)

// longExponent is in amounts that Kubernetes' own types take minutes to write. TestAmountsWithoutBoundsDoNoHarm has those that can
// be read.
var longExponent = regexp.MustCompile(`[eE][-+]?\d{3}`)

func FuzzRevision(f *testing.F) {
	for _, gs := range services(f) {
		f.Add(mustMarshal(f, gs.Spec.WorkloadSpec))
	}
	for seed := range uint64(50) {
		f.Add(mustMarshal(f, randomWorkload(seed)))
	}
	f.Add([]byte(`{"resources":{"limits":{"memory":"99999999999999999999","cpu":"1n","x":"0.0000000001","y":"-5Ki","z":"12E"}}}`))
	f.Add([]byte(`{"resources":{"limits":{"memory":"1e99","x":"-1e30","y":"1e-30"},"requests":{"memory":"0e99","cpu":"10e99"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var w v1alpha1.WorkloadSpec
		if longExponent.Match(data) || json.Unmarshal(data, &w) != nil {
			return // Not a specification.
		}
		rev := RevisionOf(w)
		if !revisionName.MatchString(rev.Name) || len(validation.IsValidLabelValue(rev.Name)) > 0 {
			t.Errorf("%q is no name for a revision", rev.Name)
		}
		if again := RevisionOf(rev.Workload); again.Name != rev.Name {
			t.Errorf("the normal form of revision %s is revision %s", rev.Name, again.Name)
		}
		var readBack v1alpha1.WorkloadSpec
		if err := json.Unmarshal(mustMarshal(t, w), &readBack); err != nil {
			t.Fatal(err)
		}
		if again := RevisionOf(readBack); again.Name != rev.Name {
			t.Errorf("revision %s is %s when it is read back:\n%s", rev.Name, again.Name, cmp.Diff(w, readBack))
		}
		requireRecordable(t, rev)
	})
}
