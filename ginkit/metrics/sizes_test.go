package metrics

import (
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestSizesAreAHistogramOfTheLibrary counts the same sizes in both, from many goroutines.
func TestSizesAreAHistogramOfTheLibrary(t *testing.T) {
	const name, help = "http_server_request_body_size_bytes", "Size of the body of requests that announce it, in bytes."
	boundaries := make([]float64, len(sizeBuckets))
	for i, boundary := range sizeBuckets {
		boundaries[i] = float64(boundary)
	}
	wanted := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: boundaries},
		[]string{"http_request_method", "http_route", "http_response_status_code"})
	m := New()
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
	library := prometheus.NewRegistry()
	library.MustRegister(wanted)
	if got, want := histogram(t, m.Registry(), name), histogram(t, library, name); got != want || got == "" {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// histogram returns what the first series of a family counted, in words.
func histogram(t *testing.T, registry *prometheus.Registry, name string) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			counted := family.GetMetric()[0].GetHistogram()
			if counted.GetCreatedTimestamp().AsTime().IsZero() {
				t.Error("nothing tells when it began")
			}
			counted.CreatedTimestamp = nil
			return counted.String()
		}
	}
	return ""
}
