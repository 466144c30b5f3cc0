package metrics

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
)

// scrape returns the answer to a scrape over a connection of its own, and its status.
func scrape(t *testing.T, url string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// askWithoutReading asks for the metrics many times over one connection, and reads no answer until the test ends.
func askWithoutReading(t *testing.T, server *httptest.Server) {
	t.Helper()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	if err := connection.(*net.TCPConn).SetReadBuffer(1 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 50)); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// newLarge returns metrics whose text is so large that few answers fill what the kernel keeps of a connection, and nearly every one that is not
// read holds up its handler rather than the server after it.
func newLarge() *Metrics {
	m := New()
	m.Registry().MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "large", Help: strings.Repeat("x", 1<<20)}))
	return m
}

func TestAScraperThatReadsNothingHidesNothing(t *testing.T) {
	m := newLarge()
	engine := gin.New()
	engine.Use(m.Middleware())
	engine.GET("/", func(*gin.Context) {})
	var begun, ended atomic.Int64
	handler := m.handler(time.Hour)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun.Add(1)
		defer ended.Add(1)
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	for range scrapesAtOnce / 2 {
		askWithoutReading(t, server)
	}
	done, since := int64(-1), time.Now()
	eventually(t, "nobody reads the answers", func() bool {
		if now := ended.Load(); now != done {
			done, since = now, time.Now()
		}
		return begun.Load()-ended.Load() > 1 && time.Since(since) > 200*time.Millisecond
	})
	for want := 1; want <= 10; want++ {
		engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
		const series = `http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/"} `
		if status, text := scrape(t, server.URL); status != http.StatusOK || !strings.Contains(text, fmt.Sprintf("\n%s%d\n", series, want)) {
			t.Fatalf("status %d, and not %d requests in %d bytes", status, want, len(text))
		}
	}
}

func TestScrapersThatReadNothingAreCutOff(t *testing.T) {
	var cut atomic.Int64
	server := httptest.NewUnstartedServer(newLarge().handler(200 * time.Millisecond))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			cut.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	for range scrapesAtOnce {
		askWithoutReading(t, server)
	}
	eventually(t, "they are cut off", func() bool { return cut.Load() == scrapesAtOnce })
	if status, _ := scrape(t, server.URL); status != http.StatusOK {
		t.Errorf("status %d for the next", status)
	}
}
