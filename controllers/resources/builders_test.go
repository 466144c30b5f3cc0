package resources

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// environmentOf is the environment of a pod with w: values, or "(from elsewhere)".
func environmentOf(t *testing.T, w v1alpha1.WorkloadSpec) map[string]string {
	t.Helper()
	gs := services(t)["minimal"]
	env := map[string]string{}
	for _, v := range render(t, gs, RevisionOf(w)).Spec.Template.Spec.Containers[0].Env {
		if _, twice := env[v.Name]; twice {
			t.Errorf("%s is set twice", v.Name)
		}
		env[v.Name] = v.Value
		if v.ValueFrom != nil {
			env[v.Name] = "(from elsewhere)"
		}
	}
	return env
}

func TestEnvironmentHasTheDefaultsUnlessTheUserSaysOtherwise(t *testing.T) {
	memory := func(limit string) v1alpha1.Resources {
		return v1alpha1.Resources{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)}}
	}
	const absent = "(absent)"
	cases := map[string]struct {
		workload v1alpha1.WorkloadSpec
		want     map[string]string
	}{
		"no memory limit, no GOMEMLIMIT": {
			v1alpha1.WorkloadSpec{},
			map[string]string{"GIN_MODE": "release", "GOMEMLIMIT": absent, "PORT": "8080", "METRICS_PORT": "8080", "GIN_SERVICE_SHUTDOWN_SECONDS": "25"},
		},
		"nine tenths of a limit": {
			v1alpha1.WorkloadSpec{Resources: memory("100Mi")},
			map[string]string{"GOMEMLIMIT": strconv.Itoa(90 << 20)},
		},
		"a limit that ten does not divide is never exceeded": {
			v1alpha1.WorkloadSpec{Resources: memory("128Mi")},
			map[string]string{"GOMEMLIMIT": "120795956"},
		},
		"the largest limit there is does not overflow": {
			v1alpha1.WorkloadSpec{Resources: memory("9223372036854775807")},
			map[string]string{"GOMEMLIMIT": "8301034833169298227"},
		},
		"a variable replaces a default": {
			v1alpha1.WorkloadSpec{
				Resources: memory("100Mi"),
				Env:       []v1alpha1.EnvVar{{Name: "GIN_MODE", Value: "test"}, {Name: "GOMEMLIMIT", Value: "off"}},
			},
			map[string]string{"GIN_MODE": "test", "GOMEMLIMIT": "off"},
		},
		"a variable from elsewhere replaces a default": {
			v1alpha1.WorkloadSpec{Env: []v1alpha1.EnvVar{{
				Name:      "GIN_MODE",
				ValueFrom: &v1alpha1.EnvVarSource{ConfigMapKeyRef: &v1alpha1.KeyReference{Name: "site", Key: "mode"}},
			}}},
			map[string]string{"GIN_MODE": "(from elsewhere)"},
		},
		"config replaces a default, which would hide it": {
			v1alpha1.WorkloadSpec{Config: map[string]string{"GIN_MODE": "debug", "GOMEMLIMIT": "1GiB"}, Resources: memory("100Mi")},
			map[string]string{"GIN_MODE": absent, "GOMEMLIMIT": absent},
		},
		"config as files is no environment": {
			v1alpha1.WorkloadSpec{Config: map[string]string{"GIN_MODE": "debug"}, ConfigMountPath: "/etc/hello"},
			map[string]string{"GIN_MODE": "release"},
		},
		"what the operator sets can't be replaced": {
			v1alpha1.WorkloadSpec{Env: []v1alpha1.EnvVar{{Name: "PORT", Value: "1"}, {Name: "GIN_SERVICE_COLOR", Value: "pink"}}},
			map[string]string{"PORT": "8080", "GIN_SERVICE_COLOR": "blue"},
		},
		"the metrics port follows the http port": {
			v1alpha1.WorkloadSpec{Ports: v1alpha1.Ports{HTTP: new(int32(9000))}},
			map[string]string{"PORT": "9000", "METRICS_PORT": "9000"},
		},
		"the time to stop is what the drain leaves": {
			v1alpha1.WorkloadSpec{TerminationGracePeriodSeconds: new(int32(40)), DrainSeconds: new(int32(10))},
			map[string]string{"GIN_SERVICE_SHUTDOWN_SECONDS": "30"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			env := environmentOf(t, tc.workload)
			got := map[string]string{}
			for name := range tc.want {
				value, ok := env[name]
				if !ok {
					value = absent
				}
				got[name] = value
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRequestsDefaultOnlyWhereNothingIsSaid(t *testing.T) {
	list := func(pairs ...string) corev1.ResourceList {
		l := corev1.ResourceList{}
		for pair := range slices.Chunk(pairs, 2) {
			l[corev1.ResourceName(pair[0])] = resource.MustParse(pair[1])
		}
		return l
	}
	cases := map[string]struct {
		resources v1alpha1.Resources
		want      corev1.ResourceList
	}{
		"nothing is said":              {v1alpha1.Resources{}, list("cpu", "100m", "memory", "64Mi")},
		"a CPU request stands":         {v1alpha1.Resources{Requests: list("cpu", "2")}, list("cpu", "2", "memory", "64Mi")},
		"a memory limit is a request":  {v1alpha1.Resources{Limits: list("memory", "32Mi")}, list("cpu", "100m")},
		"limits of both leave nothing": {v1alpha1.Resources{Limits: list("memory", "32Mi", "cpu", "50m")}, nil},
		"another resource changes nothing": {
			v1alpha1.Resources{Requests: list("example.com/gpu", "1"), Limits: list("example.com/gpu", "1")},
			list("cpu", "100m", "memory", "64Mi", "example.com/gpu", "1"),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rev := RevisionOf(v1alpha1.WorkloadSpec{Resources: tc.resources})
			got := render(t, services(t)["minimal"], rev).Spec.Template.Spec.Containers[0].Resources
			if diff := cmp.Diff(tc.want, got.Requests); diff != "" {
				t.Errorf("requests: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tc.resources.Limits, got.Limits); diff != "" {
				t.Errorf("limits: -want +got:\n%s", diff)
			}
		})
	}
}

func TestDisruptionBudgetIsThereWhereMoreThanOneReplicaIsWanted(t *testing.T) {
	autoscaling := func(minimum *int32) *v1alpha1.Autoscaling {
		return &v1alpha1.Autoscaling{MinReplicas: minimum, MaxReplicas: 10}
	}
	cases := map[string]struct {
		spec v1alpha1.GinServiceSpec
		want string
	}{
		"replicas that nobody has set":              {v1alpha1.GinServiceSpec{}, "none"},
		"scaled to zero":                            {v1alpha1.GinServiceSpec{Replicas: new(int32(0))}, "none"},
		"one replica":                               {v1alpha1.GinServiceSpec{Replicas: new(int32(1))}, "none"},
		"two replicas":                              {v1alpha1.GinServiceSpec{Replicas: new(int32(2))}, "maxUnavailable 1"},
		"autoscaled from one, at one":               {v1alpha1.GinServiceSpec{Replicas: new(int32(1)), Autoscaling: autoscaling(new(int32(1)))}, "none"},
		"autoscaled from one, at five":              {v1alpha1.GinServiceSpec{Replicas: new(int32(5)), Autoscaling: autoscaling(nil)}, "maxUnavailable 1"},
		"autoscaled from two, and not seeded yet":   {v1alpha1.GinServiceSpec{Autoscaling: autoscaling(new(int32(2)))}, "maxUnavailable 1"},
		"autoscaled from two, and still at one":     {v1alpha1.GinServiceSpec{Replicas: new(int32(1)), Autoscaling: autoscaling(new(int32(2)))}, "maxUnavailable 1"},
		"disabled":                                  {v1alpha1.GinServiceSpec{Replicas: new(int32(2)), DisruptionBudget: v1alpha1.DisruptionBudget{Mode: "Disabled"}}, "none"},
		"a percentage that must stay":               {v1alpha1.GinServiceSpec{Replicas: new(int32(2)), DisruptionBudget: v1alpha1.DisruptionBudget{MinAvailable: new(intstr.FromString("50%"))}}, "minAvailable 50%"},
		"a number that may go, zero being a number": {v1alpha1.GinServiceSpec{Replicas: new(int32(2)), DisruptionBudget: v1alpha1.DisruptionBudget{MaxUnavailable: new(intstr.FromInt32(0))}}, "maxUnavailable 0"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			gs := &v1alpha1.GinService{Spec: tc.spec}
			got := "none"
			if budget := PodDisruptionBudget(gs, v1alpha1.Green); budget != nil {
				switch {
				case budget.Spec.MinAvailable != nil && budget.Spec.MaxUnavailable != nil:
					got = "both"
				case budget.Spec.MinAvailable != nil:
					got = "minAvailable " + budget.Spec.MinAvailable.String()
				case budget.Spec.MaxUnavailable != nil:
					got = "maxUnavailable " + budget.Spec.MaxUnavailable.String()
				}
				if budget.Spec.Selector.MatchLabels[v1alpha1.LabelColor] != "green" {
					t.Errorf("the budget selects %v", budget.Spec.Selector.MatchLabels)
				}
			}
			if got != tc.want {
				t.Errorf("budget %s, want %s", got, tc.want)
			}
		})
	}
}

func TestSelectorsSelectOneColourOfOneGinService(t *testing.T) {
	gs := services(t)["minimal"]
	rev := RevisionOf(gs.Spec.WorkloadSpec)
	namesake := gs.DeepCopy()
	namesake.UID = "another"
	podsOf := func(gs *v1alpha1.GinService, color v1alpha1.Color) labels.Set {
		return Deployment(gs, color, rev, 1).Spec.Template.Labels
	}
	for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
		scale, err := labels.Parse(Selector(gs, color))
		if err != nil {
			t.Fatal(err)
		}
		selectors := map[string]labels.Selector{
			"/scale":          scale,
			"Deployment":      labels.SelectorFromSet(Deployment(gs, color, rev, 1).Spec.Selector.MatchLabels),
			"active Service":  labels.SelectorFromSet(ActiveService(gs, color, false, gs.Spec.Ports).Spec.Selector),
			"preview Service": labels.SelectorFromSet(PreviewService(gs, color, rev.Name).Spec.Selector),
		}
		for name, selector := range selectors {
			if !selector.Matches(podsOf(gs, color)) {
				t.Errorf("%s of %s does not select its pods", name, color)
			}
			if selector.Matches(podsOf(gs, color.Other())) {
				t.Errorf("%s of %s selects the pods of %s", name, color, color.Other())
			}
			if selector.Matches(podsOf(namesake, color)) {
				t.Errorf("%s of %s selects the pods of a namesake", name, color)
			}
		}
	}
	if labels.SelectorFromSet(PreviewService(gs, v1alpha1.Blue, "another").Spec.Selector).Matches(podsOf(gs, v1alpha1.Blue)) {
		t.Error("the preview Service selects another revision than it is for")
	}
}

func TestConfigSizeCountsBytesOfKeysAndValues(t *testing.T) {
	if got := ConfigSize(map[string]string{"key": "value", "ä": "ö"}); got != 3+5+2+2 {
		t.Errorf("size %d", got)
	}
	if got := ConfigSize(map[string]string{"a": strings.Repeat("x", MaxConfigSize)}); got <= MaxConfigSize {
		t.Errorf("size %d of a value that fits alone", got)
	}
}

// An amount that takes a minute to work out stops the operator. The deadline is a thousand times what the test takes.
func TestAmountsWithoutBoundsDoNoHarm(t *testing.T) {
	gs := services(t)["minimal"]
	for _, amount := range []string{"1e999999", "-1e999999", "1e999999999", "12345678901234567890e99999", "1e37"} {
		q := resource.MustParse(amount)
		gs.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: q}
		gs.Spec.Autoscaling = &v1alpha1.Autoscaling{Metrics: []v1alpha1.Metric{{Type: v1alpha1.MetricCPU, AverageValue: &q}}}
		began := time.Now()
		rev := RevisionOf(gs.Spec.WorkloadSpec)
		mustMarshal(t, Deployment(gs, v1alpha1.Blue, rev, 1))
		mustMarshal(t, HorizontalPodAutoscaler(gs))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %s", amount, took)
		}
		if again := RevisionOf(rev.Workload); again.Name != rev.Name {
			t.Errorf("the normal form of revision %s, with %s, is revision %s", rev.Name, amount, again.Name)
		}
	}
}

func TestQuantitiesHaveOneSpelling(t *testing.T) {
	cases := map[string][]string{
		"1":    {"1", "1.0", "1000m", "1e0", "1000000u"},
		"100m": {"0.1", "100m", "0.10", "100e-3"},
		"1Gi":  {"1Gi", "1024Mi", "1073741824"},
		"128M": {"128M", "125000Ki", "128e6", "0.128G"},
		"1k":   {"1k", "1e3", "1000"},
		"0":    {"0", "0m", "0Gi"},
		"-2":   {"-2", "-2000m"},
		"1536": {"1.5Ki", "1536"},
		"1n":   {"1n", "0.000000001"},
	}
	for _, tooLarge := range []string{"1e19", "1e30", "10E", "99999999999999999999"} {
		if q := canonicalQuantity(resource.MustParse(tooLarge)); q.String() != "9223372036854775807" {
			t.Errorf("%s is spelt %s", tooLarge, q.String())
		}
		if q := canonicalQuantity(resource.MustParse("-" + tooLarge)); q.String() != "-9223372036854775807" {
			t.Errorf("-%s is spelt %s", tooLarge, q.String())
		}
	}
	for want, spellings := range cases {
		for _, spelling := range spellings {
			q := canonicalQuantity(resource.MustParse(spelling))
			if q.String() != want {
				t.Errorf("%s is spelt %s, want %s", spelling, q.String(), want)
			}
			if q.Cmp(resource.MustParse(spelling)) != 0 {
				t.Errorf("%s became another amount, %s", spelling, q.String())
			}
		}
	}
}
