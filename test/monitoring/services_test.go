package monitoring

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit"
	"github.com/gin-operator/gin-operator/ginkit/problem"
)

// startService starts a service with ginkit, as a pod of a colour runs it, and returns its address.
func startService(t *testing.T, color, revision, version string) string {
	t.Helper()
	kit, err := ginkit.New(ginkit.WithVersion(version), ginkit.WithLogs(io.Discard), ginkit.WithEnvironment([]string{
		"GIN_SERVICE_NAME=hello", "GIN_SERVICE_COLOR=" + color, "GIN_SERVICE_REVISION=" + revision, "POD_NAMESPACE=shop",
	}))
	if err != nil {
		t.Fatal(err)
	}
	kit.Engine.GET("/hello/:name", func(c *gin.Context) { c.String(http.StatusOK, "hello "+c.Param("name")) })
	kit.Engine.GET("/fail", func(c *gin.Context) {
		problem.Write(c, problem.New(http.StatusInternalServerError, "broken", "this version is broken"))
	})
	server := httptest.NewServer(kit.Engine)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// sendRequests asks for paths again and again, at an address, until the test ends.
func sendRequests(t *testing.T, address string, paths ...string) {
	t.Helper()
	var sender sync.WaitGroup
	sender.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-t.Context().Done():
				return
			case <-tick.C:
			}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+paths[i%len(paths)], http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				continue // the test has ended
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	})
	t.Cleanup(sender.Wait)
}

// serveFile serves a file at /metrics, in the text format of Prometheus, and returns its address.
func serveFile(t *testing.T, path string) string {
	t.Helper()
	content := read(t, path)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, content)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}
