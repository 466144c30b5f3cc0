package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's program be the process of the pods, as the benchmark's is.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-endpoints") {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestARunFindsWhatWasSent(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	o := options{
		pods: 20, interval: time.Second, duration: 3 * time.Second, dir: t.TempDir(), adapter: filepath.Join(t.TempDir(), "metrics-adapter"),
		manifest: filepath.Join(root, "config", "components", "metrics-adapter", "deployment.yaml"),
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-X main.allowLoopback=yes", "-o", o.adapter, "./cmd/metrics-adapter")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the adapter: %v\n%s", err, text)
	}
	var out bytes.Buffer
	if _, err := run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	r := lastLine(t, out.String())
	if r.Pods != 20 || r.Services != 1 || r.Failures != 0 || r.Missing != 0 || r.Scrapes < 40 || r.Answers < 3 || r.DocumentBytes < 10_000 {
		t.Errorf("%+v", r)
	}
	if r.Cores <= 0 || r.PeakRSSMiB < 10 || r.AnswerP50Millis <= 0 || r.AnswerP99Millis < r.AnswerP50Millis || r.LeastP99Millis <= 0 {
		t.Errorf("%+v", r)
	}
	// A machine that is busy with other tests is late, but not by half of the time that it is about.
	if r.AgeP50Seconds <= 0 || r.AgeMaxSeconds > 3 || r.RateErrorPercent > 50 {
		t.Errorf("%+v", r)
	}
}

// lastLine returns the result at the end of a report.
func lastLine(t *testing.T, out string) result {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	text, found := strings.CutPrefix(lines[len(lines)-1], "bench-adapter: ")
	var r result
	if err := json.Unmarshal([]byte(text), &r); !found || err != nil {
		t.Fatalf("%v: the last line is %s", err, lines[len(lines)-1])
	}
	return r
}

func TestReport(t *testing.T) {
	good := result{Pods: 1000, IntervalSeconds: 5, Cores: 0.2, PeakRSSMiB: 80, AnswerP99Millis: 5, AgeMaxSeconds: 5.1, RateErrorPercent: 2}
	for name, tc := range map[string]struct {
		change func(*result)
		met    bool
	}{
		"good":                 {func(*result) {}, true},
		"CPU":                  {func(r *result) { r.Cores = 0.6 }, false},
		"CPU, of fewer pods":   {func(r *result) { r.Pods, r.Cores = 20, 0.3 }, true},
		"CPU, of more scrapes": {func(r *result) { r.IntervalSeconds, r.AgeMaxSeconds, r.Cores = 1, 1.1, 2.4 }, true},
		"memory":               {func(r *result) { r.PeakRSSMiB = 151 }, false},
		"memory, of more pods": {func(r *result) { r.Pods, r.PeakRSSMiB = 2000, 250 }, true},
		"a slow answer":        {func(r *result) { r.AnswerP99Millis = 21 }, false},
		"age":                  {func(r *result) { r.AgeMaxSeconds = 6.1 }, false},
		"missing":              {func(r *result) { r.Missing = 1 }, false},
		"failures":             {func(r *result) { r.Failures = 1 }, false},
		"wrong":                {func(r *result) { r.RateErrorPercent = 6 }, false},
	} {
		r := good
		tc.change(&r)
		var out bytes.Buffer
		met, err := report(&out, &r)
		if err != nil || met != tc.met {
			t.Errorf("%s: met %t, %v, want %t\n%s", name, met, err, tc.met, out.String())
		}
		if again := lastLine(t, out.String()); again != r {
			t.Errorf("%s: the last line has %+v", name, again)
		}
	}
}

func TestSettingsAreThoseOfTheDeployment(t *testing.T) {
	manifest := filepath.Join(t.TempDir(), "deployment.yaml")
	text := `apiVersion: apps/v1
kind: Deployment
metadata: {name: adapter, namespace: system}
spec:
  selector: {}
  template:
    spec:
      containers:
      - name: a
        args: [--plain, --namespace=$(NS)]
        env:
        - {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
        - {name: GOMEMLIMIT, value: 1GiB}
`
	if err := os.WriteFile(manifest, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args, env, err := settings(manifest)
	if want := []string{"--plain", "--namespace=system"}; err != nil || !slices.Equal(args, want) {
		t.Errorf("%q, %v, want %q", args, err, want)
	}
	if want := []string{"NS=system", "NAME=adapter", "GOMEMLIMIT=1GiB"}; !slices.Equal(env, want) {
		t.Errorf("%q, want %q", env, want)
	}
	if _, _, err := settings(manifest + "x"); err == nil {
		t.Error("settings of a file that isn't there")
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"-pods", "0"}, {"-pods", "20001"}, {"-interval", "999ms"}, {"-interval", "16s"}, {"-duration", "-1s"}, {"x"}} {
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		if _, err := parseFlags(flags, args); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

func TestPodsThatDoNotStart(t *testing.T) {
	if _, err := readAddresses(strings.NewReader("127.0.0.1:80\n"), 2); err == nil || !strings.Contains(err.Error(), "1 of 2 pods have started") {
		t.Errorf("error %v", err)
	}
	if addresses, err := readAddresses(strings.NewReader("127.0.0.1:80\n127.0.0.2:81\n"), 2); err != nil || addresses[1] != netip.MustParseAddrPort("127.0.0.2:81") {
		t.Errorf("%v, %v", addresses, err)
	}
}
