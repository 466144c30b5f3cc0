package main

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreCloseToTheTruth(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same numbers each time
	var h histogram
	var all []time.Duration
	for range 100_000 {
		// From microseconds to a minute, with as many small as large ones.
		d := time.Duration(1) << (10 + random.IntN(25))
		d += time.Duration(random.Int64N(int64(d)))
		all = append(all, d)
		h.add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
		truth, got := all[int(q*float64(len(all)-1))], h.quantile(q)
		// A microsecond for rounding, and one step of the histogram.
		if slack := truth/(1<<subBits) + 2*time.Microsecond; got < truth-slack || got > truth+slack {
			t.Errorf("quantile %v is %s, in truth %s", q, got, truth)
		}
	}
}

func TestEveryDurationFallsBelowItsBucketsBound(t *testing.T) {
	previous := -1
	for us := int64(0); us < 1<<topBits; us += 1 + us/1000 {
		d := time.Duration(us) * time.Microsecond
		bucket := bucketOf(d)
		if bucket < previous || bucket >= buckets {
			t.Fatalf("bucket of %s is %d after %d", d, bucket, previous)
		}
		previous = bucket
		bound := upperBound(bucket)
		if bound < d || bucketOf(bound) != bucket || bucketOf(bound+time.Microsecond) != bucket+1 {
			t.Fatalf("%s is in bucket %d, whose bound is %s", d, bucket, bound)
		}
	}
}

func TestHistogramOfExtremes(t *testing.T) {
	var h histogram
	if got := h.quantile(0.99); got != 0 {
		t.Errorf("quantile of nothing is %s", got)
	}
	h.add(-time.Second)
	if got := h.quantile(1); got != 0 {
		t.Errorf("a negative duration counts as %s, want 0", got)
	}
	h.add(time.Hour)
	if got := h.quantile(1); got != time.Hour {
		t.Errorf("the largest of all is %s, want 1h", got)
	}
}
