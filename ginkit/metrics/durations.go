package metrics

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// nativeSchema has eight buckets for each doubling: each is a tenth wider than the one before, at most. It is what the documentation of
// Prometheus begins with, https://prometheus.io/docs/specs/native_histograms/.
const nativeSchema = 3

// nativeFirst and nativeLast are the buckets of the shortest and of the longest time.Duration: bucket i ends at 2^(i/8) seconds.
var nativeFirst, nativeLast = nativeBucket(1e-9), nativeBucket(time.Duration(math.MaxInt64).Seconds())

// nativeInUse is how many buckets a scrape gets; where more are in use, two become one until they are not.
const nativeInUse = 100

// nativeBounds are the upper ends of the buckets from 1/2 to below 1.
var nativeBounds = func() (bounds [1 << nativeSchema]float64) {
	for i := range bounds {
		bounds[i] = math.Exp2(float64(i)/float64(len(bounds)) - 1)
	}
	return bounds
}()

// exemplarAge is how long a native histogram has an exemplar: there it stands for what happens now, in a classic one for its bucket.
const exemplarAge = 5 * time.Minute

// total is a sum that only grows, as the bits of a float.
type total struct{ bits atomic.Uint64 }

func (t *total) add(more float64) {
	for {
		before := t.bits.Load()
		if t.bits.CompareAndSwap(before, math.Float64bits(math.Float64frombits(before)+more)) {
			return
		}
	}
}

func (t *total) value() float64 { return math.Float64frombits(t.bits.Load()) }

// durations is a histogram, classic and native. That of the library takes any float and keeps count and sum at one moment, for which it
// costs more than all the rest of the middleware. The shortest and the longest duration are known, and so are all buckets. What a scrape
// reads while requests are counted may be in its sum and not yet in its buckets, or the other way round, until the next.
type durations struct {
	// classic are the requests by bucket, the last for those above all boundaries.
	classic []atomic.Uint64
	// native are the requests by bucket, the first for nativeFirst.
	native []atomic.Uint64
	// none are the requests that took no time that the clock could tell.
	none atomic.Uint64
	// sum is in seconds: an integer of nanoseconds would be at its end after 292 years, which 10,000 long requests at a time have in eleven
	// days.
	sum       total
	exemplars []atomic.Pointer[dto.Exemplar]
}

func newDurations(boundaries []float64) durations {
	return durations{
		classic:   make([]atomic.Uint64, len(boundaries)+1),
		native:    make([]atomic.Uint64, nativeLast-nativeFirst+1),
		exemplars: make([]atomic.Pointer[dto.Exemplar], len(boundaries)+1),
	}
}

// nativeBucket returns the bucket of a positive number.
func nativeBucket(seconds float64) int {
	fraction, exponent := math.Frexp(seconds)
	bucket := 0
	for bucket < len(nativeBounds) && fraction > nativeBounds[bucket] {
		bucket++
	}
	return bucket + (exponent-1)*len(nativeBounds)
}

// observe counts a duration and returns its classic bucket and its seconds.
func (d *durations) observe(took time.Duration, boundaries []float64) (bucket int, seconds float64) {
	seconds = float64(took) / float64(time.Second)
	for bucket < len(boundaries) && seconds > boundaries[bucket] {
		bucket++
	}
	d.classic[bucket].Add(1)
	if took > 0 {
		d.native[nativeBucket(seconds)-nativeFirst].Add(1)
		d.sum.add(seconds)
	} else {
		d.none.Add(1)
	}
	return bucket, seconds
}

// setExemplar makes a trace the example of a bucket.
func (d *durations) setExemplar(bucket int, seconds float64, span trace.SpanContext) {
	d.exemplars[bucket].Store(&dto.Exemplar{
		Label: []*dto.LabelPair{
			{Name: new("span_id"), Value: new(span.SpanID().String())}, {Name: new("trace_id"), Value: new(span.TraceID().String())},
		},
		Value: &seconds, Timestamp: timestamppb.Now(),
	})
}

// durationsCollector is the histogram of all series.
type durationsCollector struct {
	description *prometheus.Desc
	table       *table
	boundaries  []float64
}

// newDurationsCollector panics where boundaries don't grow.
func newDurationsCollector(name, help string, labels []string, t *table, boundaries []float64) *durationsCollector {
	for i, boundary := range boundaries {
		switch {
		case math.IsNaN(boundary):
			panic("metrics.WithBuckets: NaN is no number of seconds")
		case i > 0 && boundary <= boundaries[i-1]:
			panic(fmt.Sprintf("metrics.WithBuckets: %v s comes after %v s: each boundary must be above the one before", boundary, boundaries[i-1]))
		}
	}
	return &durationsCollector{description: prometheus.NewDesc(name, help, labels, nil), table: t, boundaries: boundaries}
}

// Describe tells the registry the name and the labels.
func (c *durationsCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- c.description
}

// Collect gives a scrape what has been counted.
func (c *durationsCollector) Collect(found chan<- prometheus.Metric) {
	c.table.all(func(s *series) { found <- durationsMetric{c, s} })
}

// durationsMetric is one series of a durationsCollector.
type durationsMetric struct {
	*durationsCollector
	series *series
}

// Desc is that of the collector.
func (m durationsMetric) Desc() *prometheus.Desc { return m.description }

// Write adds the classic histogram and the exemplars to a native one of the library.
func (m durationsMetric) Write(out *dto.Metric) error {
	d := &m.series.duration
	count, none := uint64(0), d.none.Load()
	buckets, schema := map[int]int64{}, int32(nativeSchema)
	for i := range d.native {
		if requests := d.native[i].Load(); requests > 0 {
			buckets[nativeFirst+i] = int64(requests) //nolint:gosec // counted one by one
			count += requests
		}
	}
	count += none
	for len(buckets) > nativeInUse {
		buckets = halved(buckets)
		schema--
	}
	native, err := prometheus.NewConstNativeHistogram(m.description, count, d.sum.value(), buckets, nil, none, schema, prometheus.DefNativeHistogramZeroThreshold,
		m.series.began, m.series.labels...)
	if err != nil {
		return err
	}
	if err := native.Write(out); err != nil {
		return err
	}
	for i, below := 0, uint64(0); i < len(d.classic); i++ {
		below += d.classic[i].Load()
		exemplar := d.exemplars[i].Load()
		if exemplar != nil && time.Since(exemplar.GetTimestamp().AsTime()) < exemplarAge {
			out.Histogram.Exemplars = append(out.Histogram.Exemplars, exemplar)
		}
		switch {
		case i < len(m.boundaries): // what came in since count was taken waits for the next scrape
			out.Histogram.Bucket = append(out.Histogram.Bucket, &dto.Bucket{
				CumulativeCount: new(min(below, count)), UpperBound: new(m.boundaries[i]), Exemplar: exemplar,
			})
		case exemplar != nil: // the last bucket is there without being told, but for its exemplar
			out.Histogram.Bucket = append(out.Histogram.Bucket, &dto.Bucket{
				CumulativeCount: &count, UpperBound: new(math.Inf(1)), Exemplar: exemplar,
			})
		}
	}
	slices.SortFunc(out.Histogram.Exemplars, func(a, b *dto.Exemplar) int { return a.GetTimestamp().AsTime().Compare(b.GetTimestamp().AsTime()) })
	return nil
}

// halved makes buckets of twice the width.
func halved(buckets map[int]int64) map[int]int64 {
	wider := make(map[int]int64, len(buckets)/2)
	for bucket, requests := range buckets {
		wider[(bucket+1)>>1] += requests
	}
	return wider
}
