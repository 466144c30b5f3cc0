package main

import (
	"math"
	"slices"
)

// median returns the middle of some figures, or 0 where there are none.
func median[T any](of []T, figure func(T) float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := figures(of, figure)
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile returns the smallest of some figures that at least a share of them does not exceed (the nearest rank), or 0 where there are
// none.
func percentile[T any](of []T, share float64, figure func(T) float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := figures(of, figure)
	rank := int(math.Ceil(share * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// figures returns a figure of each, sorted.
func figures[T any](of []T, figure func(T) float64) []float64 {
	sorted := make([]float64, 0, len(of))
	for _, one := range of {
		sorted = append(sorted, figure(one))
	}
	slices.Sort(sorted)
	return sorted
}

// rounded leaves so many places after the point: more than a figure is good for only looks exact.
func rounded(f float64, places int) float64 {
	scale := math.Pow10(places)
	return math.Round(f*scale) / scale
}
