package podmetrics

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gin-operator/gin-operator/ginkit/metrics"
)

// exposed returns what a service on ginkit with ten routes exposes, each of which has answered with three statuses.
func exposed(b *testing.B) []byte {
	b.Helper()
	gin.SetMode(gin.ReleaseMode)
	m := metrics.New()
	engine := gin.New()
	engine.Use(m.Middleware())
	for route := range 10 {
		engine.GET("/api/v1/resource-"+strconv.Itoa(route)+"/:status", func(c *gin.Context) {
			status, _ := strconv.Atoi(c.Param("status"))
			c.Status(status)
		})
		for _, status := range []string{"200", "404", "500"} {
			target := "/api/v1/resource-" + strconv.Itoa(route) + "/" + status
			engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(b.Context(), http.MethodGet, target, http.NoBody))
		}
	}
	scrape := httptest.NewRecorder()
	m.Handler().ServeHTTP(scrape, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", http.NoBody))
	return scrape.Body.Bytes()
}

// wantedLines lets through what belongs to the families that an autoscaler and an analysis ask for: the least that a parser behind it can be
// given.
type wantedLines struct {
	lines *bufio.Reader
	rest  []byte
}

func (w *wantedLines) Read(p []byte) (int, error) {
	for len(w.rest) == 0 {
		line, err := w.lines.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		for _, family := range []string{durationName, activeName} {
			if bytes.HasPrefix(line, []byte(family)) || bytes.HasPrefix(line, []byte("# TYPE "+family)) {
				w.rest = line
			}
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// BenchmarkRead decides whether a reader of our own is worth its lines. It reads an answer for what an autoscaler and an analysis ask, and beside
// it as Prometheus' parser does: all of the answer, and no more of it than the families that are asked for. A thousand pods every five seconds
// in half a core leave 2.5 ms for a scrape with all of its network; docs/designs/0009-measuring-pods.md has the figures.
func BenchmarkRead(b *testing.B) {
	body := exposed(b)
	b.Run("podmetrics", func(b *testing.B) {
		sources := map[string]source{}
		for _, name := range []string{RequestsPerSecond, RequestsInFlight, RequestDurationP99, RequestSuccessRatio} {
			p := must(Query{Name: name}.plan())
			sources[p.key()] = p.source
		}
		t := &target{}
		t.set(podNumber(1).Pod, nil, sources, 10, newRoom(5000, 5000))
		d := newDocument()
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			for _, k := range t.tracks {
				k.begin()
			}
			if err := d.read(bytes.NewReader(body), false, t.watch); err != nil {
				b.Fatal(err)
			}
		}
	})
	expfmtReads := func(b *testing.B, reader func() io.Reader) {
		b.Helper()
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			parser := expfmt.NewTextParser(model.LegacyValidation)
			families, err := parser.TextToMetricFamilies(reader())
			if err != nil || families[durationName] == nil || families[activeName] == nil {
				b.Fatalf("%v: %d families", err, len(families))
			}
		}
	}
	b.Run("expfmt", func(b *testing.B) { expfmtReads(b, func() io.Reader { return bytes.NewReader(body) }) })
	b.Run("expfmt of what is asked for", func(b *testing.B) {
		lines := bufio.NewReaderSize(nil, maxLine)
		expfmtReads(b, func() io.Reader {
			lines.Reset(bytes.NewReader(body))
			return &wantedLines{lines: lines}
		})
	})
}
