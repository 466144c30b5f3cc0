package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// load is how a phase is driven: all services as fast as so many workers can, or, with a rate, so many services in a second.
type load struct {
	n       int
	workers int
	rate    float64
}

// drive does something to each service and returns when it began with each. The first error ends it.
func (l load) drive(ctx context.Context, do func(ctx context.Context, name string) error) (map[string]time.Time, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan string)
	began := make(map[string]time.Time, l.n)
	var mutex sync.Mutex
	var workers sync.WaitGroup
	for range l.workers {
		workers.Go(func() {
			for name := range queue {
				if ctx.Err() != nil {
					continue
				}
				now := time.Now()
				mutex.Lock()
				began[name] = now
				mutex.Unlock()
				if err := do(ctx, name); err != nil {
					cancel(fmt.Errorf("%s: %w", name, err))
				}
			}
		})
	}
	l.feed(ctx, queue)
	workers.Wait()
	return began, context.Cause(ctx)
}

func (l load) feed(ctx context.Context, queue chan<- string) {
	defer close(queue)
	var tick <-chan time.Time
	if l.rate > 0 {
		ticker := time.NewTicker(time.Duration(float64(time.Second) / l.rate))
		defer ticker.Stop()
		tick = ticker.C
	}
	for i := range l.n {
		select {
		case <-ctx.Done():
			return
		case queue <- serviceName(i):
		}
		if tick == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
	}
}

// createSample creates the GinService of a name.
func (p *plane) createSample(namespace string) func(context.Context, string) error {
	return func(ctx context.Context, name string) error {
		if err := p.user.Create(ctx, p.workload.sample(namespace, name)); err != nil {
			return fmt.Errorf("creating the GinService: %w", err)
		}
		return nil
	}
}

// upgradeSample changes its image.
func (p *plane) upgradeSample(namespace string) func(context.Context, string) error {
	return func(ctx context.Context, name string) error {
		gs := &v1alpha1.GinService{}
		gs.Namespace, gs.Name = namespace, name
		patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"image":%q}}`, p.workload.after))
		if err := p.user.Patch(ctx, gs, patch); err != nil {
			return fmt.Errorf("changing the image: %w", err)
		}
		return nil
	}
}
