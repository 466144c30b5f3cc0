package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

func TestMetricsAreSummedOverTheirLabels(t *testing.T) {
	text := strings.Join([]string{
		"# HELP workqueue_depth Current depth",
		`workqueue_depth{name="a",priority="0"} 2`,
		`workqueue_depth{name="a",priority="-100"} 3`,
		`workqueue_depth_total{name="a"} 70`,
		"plain 1.5e+01",
	}, "\n")
	got, err := sumMetrics(strings.NewReader(text), "workqueue_depth", "plain", "absent")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]float64{"workqueue_depth": 5, "plain": 15}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheFloorIsWhatTheOperatorMakes(t *testing.T) {
	blue, err := simulated.floorObjects("ns", serviceName(7), v1alpha1.Blue)
	if err != nil {
		t.Fatal(err)
	}
	green, err := simulated.floorObjects("ns", serviceName(7), v1alpha1.Green)
	if err != nil {
		t.Fatal(err)
	}
	if blue.deployment.Name == green.deployment.Name || blue.config.Name == green.config.Name || blue.history.Name == green.history.Name {
		t.Error("two versions would take each other's names")
	}
	for want, set := range map[string]*floorSet{simulated.before: blue, simulated.after: green} {
		if got := set.deployment.Spec.Template.Spec.Containers[0].Image; got != want {
			t.Errorf("%s runs %s, not %s", set.deployment.Name, got, want)
		}
	}
	if diff := cmp.Diff(blue.deployment.Spec.Selector.MatchLabels, blue.active.Spec.Selector); diff != "" {
		t.Errorf("the active Service doesn't select the Deployment's pods: %s", diff)
	}
	if blue.autoscaler.Spec.ScaleTargetRef.Name != blue.deployment.Name {
		t.Errorf("the autoscaler scales %s", blue.autoscaler.Spec.ScaleTargetRef.Name)
	}
	if len(blue.deployment.OwnerReferences) > 0 {
		t.Error("the garbage collector would remove the floor, whose owner doesn't exist")
	}
	if got := len(serviceName(0)); got != len(serviceName(9999)) {
		t.Error("names of services differ in length, so that requests can't be told apart by them")
	}
}

func TestATargetIsMissedAboveItsLimit(t *testing.T) {
	r := &result{N: 200}
	r.Create.Ratio, r.Create.FloorSeconds, r.Create.ChildrenPerService, r.Create.WritesPerService = 1.5, 10, 6, 9
	if failures := missed(targets(r), true); len(failures) > 0 {
		t.Errorf("a run within its limits missed %v", failures)
	}
	r.Create.WritesPerService = 9.5
	if failures := missed(targets(r), true); len(failures) != 1 || !strings.Contains(failures[0], "writes a creation") {
		t.Errorf("a write too many is reported as %v", failures)
	}
	if failures := missed(targets(r), false); len(failures) > 0 {
		t.Errorf("what depends on the machine failed a run that is not strict: %v", failures)
	}
	r.Restart.Writes = 1
	if failures := missed(targets(r), false); len(failures) != 1 || !strings.Contains(failures[0], "writes after a restart") {
		t.Errorf("a write after a restart is reported as %v", failures)
	}
}

func TestTheReportEndsInOneLineForScripts(t *testing.T) {
	var out bytes.Buffer
	r := &result{N: 3}
	r.Upgrade.SwitchP99Seconds, r.Create.WritesPerService = 1.25, 4
	met, err := report(&out, r, true)
	if err != nil || met {
		t.Errorf("writes without children were let pass (error %v)", err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	text, found := strings.CutPrefix(lines[len(lines)-1], "bench: ")
	if !found {
		t.Fatalf("the last line is %q", lines[len(lines)-1])
	}
	var got struct {
		N       int
		Create  struct{ WritesPerService float64 }
		Upgrade struct{ SwitchP99Seconds float64 }
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), clusterNote) {
		t.Error("limits that were made for this are excused")
	}
	if got.N != 3 || got.Create.WritesPerService != 4 || got.Upgrade.SwitchP99Seconds != 1.25 {
		t.Errorf("the line says %+v", got)
	}
}

func TestTheReportOfAClusterSaysWhatTheLimitsAreFor(t *testing.T) {
	var out bytes.Buffer
	if met, err := report(&out, &result{N: 3, cluster: true}, true); err != nil || !met {
		t.Errorf("met is %t, error %v", met, err)
	}
	if !strings.Contains(out.String(), clusterNote) {
		t.Error("limits that were made for another machine are not explained")
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	for name, args := range map[string][]string{
		"an argument":         {"200"},
		"no GinService":       {"-n", "0"},
		"nobody to make them": {"-workers", "0"},
		"a standstill":        {"-paced-rate", "0"},
		"a cluster by name":   {"-cluster", "kind"},
	} {
		t.Run(name, func(t *testing.T) {
			flags := flag.NewFlagSet("bench", flag.ContinueOnError)
			flags.SetOutput(io.Discard)
			if _, err := parseFlags(flags, args); err == nil {
				t.Errorf("%v was accepted", args)
			}
		})
	}
}

func TestAClusterGetsFewerServicesUnlessAskedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		args   []string
		n      int
		pacedN int
	}{
		"a control plane of its own": {n: ownN, pacedN: ownPacedN},
		"a cluster":                  {args: []string{"-cluster"}, n: clusterN, pacedN: clusterPacedN},
		"a cluster with room":        {args: []string{"-n", "200", "-cluster"}, n: 200, pacedN: clusterPacedN},
		"as many as the other way":   {args: []string{"-cluster", "-paced-n=40"}, n: clusterN, pacedN: 40},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parseFlags(flag.NewFlagSet("bench", flag.ContinueOnError), tc.args)
			if err != nil {
				t.Fatal(err)
			}
			if o.n != tc.n || o.pacedN != tc.pacedN || o.cluster != slices.Contains(tc.args, "-cluster") {
				t.Errorf("%v was read as %+v", tc.args, o)
			}
		})
	}
}

func TestAnErrorSaysWhyTheRunHadToEnd(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := because(ctx, io.EOF); err != io.EOF { //nolint:errorlint // nothing may be around it
		t.Errorf("in a run that goes on, an error became %v", err)
	}
	cancel(io.ErrClosedPipe)
	if got, want := because(ctx, context.Canceled).Error(), "io: read/write on closed pipe: context canceled"; got != want {
		t.Errorf("the error says %q, not %q", got, want)
	}
	if got, want := because(ctx, context.Cause(ctx)).Error(), "io: read/write on closed pipe"; got != want {
		t.Errorf("the error says %q, not %q", got, want)
	}
}

func TestALoadReachesEveryServiceOnce(t *testing.T) {
	seen := make(chan string, 100)
	began, err := load{n: 20, workers: 4, rate: 1000}.drive(t.Context(), func(_ context.Context, name string) error {
		seen <- name
		return nil
	})
	if err != nil || len(began) != 20 || len(seen) != 20 {
		t.Errorf("%d began, %d were reached, error %v", len(began), len(seen), err)
	}
	began, err = load{n: 20, workers: 1}.drive(t.Context(), func(context.Context, string) error { return io.ErrUnexpectedEOF })
	if err == nil || len(began) != 1 {
		t.Errorf("after an error, %d began, error %v", len(began), err)
	}
}
