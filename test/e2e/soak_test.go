//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/testbed"
)

var (
	soakPromotions = flag.Int("soak.promotions", 8, "how many promotions and rollbacks the soak goes through; 0 is as many as there is time for")
	soakFor        = flag.Duration("soak.for", 50*time.Minute, "how long it goes on at most: fewer promotions than asked for fail it")
	soakMaxRatio   = flag.Float64("soak.max-ratio", 0, "what the p99 latency in a switch may be of that before it, and then a way back may take 2 s; 0 judges no times")
)

const (
	soakRate = 1000
	soakPods = 3
	// soakStretch is how exactly latencies are told apart by when their requests were due.
	soakStretch = 250 * time.Millisecond
	// soakLongest bounds the load, whatever the flags say.
	soakLongest = 12 * time.Hour
	// soakWayBack is what a rollback to the warm colour may take until EndpointSlices show it alone, where times are judged.
	soakWayBack = 2 * time.Second
)

// turn is one of the ways in which traffic moves.
type turn struct {
	name    string
	cutover v1alpha1.Cutover
	back    bool // to the colour that is still warm
}

var turns = []turn{
	{"a promotion", v1alpha1.CutoverAtomic, false},
	{"a rollback", v1alpha1.CutoverAtomic, true},
	{"a promotion with an overlap", v1alpha1.CutoverOverlap, false},
	{"a rollback with an overlap", v1alpha1.CutoverOverlap, true},
}

var _ = Describe("soak", Label("soak"), func() {
	It("loses no request in promotions and rollbacks, with the operator killed now and then", func(ctx SpecContext) {
		gs := hello(newNamespace(ctx), withReplicas(soakPods), withScaleDownDelay(600), func(spec *v1alpha1.GinServiceSpec) { spec.DrainSeconds = new(int32(3)) })
		create(ctx, gs)
		seen := record(ctx, gs)
		began := time.Now()
		traffic := startLoad(ctx, gs, testbed.LoadOptions{
			Rate: soakRate, Duration: min(*soakFor+10*time.Minute, soakLongest), Series: soakStretch,
		})
		var switches []span
		var wayBack []time.Duration // of rollbacks without an overlap, by an operator that lived
		configs := []map[string]string{nil}
		for i := 0; (i < *soakPromotions || *soakPromotions == 0) && time.Since(began) < *soakFor; i++ {
			t := turns[i%len(turns)]
			spec := func(spec *v1alpha1.GinServiceSpec) {
				spec.Strategy.BlueGreen.Cutover, spec.Strategy.BlueGreen.OverlapSeconds = t.cutover, nil
				if t.cutover == v1alpha1.CutoverOverlap {
					spec.Strategy.BlueGreen.OverlapSeconds = new(int32(2))
				}
				if t.back {
					spec.Config = configs[len(configs)-2]
				} else {
					spec.Config = map[string]string{"PROMOTION": strconv.Itoa(i)}
				}
			}
			next := gs.Status.ActiveColor.Other()
			_, before := seen.since(0)
			var moment <-chan struct{}
			if killed := chance.IntN(3) == 0; killed {
				moment = countMoments(ctx, gs, 1+chance.IntN(4)) // a rollback has no more for sure
				By(fmt.Sprintf("%s to %s, with the operator killed", t.name, next))
			} else {
				By(fmt.Sprintf("%s to %s", t.name, next))
			}
			applied := time.Now()
			change(ctx, gs, spec)
			if moment != nil {
				Eventually(moment).WithContext(ctx).Should(BeClosed())
				kill(ctx)
			}
			configs = append(configs, gs.Spec.Config)
			sights := seen.awaitAlone(ctx, before, next)
			expectTakenOver(sights, next, soakPods)
			moved := spanOf(sights, next, applied)
			moved.what = t.name
			switches = append(switches, moved)
			if t.back && t.cutover == v1alpha1.CutoverAtomic && moment == nil {
				wayBack = append(wayBack, moved.to.Sub(applied))
			}
			awaitStep(ctx, gs, v1alpha1.StepDraining)
			Expect(gs.Status.ActiveColor).To(Equal(next))
			// The next seconds belong to no switch: they are what the one after is compared with.
			pause(ctx, 4*time.Second)
		}
		result := expectNoneFailed(ctx, traffic)
		before, during := latencies(result, switches)
		ratio := 0.0
		if len(before) > 0 && len(during) > 0 {
			ratio = p99(during) / p99(before)
		}
		// Standard output, for these are results to be read and not the trace of a failure.
		fmt.Printf("\nsoak: p99 before a switch %.1f ms, in it %.1f ms\n", p99(before)/1000, p99(during)/1000)
		reportSlowest(result, switches)
		if slices.Sort(wayBack); len(wayBack) > 0 {
			fmt.Printf("soak: back to the warm colour p50 %.3f s p99 %.3f s over %d rollbacks\n", quantile(wayBack, 0.5).Seconds(), quantile(wayBack, 0.99).Seconds(), len(wayBack))
		}
		fmt.Printf("soak: %d promotions, %d requests, %d failed, p99 ratio %.2f\n", len(switches), result.Requests, result.Failed, ratio)
		Expect(len(switches)).To(BeNumerically(">=", max(1, *soakPromotions)), "there was no time for all promotions: raise -soak.for")
		// Only who asks for it has times judged: over a few switches, other work on the machine decides on them.
		if *soakMaxRatio > 0 {
			for _, took := range wayBack {
				Expect(took).To(BeNumerically("<=", soakWayBack), "the way back to the warm colour")
			}
			Expect(ratio).To(And(BeNumerically(">", 0), BeNumerically("<=", *soakMaxRatio)), "p99 latency in a switch, as a ratio of that before it")
		}
	}, SpecTimeout(soakLongest))
})

// pause lets time pass in which nothing is asked for.
func pause(ctx context.Context, d time.Duration) {
	GinkgoHelper()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		Fail("interrupted")
	}
}

// span is when a switch was asked for, when traffic began to move, and when it had moved.
type span struct {
	what              string
	applied, from, to time.Time
}

// spanOf returns when the EndpointSlices of the active Service showed a colour first, and when they showed it alone.
func spanOf(sights []sight, color v1alpha1.Color, applied time.Time) span {
	GinkgoHelper()
	s := span{applied: applied}
	for _, sight := range sights {
		if sight.active[color] > 0 && s.from.IsZero() {
			s.from = sight.at
		}
		if sight.alone(color) {
			s.to = sight.at
			return s
		}
	}
	Fail("never alone: " + string(color))
	return s
}

// latencies returns how often each latency was seen, in microseconds, in the seconds before a switch was asked for, and while traffic moves and
// in the second after that, over all switches.
func latencies(result testbed.Result, switches []span) (before, during map[int]int) {
	before, during = map[int]int{}, map[int]int{}
	for _, stretch := range result.Series {
		begins := result.Start.Add(time.Duration(stretch.AtSeconds * float64(time.Second)))
		ends := begins.Add(soakStretch)
		for _, s := range switches {
			var into map[int]int
			switch {
			case begins.After(s.applied.Add(-4*time.Second)) && !ends.After(s.applied):
				into = before
			case ends.After(s.from) && begins.Before(s.to.Add(time.Second)):
				into = during
			default:
				continue
			}
			for _, latency := range stretch.Latencies {
				into[latency[0]] += latency[1]
			}
		}
	}
	return before, during
}

// reportSlowest prints the switches with the highest latency, for a high ratio may come from a single one of them.
func reportSlowest(result testbed.Result, switches []span) {
	took := make(map[span]float64, len(switches))
	for _, s := range switches {
		_, during := latencies(result, []span{s})
		took[s] = p99(during)
	}
	slowest := slices.SortedFunc(slices.Values(switches), func(a, b span) int { return cmp.Compare(took[b], took[a]) })
	for _, s := range slowest[:min(3, len(slowest))] {
		fmt.Printf("soak: among the slowest: p99 %.1f ms in %s, asked for at %s, traffic moved from %s to %s\n",
			took[s]/1000, s.what, s.applied.Format(time.TimeOnly), s.from.Format("15:04:05.000"), s.to.Format("15:04:05.000"))
	}
}

// p99 returns the 99th percentile of values that are counted.
func p99(counts map[int]int) float64 {
	total, seen := 0, 0
	for _, count := range counts {
		total += count
	}
	for _, value := range slices.Sorted(maps.Keys(counts)) {
		if seen += counts[value]; seen*100 >= total*99 {
			return float64(value)
		}
	}
	return 0
}
