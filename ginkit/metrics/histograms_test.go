package metrics

import (
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/trace"
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
			for _, boundary := range append(sizeBuckets[:], 1<<39) {
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
	for want, boundaries := range map[string][]float64{
		"WithBuckets: 0.5 s comes after 1 s": {0.1, 1, 0.5},
		"WithBuckets: 1 s comes after 1 s":   {1, 1},
		"WithBuckets: NaN is no number":      {0.1, math.NaN(), 0.05},
	} {
		t.Run(want, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, want) {
					t.Errorf("New says %q", text)
				}
			}()
			New(WithBuckets(boundaries...))
			t.Error("New takes them")
		})
	}
}

func TestNobodyElseChangesTheBoundaries(t *testing.T) {
	mine := []float64{0.1, math.Inf(1)}
	m := New(WithBuckets(mine...))
	mine[0] = 5
	m.series("/x", 0, 200).duration.observe(time.Second, m.boundaries)
	for range 2 {
		buckets := histogram(t, m.Registry(), "http_server_request_duration_seconds").GetBucket()
		if len(buckets) != 2 || buckets[0].GetUpperBound() != 0.1 || buckets[0].GetCumulativeCount() != 0 || buckets[1].GetCumulativeCount() != 1 {
			t.Errorf("buckets %v", buckets)
		}
		*buckets[0].UpperBound = 7
	}
}

// TestALieAboutASize has clients announce what nobody can send: a sum that became less would be a restart to whoever reads it.
func TestALieAboutASize(t *testing.T) {
	m := New()
	observed := m.series("/x", 0, 200)
	for range 10_000 {
		before := observed.request.sum.value()
		observed.request.observe(math.MaxInt64)
		if after := observed.request.sum.value(); after <= before {
			t.Fatalf("the sum is %v after %v", after, before)
		}
	}
	before := observed.request.sum.value()
	observed.request.observe(1024)
	if after := observed.request.sum.value(); after-before < 512 {
		t.Errorf("1024 bytes add %v", after-before)
	}
}

func TestARouteThatIsNoText(t *testing.T) {
	m := New()
	m.series("/caf\xe9", 0, 200).duration.observe(time.Second, m.boundaries)
	if got := histogram(t, m.Registry(), "http_server_request_duration_seconds").GetSampleCount(); got != 1 {
		t.Errorf("%d requests", got)
	}
}

func TestARegistryHasRoomForOne(t *testing.T) {
	registry := prometheus.NewRegistry()
	New(WithRegistry(registry))
	defer func() {
		if recover() == nil {
			t.Error("the registry takes the same metrics twice")
		}
	}()
	New(WithRegistry(registry))
}

// TestScrapesUnderLoad reads histograms while they are counted in: each scrape has to be whole, and none may have less than the one before.
func TestScrapesUnderLoad(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := New(WithRegistry(registry))
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	ctx := trace.ContextWithSpanContext(t.Context(), span)
	observed := m.series("/x", 0, 200)
	observed.observeDuration(ctx, time.Hour, time.Hour, m.boundaries) // an exemplar for the last bucket
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for took := time.Duration(1); ; took = took*3/2 + 1 {
				select {
				case <-stop:
					return
				default:
				}
				took %= time.Minute
				observed.observeDuration(ctx, took, 2*time.Hour+took, m.boundaries)
				observed.response.observe(int64(took))
			}
		})
	}
	before := uint64(0)
	for range 100 {
		before = checkWhole(t, histogram(t, registry, "http_server_request_duration_seconds"), before)
	}
	close(stop)
	group.Wait()
	if checkWhole(t, histogram(t, registry, "http_server_request_duration_seconds"), before) < 100 {
		t.Error("nothing was counted in between")
	}
	if problems, err := promlint.NewWithMetricFamilies(gather(t, registry)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// checkWhole checks what one scrape has of a histogram, and returns its count.
func checkWhole(t *testing.T, h *dto.Histogram, before uint64) uint64 {
	t.Helper()
	count, below := h.GetSampleCount(), uint64(0)
	for _, bucket := range h.GetBucket() {
		if bucket.GetCumulativeCount() < below || bucket.GetCumulativeCount() > count {
			t.Errorf("bucket %v has %d, the one before %d, all %d", bucket.GetUpperBound(), bucket.GetCumulativeCount(), below, count)
		}
		below = bucket.GetCumulativeCount()
	}
	last := h.GetBucket()[len(h.GetBucket())-1]
	if !math.IsInf(last.GetUpperBound(), 1) || last.GetExemplar() == nil || last.GetCumulativeCount() != count {
		t.Errorf("the last bucket is %v of %d", last, count)
	}
	native, now := int64(h.GetZeroCount()), int64(0)
	for _, delta := range h.GetPositiveDelta() {
		now += delta
		native += now
	}
	if uint64(native) != count || count < before {
		t.Errorf("%d in native buckets, %d counted, %d before", native, count, before)
	}
	return count
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

func gather(t *testing.T, registry *prometheus.Registry) []*dto.MetricFamily {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// histogram returns what the one series of a family counted, but for when it began and the last digits of the sum.
func histogram(t *testing.T, registry *prometheus.Registry, family string) *dto.Histogram {
	t.Helper()
	for _, found := range gather(t, registry) {
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
