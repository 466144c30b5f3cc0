package podmetrics

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/labels"
)

// FuzzDocument reads anything as a document. Where Prometheus' own parser understands it too, both agree on what it says.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		"", "x 1\n", "# TYPE x counter\nx{a=\"1\"} 2\nx{a=\"2\"} 3 17\n", "# TYPE x gauge\nx NaN\n", "# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_bucket{le=\"+Inf\"} 2\nx_sum 1\nx_count 2\n",
		"x{a=\"\\\\\\\"\\n\"} +Inf\n", "x{a=\"1\",} -0x1p-2\n", "# TYPE x counter\nx_total 1 # {t=\"y\"} 1\n# EOF\n", "x{\n", "x{a\n", "x{a=\n", "x{a=\"\n", "x{a=\"b\"\n", "#", "# TYPE", "# TYPE x",
		"x 1\nx 2\n", "\xff\n", "x\t{ a = \"b\" , c = \"d\" } 1 2\r\n", idle + durations("200", 1, 2, 3),
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	one := selector("a=1")
	f.Fuzz(func(t *testing.T, body []byte, openMetrics bool) {
		plain := newTrack(source{sample: "x", selector: labels.Everything()}, newRoom(100, 300))
		selected := newTrack(source{sample: "x", selector: one}, newRoom(100, 300))
		buckets := newTrack(source{sample: "x_bucket", group: byBound, selector: labels.Everything()}, newRoom(100, 300))
		watch := map[string]*watched{"x": {tracks: []*track{plain, selected}}, "x_bucket": {tracks: []*track{buckets}}, "y": {}, startName: {keep: true}}
		d := newDocument()
		var failed error
		for scrape := range 2 {
			for _, k := range []*track{plain, selected, buckets} {
				k.begin()
			}
			failed = d.read(bytes.NewReader(body), openMetrics, watch)
			if failed != nil {
				if problem, ok := errors.AsType[*Error](failed); !ok || problem.Reason != ReasonMalformed || len(problem.Message) > maxLine {
					t.Fatalf("error %v", failed)
				}
				break
			}
			for _, k := range []*track{plain, selected, buckets} {
				k.commit(time.Unix(int64(scrape), 0), 10, false, false, d.names)
			}
		}
		if len(d.names) > maxNames {
			t.Errorf("%d bytes of names", len(d.names))
		}
		for _, k := range []*track{plain, selected, buckets} {
			checkTrack(t, k)
		}
		if failed == nil && !openMetrics {
			compare(t, body, plain)
		}
	})
}

// checkTrack fails the test where too much is kept, or something counted although both scrapes said the same.
func checkTrack(t *testing.T, k *track) {
	t.Helper()
	if len(k.series) > 100 || len(k.newBounds) > maxBounds {
		t.Errorf("%d series and %d bounds", len(k.series), len(k.newBounds))
	}
	for i := range k.ring.len() {
		for slot := range k.totals {
			if total := k.ring.back(i).total(slot); math.IsNaN(total) || math.IsInf(total, 0) && k.kind != kindGauge || k.kind != kindGauge && total != 0 {
				t.Errorf("total %v", total)
			}
		}
	}
}

// compare fails the test where Prometheus' parser says something else of the metric.
func compare(t *testing.T, body []byte, k *track) {
	t.Helper()
	// Names in quotation marks are not read here, and the other parser joins what comes with and without them.
	if k.bad != nil || k.matched == 0 || bytes.Contains(body, []byte(`{"`)) || strings.Contains(string(bytes.ReplaceAll(body, []byte(" "), nil)), `{"`) {
		return
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil || families["x"] == nil {
		return
	}
	sum, size := 0.0, 0.0
	add := func(value float64) { sum, size = sum+value, size+math.Abs(value) }
	for _, metric := range families["x"].GetMetric() {
		switch families["x"].GetType() {
		case dto.MetricType_COUNTER:
			add(metric.GetCounter().GetValue())
		case dto.MetricType_GAUGE:
			add(metric.GetGauge().GetValue())
		case dto.MetricType_UNTYPED:
			add(metric.GetUntyped().GetValue())
		default:
			return
		}
	}
	own := 0.0
	for _, s := range k.series {
		if s.seen == k.scrape {
			own += s.next
		}
	}
	if math.Abs(own-sum) > 1e-9*size {
		t.Errorf("the sum of x is %v, and for Prometheus %v", own, sum)
	}
}
