package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestARunFindsWhatWasSent(t *testing.T) {
	reader, writer := io.Pipe()
	stop, hold := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serveEndpoints(t.Context(), 3, stop, writer) }()
	addresses, err := readAddresses(reader, 3)
	if err != nil {
		t.Fatal(err)
	}
	o := options{interval: 500 * time.Millisecond, duration: 4 * time.Second}
	r, err := measure(t.Context(), o, addresses)
	if err != nil {
		t.Fatal(err)
	}
	if r.DocumentBytes, err = documentSize(t.Context(), addresses[0]); err != nil {
		t.Fatal(err)
	}
	hold.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if r.Pods != 3 || r.Failures != 0 || r.Scrapes < 12 || r.Cores <= 0 || r.PeakRSSMiB <= 0 || r.DocumentBytes < 10_000 {
		t.Errorf("%+v", r)
	}
	// The pods get their requests by the second, which a window of a few seconds cuts anywhere.
	if r.RequestsPerSecond < 50 || r.RequestsPerSecond > 150 || math.Abs(r.SuccessRatio-0.95) > 0.01 {
		t.Errorf("%v requests a second, of which %v were fine; want about 100, and 0.95", r.RequestsPerSecond, r.SuccessRatio)
	}
}

func TestReport(t *testing.T) {
	good := result{Pods: 1000, IntervalSeconds: 5, Cores: 0.2, PeakRSSMiB: 80, AgeMaxSeconds: 5.1, RequestsPerSecond: 101, SuccessRatio: 0.95}
	for name, tc := range map[string]struct {
		change func(*result)
		met    bool
	}{
		"good":       {func(*result) {}, true},
		"CPU":        {func(r *result) { r.Cores = 0.6 }, false},
		"memory":     {func(r *result) { r.PeakRSSMiB = 151 }, false},
		"age":        {func(r *result) { r.AgeMaxSeconds = 6.1 }, false},
		"missing":    {func(r *result) { r.Missing = 1 }, false},
		"failures":   {func(r *result) { r.Failures = 1 }, false},
		"wrong":      {func(r *result) { r.RequestsPerSecond = 90 }, false},
		"wrong also": {func(r *result) { r.SuccessRatio = 1 }, false},
	} {
		r := good
		tc.change(&r)
		var out bytes.Buffer
		met, err := report(&out, &r)
		if err != nil || met != tc.met {
			t.Errorf("%s: met %t, %v, want %t\n%s", name, met, err, tc.met, out.String())
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		var again result
		text, found := strings.CutPrefix(lines[len(lines)-1], "bench-adapter: ")
		if err := json.Unmarshal([]byte(text), &again); !found || err != nil || again != r {
			t.Errorf("%s: the last line is %s", name, lines[len(lines)-1])
		}
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"-pods", "0"}, {"-pods", "20001"}, {"-interval", "0s"}, {"-duration", "-1s"}, {"x"}} {
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
