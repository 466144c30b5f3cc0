package main

import (
	"math"
	"time"
)

const (
	// subBits makes 2^subBits steps between a power of two and the next: a value is off by at most 1/2^subBits, 1.6 %.
	subBits = 6
	// topBits bounds the values at 2^topBits microseconds, 134 s; larger ones count as that.
	topBits = 27
	buckets = (topBits-subBits+1)<<subBits + 1
)

// histogram counts durations in steps that grow with them, in fixed memory (11 KiB).
type histogram struct {
	counts [buckets]int
	total  int
	max    time.Duration
}

// add counts one duration. A negative one counts as zero.
func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.total++
	h.max = max(h.max, d)
}

// bucketOf returns the bucket of a duration: its microseconds up to 2^subBits, and from there on its exponent and the subBits bits
// after the first.
func bucketOf(d time.Duration) int {
	us := int(max(d, 0) / time.Microsecond)
	if us >= 1<<topBits {
		return buckets - 1
	}
	shift := 0
	for us >= 1<<(subBits+1) {
		us >>= 1
		shift++
	}
	return shift<<subBits + us
}

// upperBound returns the largest duration, in whole microseconds, that falls into a bucket.
func upperBound(bucket int) time.Duration {
	us := bucket
	if bucket >= 1<<(subBits+1) {
		shift := bucket>>subBits - 1
		us = ((bucket&(1<<subBits-1)|1<<subBits)+1)<<shift - 1
	}
	return time.Duration(us) * time.Microsecond
}

// quantile returns the duration that a share q of all, from 0 to 1, did not exceed; 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	rank, seen := int(math.Ceil(q*float64(h.total))), 0
	for bucket, count := range &h.counts {
		seen += count
		if count > 0 && seen >= rank {
			if bucket == buckets-1 {
				return h.max
			}
			return min(upperBound(bucket), h.max)
		}
	}
	return 0
}

// filled returns the buckets that have any durations in them.
func (h *histogram) filled() (counts []latencyCount) {
	for bucket, count := range &h.counts {
		if count > 0 {
			counts = append(counts, latencyCount{int(min(upperBound(bucket), h.max) / time.Microsecond), count})
		}
	}
	return counts
}
