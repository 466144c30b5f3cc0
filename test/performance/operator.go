package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-operator/gin-operator/test/performance/process"
)

const (
	metricPasses  = "controller_runtime_reconcile_total"
	metricQueue   = "workqueue_depth"
	metricWorking = "controller_runtime_active_workers"
)

// operator is the operator's process.
type operator struct {
	*process.Process

	metrics string
}

func startOperator(ctx context.Context, p *plane, program, kubeconfig string) (*operator, error) {
	address, err := process.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	started, err := process.Start("operator", p.dir, []string{"KUBECONFIG=" + kubeconfig}, p.failed, program,
		"--leader-elect=false", "--metrics-secure=false", "--metrics-bind-address="+address, "--health-probe-bind-address=0")
	if err != nil {
		return nil, err
	}
	return &operator{Process: started, metrics: "http://" + address + "/metrics"}, nil
}

// usage is what the operator has used since it began.
type usage struct {
	process.Usage

	// passes is how often it looked at a GinService.
	passes float64
}

func (o *operator) usage(ctx context.Context) (usage, error) {
	var used usage
	var err error
	if used.Usage, err = o.Usage(); err != nil {
		return used, err
	}
	metrics, err := o.scrape(ctx, metricPasses)
	used.passes = metrics[metricPasses]
	return used, err
}

// waitIdle waits until the operator has looked at so many GinServices since it began, and has nothing left to do.
func (o *operator) waitIdle(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, fmt.Errorf("it had %s", waitTimeout))
	defer cancel()
	err := poll(ctx, func() (bool, error) {
		metrics, err := o.scrape(ctx, metricPasses, metricQueue, metricWorking)
		if err != nil {
			return false, nil //nolint:nilerr // it does not listen yet; its end would end ctx
		}
		return metrics[metricPasses] >= float64(n) && metrics[metricQueue]+metrics[metricWorking] == 0, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the operator to have looked at %d GinServices: %w", n, err)
	}
	return nil
}

// scrape returns the sums of metrics over their labels.
func (o *operator) scrape(ctx context.Context, names ...string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.metrics, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading %s: %s", o.metrics, resp.Status)
	}
	return sumMetrics(resp.Body, names...)
}

// sumMetrics adds up samples in Prometheus' text format.
func sumMetrics(text io.Reader, names ...string) (map[string]float64, error) {
	sums := map[string]float64{}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		for _, name := range names {
			labels, ours := strings.CutPrefix(lines.Text(), name)
			if !ours || (!strings.HasPrefix(labels, "{") && !strings.HasPrefix(labels, " ")) {
				continue
			}
			value, err := strconv.ParseFloat(labels[strings.LastIndexByte(labels, ' ')+1:], 64)
			if err != nil {
				return nil, fmt.Errorf("reading metric %s: %w", name, err)
			}
			sums[name] += value
		}
	}
	return sums, lines.Err()
}
