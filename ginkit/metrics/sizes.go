package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// sizeBuckets are in bytes, from what a small answer has to what should have been a stream.
var sizeBuckets = [...]int64{256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216}

// maxSize is what a size adds to the sum at most, in bytes, 1 TiB. A client may announce any size, and a sum of such lies would be a float
// that true sizes are too small to change.
const maxSize = 1 << 40

// sizes counts sizes by bucket, the last for those above all boundaries. A histogram of the library takes any float, keeps its count and its
// sum at one moment, and costs several times as much; a request is counted in two of these.
type sizes struct {
	buckets [len(sizeBuckets) + 1]atomic.Uint64
	sum     total
}

// observe counts a size in bytes, which must not be negative.
func (s *sizes) observe(size int64) {
	bucket := 0
	for bucket < len(sizeBuckets) && size > sizeBuckets[bucket] {
		bucket++
	}
	s.buckets[bucket].Add(1)
	if size > 0 { // most requests have no body
		s.sum.add(float64(min(size, maxSize)))
	}
}

// sizesCollector is the histogram of all series.
type sizesCollector struct {
	description *prometheus.Desc
	table       *table
	of          func(*series) *sizes
}

func newSizesCollector(name, help string, labels []string, t *table, of func(*series) *sizes) *sizesCollector {
	return &sizesCollector{description: prometheus.NewDesc(name, help, labels, nil), table: t, of: of}
}

// Describe tells the registry the name and the labels.
func (c *sizesCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- c.description
}

// Collect gives a scrape what has been counted.
func (c *sizesCollector) Collect(found chan<- prometheus.Metric) {
	c.table.all(func(s *series) {
		counted := c.of(s)
		upTo := make(map[float64]uint64, len(sizeBuckets))
		var count uint64
		for i, boundary := range sizeBuckets {
			count += counted.buckets[i].Load()
			upTo[float64(boundary)] = count
		}
		count += counted.buckets[len(sizeBuckets)].Load()
		found <- prometheus.MustNewConstHistogramWithCreatedTimestamp(c.description, count, counted.sum.value(), upTo, s.began, s.labels...)
	})
}
