package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"

	"github.com/gin-operator/gin-operator/podmetrics"
)

// askEvery is the time from one question about a GinService to the next. Ten autoscalers at their default pace ask every 1.5 s.
const askEvery = 200 * time.Millisecond

// measure asks for the GinServices in turn, as their autoscalers would.
func measure(ctx context.Context, o options, a *adapter, services []asked) (*result, error) {
	r := &result{Services: len(services), IntervalSeconds: o.interval.Seconds()}
	for _, service := range services {
		r.Pods += service.pods
	}
	before, err := a.usage(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	var answers, shortest, ages []time.Duration
	ticks := time.NewTicker(askEvery)
	defer ticks.Stop()
	for i := 0; time.Since(began) < o.duration; i++ {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-ticks.C:
		}
		service := services[i%len(services)]
		took, err := r.askRate(ctx, a, service)
		if err != nil {
			return nil, err
		}
		answers = append(answers, took)
		if took, err = askLeast(ctx, a); err != nil {
			return nil, err
		}
		shortest = append(shortest, took)
		aged, err := r.askTime(ctx, a, service)
		if err != nil {
			return nil, err
		}
		ages = append(ages, aged...)
	}
	after, err := a.usage(ctx)
	if err != nil {
		return nil, err
	}
	r.Seconds = time.Since(began).Seconds()
	r.Scrapes, r.Failures = after.scrapes-before.scrapes, after.failures-before.failures
	cpu := after.CPUSeconds - before.CPUSeconds
	r.Cores, r.PeakRSSMiB = cpu/r.Seconds, after.PeakMiB
	if r.Scrapes > 0 {
		r.CPUMillisPerScrape = 1000 * cpu / float64(r.Scrapes)
	}
	r.Answers = len(answers)
	r.AnswerP50Millis, r.AnswerP99Millis = 1000*percentile(answers, 0.5), 1000*percentile(answers, 0.99)
	r.LeastP99Millis = 1000 * percentile(shortest, 0.99)
	r.AgeP50Seconds, r.AgeMaxSeconds = percentile(ages, 0.5), percentile(ages, 1)
	return r, nil
}

// askRate asks for the requests that the pods of a GinService get, and returns how long it took until all of the answer was there.
func (r *result) askRate(ctx context.Context, a *adapter, service asked) (time.Duration, error) {
	list, took, err := r.ask(ctx, a, service, podmetrics.RequestsPerSecond)
	if err != nil {
		return took, err
	}
	for i := range list.Items {
		off := math.Abs(list.Items[i].Value.AsApproximateFloat64()/requestsPerSecond - 1)
		r.RateErrorPercent = max(r.RateErrorPercent, 100*off)
	}
	return took, nil
}

// askLeast asks whether the adapter lives, and returns how long that took: what any answer takes on this machine, at this time.
func askLeast(ctx context.Context, a *adapter) (time.Duration, error) {
	began := time.Now()
	if _, err := a.get(ctx, a.autoscaler, "/livez"); err != nil {
		return 0, fmt.Errorf("asking whether the adapter lives: %w", err)
	}
	return time.Since(began), nil
}

// askTime asks for the time that the pods of a GinService had when they were scraped, and returns how long ago that is. The timestamps of an answer
// tell it in whole seconds only.
func (r *result) askTime(ctx context.Context, a *adapter, service asked) ([]time.Duration, error) {
	list, _, err := r.ask(ctx, a, service, clockName)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var ages []time.Duration
	for i := range list.Items {
		ages = append(ages, now.Sub(time.UnixMilli(list.Items[i].Value.MilliValue())))
	}
	return ages, nil
}

// ask asks for a metric of the pods of a GinService with the request of an autoscaler, and counts those that are missing in the answer.
func (r *result) ask(ctx context.Context, a *adapter, service asked, metric string) (*v1beta2.MetricValueList, time.Duration, error) {
	path := fmt.Sprintf("/apis/%s/namespaces/%s/pods/*/%s?labelSelector=%s", v1beta2.SchemeGroupVersion, namespace, metric, url.QueryEscape(service.selector))
	began := time.Now()
	body, err := a.get(ctx, a.autoscaler, path)
	took := time.Since(began)
	list := &v1beta2.MetricValueList{}
	switch {
	case apierrors.IsNotFound(err):
		// As it says where no pod has a value.
	case err != nil:
		return nil, took, fmt.Errorf("asking for %s of %s: %w", metric, service.selector, err)
	default:
		if err := json.Unmarshal(body, list); err != nil {
			return nil, took, fmt.Errorf("reading the answer to %s: %w", path, err)
		}
	}
	r.Missing += service.pods - len(list.Items)
	return list, took, nil
}

// percentile returns the smallest of some durations that at least a share of them does not exceed, in seconds, or 0 where there are none.
func percentile(durations []time.Duration, share float64) float64 {
	if len(durations) == 0 {
		return 0
	}
	slices.Sort(durations)
	return durations[max(int(math.Ceil(share*float64(len(durations)))), 1)-1].Seconds()
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
