package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// keepEvery is the time from one look at the Secret and the APIServices to the next.
const keepEvery = 30 * time.Second

var (
	registered = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "gin_operator_metrics_adapter_registered",
		Help: "Whether custom.metrics.k8s.io is served by this adapter (1), or by somebody else or nobody (0), by version.",
	}, []string{"version"})
	certificateEnd = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gin_operator_metrics_adapter_certificate_end_timestamp_seconds",
		Help: "Time at which the certificate that is served ends, in seconds since 1970.",
	})
	keepFailures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gin_operator_metrics_adapter_keep_failures_total",
		Help: "Looks at the certificate and the registration that failed.",
	})
)

func labelsOfOurs() map[string]string {
	return map[string]string{v1alpha1.LabelName: "gin-operator", "app.kubernetes.io/component": "metrics-adapter"}
}

// credentialSource is where credentials come from: the Secret of all replicas, or files.
type credentialSource interface {
	// refresh makes them, or renews them where they are due.
	refresh(ctx context.Context) error
	// bundle returns the authorities that the API server is to trust.
	bundle() ([]byte, error)
}

// keeper keeps certificate and registration as they should be for as long as the process lives. Each replica has one, and they may all work at
// once: what they write is the same.
type keeper struct {
	credentials credentialSource
	// registration is nil where an administrator sees to that.
	registration *registration
	every        time.Duration
}

// Start goes on until the context ends. What fails is logged, and tried again.
func (k *keeper) Start(ctx context.Context) error {
	ticks := time.NewTicker(k.every)
	defer ticks.Stop()
	for {
		if err := k.keep(ctx); err != nil && ctx.Err() == nil {
			keepFailures.Inc()
			ctrl.LoggerFrom(ctx).Error(err, "Keeping certificate and registration")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
	}
}

// keep looks after both once.
func (k *keeper) keep(ctx context.Context) error {
	// A pass that hangs would be the last one.
	ctx, cancel := context.WithTimeout(ctx, k.every)
	defer cancel()
	// Where the Secret can't be read, what was read last is still good, and may be missing in an APIService.
	failed := k.credentials.refresh(ctx)
	if k.registration != nil {
		failed = errors.Join(failed, k.registration.refresh(ctx))
	}
	return failed
}
