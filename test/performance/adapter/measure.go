package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/podmetrics"
)

// window is what values are taken over.
const window = 30 * time.Second

// result is what a run measured.
type result struct {
	Pods            int     `json:"pods"`
	IntervalSeconds float64 `json:"intervalSeconds"`
	Seconds         float64 `json:"seconds"`
	// DocumentBytes is the size of what each pod answers.
	DocumentBytes int `json:"documentBytes"`
	// Scrapes and Failures are those of the time that was measured.
	Scrapes  int `json:"scrapes"`
	Failures int `json:"failures"`
	// Cores is CPU time, of user and system, by time.
	Cores              float64 `json:"cores"`
	CPUMillisPerScrape float64 `json:"cpuMillisPerScrape"`
	// PeakRSSMiB is the most memory at any time from the start.
	PeakRSSMiB float64 `json:"peakRssMiB"`
	// Ages are of the newest samples, read once a second for every pod.
	AgeP50Seconds float64 `json:"ageP50Seconds"`
	AgeMaxSeconds float64 `json:"ageMaxSeconds"`
	// Missing is how many of those reads had no value.
	Missing int `json:"missing"`
	// RequestsPerSecond is what a pod gets by its metrics, in the mean, and SuccessRatio the share without errors.
	RequestsPerSecond float64 `json:"requestsPerSecond"`
	SuccessRatio      float64 `json:"successRatio"`
}

// queries are what autoscalers and analyses ask for.
var queries = []podmetrics.Query{
	{Name: podmetrics.RequestsPerSecond}, {Name: podmetrics.RequestsInFlight}, {Name: podmetrics.RequestDurationP99}, {Name: podmetrics.RequestSuccessRatio},
}

// withEndpoints starts the pods in a process of their own, and calls a function with their addresses. The process ends with it.
func withEndpoints(ctx context.Context, n int, do func([]netip.AddrPort) error) (err error) {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the program of the pods: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, "-endpoints", "-pods", fmt.Sprint(n))
	cmd.Stderr = os.Stderr
	// Ctrl-C is for the scraper's process, whose end is the other's.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return fmt.Errorf("starting the pods: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the pods: %w", err)
	}
	defer func() {
		if ended := errors.Join(in.Close(), cmd.Wait()); ended != nil && err == nil && ctx.Err() == nil {
			err = fmt.Errorf("the process of the pods: %w", ended)
		}
	}()
	addresses, err := readAddresses(out, n)
	if err != nil {
		return err
	}
	return do(addresses)
}

func readAddresses(r io.Reader, n int) ([]netip.AddrPort, error) {
	var addresses []netip.AddrPort
	for lines := bufio.NewScanner(r); len(addresses) < n; {
		if !lines.Scan() {
			return nil, errors.Join(fmt.Errorf("%d of %d pods have started", len(addresses), n), lines.Err())
		}
		address, err := netip.ParseAddrPort(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("reading the addresses of the pods: %w", err)
		}
		addresses = append(addresses, address)
	}
	return addresses, nil
}

// measure scrapes the pods, and measures once each has been scraped often enough.
func measure(ctx context.Context, o options, addresses []netip.AddrPort) (*result, error) {
	registry := prometheus.NewRegistry()
	scraper, err := podmetrics.New(podmetrics.Options{Interval: o.interval, AllowLoopback: true, Registerer: registry})
	if err != nil {
		return nil, err
	}
	defer scraper.Close()
	var uids []types.UID
	for i, address := range addresses {
		name := fmt.Sprintf("pod-%d", i)
		uids = append(uids, types.UID(name))
		err := scraper.Set(podmetrics.Target{
			Pod:     podmetrics.Pod{Namespace: "bench", Name: name, UID: types.UID(name), Service: "bench", Color: v1alpha1.Blue},
			Address: address, Queries: queries,
		})
		if err != nil {
			return nil, err
		}
	}
	if err := wait(ctx, 3*o.interval); err != nil {
		return nil, err
	}
	r := &result{Pods: len(addresses), IntervalSeconds: o.interval.Seconds()}
	before, err := usageNow(registry)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	var ages []time.Duration
	for time.Since(began) < o.duration {
		if err := wait(ctx, min(time.Second, o.interval)); err != nil {
			return nil, err
		}
		ages = append(ages, r.read(scraper, uids)...)
	}
	after, err := usageNow(registry)
	if err != nil {
		return nil, err
	}
	r.Seconds = time.Since(began).Seconds()
	r.Scrapes, r.Failures = after.scrapes-before.scrapes, after.failures-before.failures
	cpu := (after.cpu - before.cpu).Seconds()
	r.Cores, r.PeakRSSMiB = cpu/r.Seconds, after.peakMiB
	if r.Scrapes > 0 {
		r.CPUMillisPerScrape = 1000 * cpu / float64(r.Scrapes)
	}
	if len(ages) > 0 {
		slices.Sort(ages)
		r.AgeP50Seconds, r.AgeMaxSeconds = ages[len(ages)/2].Seconds(), ages[len(ages)-1].Seconds()
	}
	return r, nil
}

// read asks for a value of each pod, and for those of all together, and returns how old the newest samples are.
func (r *result) read(scraper *podmetrics.Scraper, uids []types.UID) []time.Duration {
	now := time.Now()
	var ages []time.Duration
	for _, uid := range uids {
		value, err := scraper.Read(uid, queries[0], window)
		if err != nil {
			r.Missing++
			continue
		}
		ages = append(ages, now.Sub(value.Time))
	}
	rate, _ := scraper.Sum(uids, queries[0], window) // what is missing was counted above
	ratio, _ := scraper.Sum(uids, queries[3], window)
	r.RequestsPerSecond, r.SuccessRatio = rate.Value/math.Max(1, float64(rate.Pods)), ratio.Value
	return ages
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// usage is what this process has used and done so far.
type usage struct {
	cpu               time.Duration
	peakMiB           float64
	scrapes, failures int
}

func usageNow(registry *prometheus.Registry) (usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, fmt.Errorf("reading what this process has used: %w", err)
	}
	u := usage{cpu: time.Duration(r.Utime.Nano() + r.Stime.Nano()), peakMiB: float64(r.Maxrss) / 1024}
	families, err := registry.Gather()
	if err != nil {
		return usage{}, fmt.Errorf("reading the scraper's own metrics: %w", err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			switch {
			case strings.HasSuffix(family.GetName(), "_scrape_duration_seconds"):
				u.scrapes += int(metric.GetHistogram().GetSampleCount())
			case strings.HasSuffix(family.GetName(), "_scrape_failures_total"):
				u.failures += int(metric.GetCounter().GetValue())
			}
		}
	}
	return u, nil
}
