package podmetrics

import (
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/ginkit/metrics"
)

// service is a service on ginkit, with its metrics where pods have them. One of its routes answers only when the client goes, and says when it
// has begun.
func service(t *testing.T, waiting chan<- struct{}) (address netip.AddrPort, registry *prometheus.Registry) {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	m := metrics.New()
	engine := gin.New()
	engine.GET("/metrics", gin.WrapH(m.Handler()))
	engine.Use(m.Middleware())
	engine.GET("/fine/:id", func(c *gin.Context) { c.String(http.StatusOK, "fine") })
	engine.GET("/slow", func(c *gin.Context) {
		<-time.After(60 * time.Millisecond)
		c.Status(http.StatusNoContent)
	})
	engine.POST("/broken", func(c *gin.Context) { c.Status(http.StatusBadGateway) })
	engine.GET("/wait", func(c *gin.Context) {
		close(waiting)
		<-c.Request.Context().Done()
	})
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections) // comes first: Close waits for /wait
	return netip.MustParseAddrPort(server.Listener.Addr().String()), m.Registry()
}

func request(t *testing.T, address netip.AddrPort, method, path string, times int) {
	t.Helper()
	for range times {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address.String()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
}

func scrapeOnce(t *testing.T, s *Scraper, target *target) {
	t.Helper()
	s.scrape(t.Context(), target, newDocument())
	if target.problem != nil {
		t.Fatal(target.problem)
	}
}

// What comes of real requests to a real service is what was sent, to the last request.
func TestGinkit(t *testing.T) {
	waiting := make(chan struct{})
	address, registry := service(t, waiting)
	own := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jobs_done_total", Help: "Jobs."}, []string{"queue"})
	length := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "queue_length", Help: "Jobs that wait."}, []string{"queue"})
	registry.MustRegister(own, length)
	own.WithLabelValues("mail").Add(1e6)
	length.WithLabelValues("mail").Set(3)
	length.WithLabelValues("sms").Set(4)

	// What is slow takes more than half an interval, which makes two samples far enough apart.
	s := start(t, nil, Options{Interval: time.Second})
	defer s.Close()
	queries := map[string]Query{}
	for _, name := range []string{RequestsPerSecond, RequestsInFlight, RequestSuccessRatio, RequestDurationP50, RequestDurationP99, "jobs_done_total", "queue_length", "go_goroutines"} {
		queries[name] = Query{Name: name}
	}
	queries["broken"] = Query{Name: RequestSuccessRatio, Selector: selector("http_request_method=POST")}
	queries["mail"] = Query{Name: "queue_length", Selector: selector("queue in (mail)")}
	// Scraped by hand, so that what is sent falls between two scrapes.
	target := &target{cancel: func() {}}
	sources := map[string]source{}
	for _, query := range queries {
		p := must(query.plan())
		sources[p.key()] = p.source
	}
	pod := podNumber(1).Pod
	target.set(pod, newRequest(address, "/metrics"), sources, 10, newRoom(5000, 5000))
	s.targets[pod.UID] = target
	scrape := func() { t.Helper(); scrapeOnce(t, s, target) }
	scrape()
	read := func(name string) (Value, error) { return s.Read(pod.UID, queries[name], time.Minute) }

	request(t, address, http.MethodGet, "/fine/1", 80)
	request(t, address, http.MethodGet, "/slow", 10)
	request(t, address, http.MethodPost, "/broken", 5)
	request(t, address, http.MethodGet, "/nowhere", 5)
	own.WithLabelValues("mail").Add(7)
	own.WithLabelValues("sms").Add(8)
	go func() {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address.String()+"/wait", http.NoBody)
		if response, err := http.DefaultClient.Do(r); err == nil {
			response.Body.Close()
		}
	}()
	<-waiting
	scrape()

	wantAfterTheRequests(t, read)
	// There was nothing in the first scrape that the selector matches, and with a selector that need not mean zero.
	_, err := read("broken")
	wantReason(t, err, ReasonTooFewSamples)
	request(t, address, http.MethodPost, "/broken", 2)
	request(t, address, http.MethodGet, "/slow", 10)
	scrape()
	if value, err := read("broken"); err != nil || value.Value != 0 || value.Count != 2 {
		t.Errorf("success of POST: %+v, %v, want none of 2", value, err)
	}
	if value, problems := s.Sum([]types.UID{pod.UID}, queries["go_goroutines"], time.Minute); value.Value < 1 || len(problems) > 0 {
		t.Errorf("go_goroutines: %+v, %v", value, problems)
	}
}

// wantAfterTheRequests checks the values after what TestGinkit sends.
func wantAfterTheRequests(t *testing.T, read func(name string) (Value, error)) {
	t.Helper()
	for name, want := range map[string]Value{
		RequestSuccessRatio: {Value: 0.95, Count: 100}, RequestsInFlight: {Value: 1}, "queue_length": {Value: 7}, "mail": {Value: 3},
		RequestsPerSecond: {Count: 100}, "jobs_done_total": {Count: 15},
	} {
		value, err := read(name)
		if value.Window != 0 && want.Value == 0 {
			want.Value = want.Count / value.Window.Seconds()
		}
		if err != nil || math.Abs(value.Value-want.Value) > 1e-9 || value.Count != want.Count {
			t.Errorf("%s: %+v, %v, want %+v", name, value, err, want)
		}
	}
	// A tenth takes 60 ms, so that the 99th percentile is in the bucket from 50 to 75 ms or, on a machine that is busy, above.
	for name, bounds := range map[string][2]float64{RequestDurationP50: {0, 0.05}, RequestDurationP99: {0.05, math.Inf(1)}} {
		if value, err := read(name); err != nil || value.Value <= bounds[0] || value.Value > bounds[1] || value.Count != 100 {
			t.Errorf("%s: %+v, %v, want more than %v and at most %v, of 100", name, value, err, bounds[0], bounds[1])
		}
	}
}
