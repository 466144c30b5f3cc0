package metrics

import (
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

var labelNames = []string{"http_request_method", "http_route", "http_response_status_code"}

// TestSizesAreAHistogramOfTheLibrary counts the same sizes in both, from many goroutines.
func TestSizesAreAHistogramOfTheLibrary(t *testing.T) {
	boundaries := make([]float64, len(sizeBuckets))
	for i, boundary := range sizeBuckets {
		boundaries[i] = float64(boundary)
	}
	m := New()
	wanted := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_server_request_body_size_bytes", Help: "x", Buckets: boundaries}, labelNames)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for _, boundary := range append(sizeBuckets[:], 1<<40) {
				for _, size := range []int64{0, 1, boundary - 1, boundary, boundary + 1} {
					m.series("/x", 0, 200).request.observe(size)
					wanted.WithLabelValues("GET", "/x", "200").Observe(float64(size))
				}
			}
		})
	}
	group.Wait()
	compare(t, m.Registry(), wanted, "http_server_request_body_size_bytes")
}

// TestDurationsAreAHistogramOfTheLibrary counts the same durations in both: few, so that all native buckets are told, and many, so that some
// become one.
func TestDurationsAreAHistogramOfTheLibrary(t *testing.T) {
	var some, all []time.Duration
	for _, boundary := range durationBuckets {
		at := time.Duration(boundary * float64(time.Second))
		some = append(some, at-1, at, at+1)
	}
	some = append(some, 0, 1, 2, math.MaxInt64-1, math.MaxInt64, time.Second>>1, time.Second>>9, 1<<20*time.Second)
	chance := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	for range 20_000 {
		all = append(all, time.Duration(chance.Int64()>>chance.IntN(63)))
	}
	for name, sample := range map[string][]time.Duration{"some": some, "all": all, "none": {0}} {
		t.Run(name, func(t *testing.T) {
			m := New()
			wanted := prometheus.NewHistogramVec(prometheus.HistogramOpts{
				Name: "http_server_request_duration_seconds", Help: "x", Buckets: durationBuckets,
				NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: nativeInUse,
			}, labelNames)
			var group sync.WaitGroup
			group.Go(func() {
				for _, took := range sample {
					wanted.WithLabelValues("GET", "/x", "200").Observe(took.Seconds())
				}
			})
			for i := range 4 {
				group.Go(func() {
					for j := i; j < len(sample); j += 4 {
						m.series("/x", 0, 200).duration.observe(sample[j], durationBuckets)
					}
				})
			}
			group.Wait()
			compare(t, m.Registry(), wanted, "http_server_request_duration_seconds")
		})
	}
}

func TestBoundariesMustGrow(t *testing.T) {
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, "WithBuckets: 0.5 s comes after 1 s") {
			t.Errorf("New says %q", text)
		}
	}()
	New(WithBuckets(0.1, 1, 0.5))
	t.Error("New takes them")
}

// compare compares the one series of a family with that of the library.
func compare(t *testing.T, got *prometheus.Registry, want prometheus.Collector, family string) {
	t.Helper()
	library := prometheus.NewRegistry()
	library.MustRegister(want)
	ours, theirs := histogram(t, got, family), histogram(t, library, family)
	if !proto.Equal(ours, theirs) {
		t.Errorf("got  %s\nwant %s", ours, theirs)
	}
}

// histogram returns what the one series of a family counted, but for when it began and the last digits of the sum.
func histogram(t *testing.T, registry *prometheus.Registry, family string) *dto.Histogram {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range families {
		if found.GetName() != family || len(found.GetMetric()) != 1 {
			continue
		}
		counted := found.GetMetric()[0].GetHistogram()
		if time.Since(counted.GetCreatedTimestamp().AsTime()) > time.Hour {
			t.Error("nothing tells when it began")
		}
		counted.CreatedTimestamp = nil
		counted.SampleSum = new(float64(float32(counted.GetSampleSum())))
		return counted
	}
	t.Fatalf("no series of %s", family)
	return nil
}
