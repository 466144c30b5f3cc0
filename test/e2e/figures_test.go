//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

var _ = Describe("figures", Label("figures"), func() {
	It("moves the traffic within a second of the new pods being ready, in each of 50 promotions", func(ctx SpecContext) {
		const promotions = 50
		gs := hello(newNamespace(ctx), withReplicas(1), withScaleDownDelay(0), func(spec *v1alpha1.GinServiceSpec) { spec.DrainSeconds = new(int32(1)) })
		create(ctx, gs)
		seen := record(ctx, gs)
		var took []time.Duration
		for i := range promotions {
			next := gs.Status.ActiveColor.Other()
			_, before := seen.since(0)
			change(ctx, gs, configured("PROMOTION", strconv.Itoa(i)))
			sights := seen.awaitAlone(ctx, before, next)
			expectTakenOver(sights, next, 1)
			took = append(took, switchTime(sights, next))
			awaitReady(ctx, gs)
		}
		slices.Sort(took)
		p50, p99 := quantile(took, 0.5), quantile(took, 0.99)
		// Standard output, for it is a result to be read and not the trace of a failure.
		fmt.Printf("\ne2e: switch p50 %.3f s p99 %.3f s over %d promotions\n", p50.Seconds(), p99.Seconds(), promotions)
		Expect(p99).To(BeNumerically("<=", time.Second))
	}, SpecTimeout(10*time.Minute))
})

// switchTime returns the time from the first sight of a colour in the preview Service to the first of it alone in the active one.
func switchTime(seen []sight, color v1alpha1.Color) time.Duration {
	GinkgoHelper()
	var ready time.Time
	for _, s := range seen {
		if s.preview[color] > 0 && ready.IsZero() {
			ready = s.at
		}
		if s.alone(color) {
			Expect(ready).NotTo(BeZero(), "%s served without having been seen in the preview: %+v", color, seen)
			return s.at.Sub(ready)
		}
	}
	Fail("never alone: " + string(color))
	return 0
}

// quantile returns the smallest of sorted durations that at least a share of them doesn't exceed.
func quantile(sorted []time.Duration, share float64) time.Duration {
	for i := range sorted {
		if float64(i+1) >= share*float64(len(sorted)) {
			return sorted[i]
		}
	}
	return sorted[len(sorted)-1]
}
