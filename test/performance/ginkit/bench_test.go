package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func self(f float64) float64 { return f }

func TestStatistics(t *testing.T) {
	for name, tc := range map[string]struct {
		of                    []float64
		wantMedian, wantP99   float64
		wantP50ByNearestPlace float64
	}{
		"nothing":          {},
		"one":              {of: []float64{3}, wantMedian: 3, wantP99: 3, wantP50ByNearestPlace: 3},
		"odd, not in turn": {of: []float64{9, 1, 5}, wantMedian: 5, wantP99: 9, wantP50ByNearestPlace: 5},
		"even":             {of: []float64{4, 1, 3, 2}, wantMedian: 2.5, wantP99: 4, wantP50ByNearestPlace: 2},
	} {
		t.Run(name, func(t *testing.T) {
			got := []float64{median(tc.of, self), percentile(tc.of, 0.99, self), percentile(tc.of, 0.5, self)}
			if diff := cmp.Diff([]float64{tc.wantMedian, tc.wantP99, tc.wantP50ByNearestPlace}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := rounded(math.Pi, 2); got != 3.14 {
		t.Errorf("π is rounded to %v", got)
	}
}

func TestParseLoad(t *testing.T) {
	for name, tc := range map[string]struct {
		out     string
		want    loaded
		wantErr string
	}{
		"all answered": {
			out:  "Running 4s test @ http://127.0.0.1:1/\nRequests/sec: 25000.00\nmeasured 100000 4000000 812 0 0 0 0 0\n",
			want: loaded{requests: 100000, took: 4 * time.Second, p99Micros: 812},
		},
		"no success":      {out: "\nmeasured 100000 4000000 812 0 0 0 0 7\n", wantErr: "7 were no success"},
		"too slow":        {out: "\nmeasured 100000 4000000 812 0 0 0 3 0\n", wantErr: "3 took 30s"},
		"broken":          {out: "\nmeasured 100000 4000000 812 0 2 0 0 0\n", wantErr: "2 not be read"},
		"none answered":   {out: "\nmeasured 0 4000000 0 0 0 0 0 0\n", wantErr: "of 0 requests"},
		"no report":       {out: "unable to connect to 127.0.0.1:1 Connection refused\n", wantErr: "Connection refused"},
		"half the report": {out: "\nmeasured 100000 4000000\n", wantErr: "wrk reports"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseLoad(tc.out)
			checkError(t, err, tc.wantErr)
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestParseFlags(t *testing.T) {
	for name, tc := range map[string]struct {
		args    string
		wantErr string
	}{
		"none":                 {},
		"all":                  {args: "-rounds 1 -duration 2s -only ready,image -check -bin elsewhere"},
		"an argument":          {args: "ready", wantErr: "unexpected argument"},
		"no rounds":            {args: "-rounds 0", wantErr: "at least 1"},
		"half a second":        {args: "-duration 1500ms", wantErr: "whole seconds"},
		"an unknown part":      {args: "-only cpu", wantErr: "the parts are metrics, throughput, ready, image"},
		"a flag with no value": {args: "-rounds", wantErr: "needs an argument"},
	} {
		t.Run(name, func(t *testing.T) {
			flags := flag.NewFlagSet("bench-ginkit", flag.ContinueOnError)
			flags.SetOutput(io.Discard)
			_, err := parseFlags(flags, strings.Fields(tc.args))
			checkError(t, err, tc.wantErr)
		})
	}
}

func TestResult(t *testing.T) {
	good := func() *result {
		return &result{
			Metrics: &metricsResult{Middlewares: map[string]middlewareResult{
				ours: {Ratio: 1, requestCost: requestCost{Nanos: mostMetricsNanos}}, "another": {Ratio: leastTimesOurs}, "a third": {Ratio: 9},
			}},
			Throughput: &throughputResult{Rounds: 7, Seconds: 4, Servers: map[string]serverResult{
				bareGin: {Ratio: 1, CPURatio: 1}, "sampleapp": {Ratio: leastRatio},
			}},
			Ready: &readyResult{Starts: starts, P99Millis: mostReadyMillis},
			Image: &imageResult{Image: mostImageBytes},
		}
	}
	for name, tc := range map[string]struct {
		change  func(*result)
		wantMet bool
	}{
		"just met":         {change: func(*result) {}, wantMet: true},
		"nothing measured": {change: func(r *result) { *r = result{} }, wantMet: true},
		"metrics too slow": {change: func(r *result) {
			r.Metrics.Middlewares[ours] = middlewareResult{Ratio: 1, requestCost: requestCost{Nanos: mostMetricsNanos + 1}}
		}},
		"metrics that allocate": {change: func(r *result) {
			r.Metrics.Middlewares[ours] = middlewareResult{Ratio: 1, requestCost: requestCost{Allocs: 1}}
		}},
		"metrics of nobody":  {change: func(r *result) { delete(r.Metrics.Middlewares, ours) }},
		"no others":          {change: func(r *result) { r.Metrics.Middlewares = map[string]middlewareResult{ours: {Ratio: 1}} }},
		"others as fast":     {change: func(r *result) { r.Metrics.Middlewares["another"] = middlewareResult{Ratio: 1.9} }},
		"too few requests":   {change: func(r *result) { r.Throughput.Servers["sampleapp"] = serverResult{Ratio: 0.84} }},
		"ready too late":     {change: func(r *result) { r.Ready.P99Millis++ }},
		"an image too large": {change: func(r *result) { r.Image.Image++ }},
	} {
		t.Run(name, func(t *testing.T) {
			r := good()
			tc.change(r)
			var out bytes.Buffer
			met, err := printResult(&out, r)
			if err != nil {
				t.Fatal(err)
			}
			if met != tc.wantMet {
				t.Errorf("met is %v: %s", met, out.String())
			}
			last := out.String()[strings.LastIndex(out.String(), "bench-ginkit: "):]
			var back result
			if err := json.Unmarshal([]byte(strings.TrimPrefix(last, "bench-ginkit: ")), &back); err != nil {
				t.Fatalf("the last line is no JSON: %v: %s", err, last)
			}
			if diff := cmp.Diff(r, &back, cmp.AllowUnexported(middlewareResult{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSummariseThroughput(t *testing.T) {
	// The second server is half as fast as bare Gin in every round, and the machine slows down all the time.
	turns := map[string][]turn{
		bareGin: {{rate: 400, p99Micros: 1, cpuMicros: 10}, {rate: 200, p99Micros: 2, cpuMicros: 20}, {rate: 100, p99Micros: 3, cpuMicros: 40}},
		"other": {{rate: 200, p99Micros: 4, cpuMicros: 40}, {rate: 100, p99Micros: 5, cpuMicros: 80}, {rate: 50, p99Micros: 6, cpuMicros: 160}},
	}
	want := &throughputResult{Rounds: 3, Seconds: 4, Servers: map[string]serverResult{
		bareGin: {RequestsPerSecond: 200, P99Micros: 2, CPUMicros: 20, Ratio: 1, CPURatio: 1},
		"other": {RequestsPerSecond: 100, P99Micros: 5, CPUMicros: 80, Ratio: 0.5, CPURatio: 0.25},
	}}
	if diff := cmp.Diff(want, summariseThroughput(turns, options{rounds: 3, duration: 4 * time.Second})); diff != "" {
		t.Error(diff)
	}
}

func TestCPUModel(t *testing.T) {
	if got := cpuModel("processor\t: 0\nmodel name\t: Some: CPU\nflags\t: fpu\n"); got != "Some: CPU" {
		t.Errorf("got %q", got)
	}
	if got := cpuModel("processor\t: 0\n"); got == "" {
		t.Error("a CPU without a name has no name")
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("unexpected error: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("the error is %v, and %q is wanted", err, want)
	}
}
