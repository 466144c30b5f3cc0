//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// figuresJudge is off by default, because other work on the machine decides on times, too.
var figuresJudge = flag.Bool("figures.judge", false, "fail where traffic takes longer than a second to move, or the load is sent too slowly; figures are shown in any case")

var _ = Describe("figures", Label("figures"), func() {
	It("shows how soon traffic moves once the new pods are ready, in 50 promotions", func(ctx SpecContext) {
		// One pod alone is not ready for a moment when this machine is busy, and nobody can be reached then.
		const promotions, pods = 50, 2
		gs := hello(newNamespace(ctx), withReplicas(pods), withScaleDownDelay(0), func(spec *v1alpha1.GinServiceSpec) { spec.DrainSeconds = new(int32(1)) })
		create(ctx, gs)
		seen := record(ctx, gs)
		var took []time.Duration
		for i := range promotions {
			next := gs.Status.ActiveColor.Other()
			_, before := seen.since(0)
			change(ctx, gs, configured("PROMOTION", strconv.Itoa(i)))
			sights := seen.awaitAlone(ctx, before, next)
			expectTakenOver(sights, next, pods)
			took = append(took, switchTime(sights, next, pods))
			awaitReady(ctx, gs)
		}
		slices.Sort(took)
		p50, p99 := quantile(took, 0.5), quantile(took, 0.99)
		// Standard output, for it is a result to be read and not the trace of a failure.
		fmt.Printf("\ne2e: switch p50 %.3f s p99 %.3f s over %d promotions\n", p50.Seconds(), p99.Seconds(), promotions)
		if *figuresJudge {
			Expect(p99).To(BeNumerically("<=", time.Second))
		}
	}, SpecTimeout(10*time.Minute))
})

// switchTime returns the time from the first sight of all pods of a colour in the preview Service to the first of it alone in the active one.
func switchTime(seen []sight, color v1alpha1.Color, pods int) time.Duration {
	GinkgoHelper()
	var ready time.Time
	for _, s := range seen {
		if s.preview[color] >= pods && ready.IsZero() {
			ready = s.at
		}
		if s.alone(color) {
			Expect(ready).NotTo(BeZero(), "%s served without having been seen whole in the preview: %+v", color, seen)
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
