package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
)

const page = "https://app.example.com"

func crossing(method string, headers map[string]string) *http.Request {
	request := httptest.NewRequest(method, "https://api.example.com/", http.NoBody)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	return request
}

func corsEngine(t testing.TB, options CORSOptions, before ...gin.HandlerFunc) *gin.Engine {
	t.Helper()
	engine := gin.New()
	engine.Use(before...)
	engine.Use(must(t)(CORS(options)))
	engine.Any("/", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	return engine
}

func TestCORS(t *testing.T) {
	listed := CORSOptions{Origins: []string{"http://localhost:3000", page}, Credentials: true}
	for name, tc := range map[string]struct {
		options CORSOptions
		request *http.Request
		status  int
		want    map[string]string
	}{
		"a request of a listed page": {listed, crossing("GET", map[string]string{"Origin": page}), 200, map[string]string{
			"Access-Control-Allow-Origin": page, "Access-Control-Allow-Credentials": "true",
			"Access-Control-Expose-Headers": "X-Request-Id,Retry-After", "Vary": "Accept,Origin",
		}},
		"a preflight of a listed page": {
			listed, crossing("OPTIONS", map[string]string{"Origin": page, "Access-Control-Request-Method": "PUT"}), 204,
			map[string]string{
				"Access-Control-Allow-Origin": page, "Access-Control-Allow-Credentials": "true", "Access-Control-Max-Age": "7200",
				"Access-Control-Allow-Methods": "GET,HEAD,POST,PUT,PATCH,DELETE", "Access-Control-Allow-Headers": "Authorization,Content-Type,X-Request-Id",
			},
		},
		"a request of another page":     {listed, crossing("GET", map[string]string{"Origin": "https://evil.example.com"}), 403, map[string]string{"Vary": "Accept,Origin"}},
		"a preflight of another page":   {listed, crossing("OPTIONS", map[string]string{"Origin": page + ".evil.com"}), 403, map[string]string{"Vary": "Accept,Origin"}},
		"the same host by another port": {listed, crossing("GET", map[string]string{"Origin": "https://api.example.com:8443"}), 403, map[string]string{"Vary": "Accept,Origin"}},
		"a page without an origin":      {listed, crossing("GET", map[string]string{"Origin": "null"}), 403, map[string]string{"Vary": "Accept,Origin"}},
		"a request of no page":          {listed, crossing("GET", nil), 200, map[string]string{"Vary": "Accept,Origin"}},
		"a request of an own page":      {listed, crossing("POST", map[string]string{"Origin": "https://api.example.com"}), 200, map[string]string{"Vary": "Accept,Origin"}},
		"an own page behind a proxy": {
			listed, crossing("POST", map[string]string{"Origin": "https://public.example.com", "Sec-Fetch-Site": "same-origin"}), 200,
			map[string]string{"Vary": "Accept,Origin"},
		},
		"everybody": {CORSOptions{Origins: []string{"*"}}, crossing("GET", map[string]string{"Origin": "https://any.example.com"}), 200, map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "X-Request-Id,Retry-After", "Vary": "Accept",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			others := func(c *gin.Context) { c.Header("Vary", "Accept") }
			corsEngine(t, tc.options, others).ServeHTTP(answer, tc.request)
			if answer.Code != tc.status {
				t.Errorf("status %d, want %d", answer.Code, tc.status)
			}
			got := map[string]string{}
			for header, values := range answer.Header() {
				if strings.HasPrefix(header, "Access-Control-") || (header == "Vary" && tc.status != 204) {
					got[header] = strings.Join(values, ",")
				}
			}
			if tc.status == 403 {
				// The error document adds its own, which is the same.
				got["Vary"] = strings.TrimSuffix(got["Vary"], ",Accept")
				if !strings.Contains(answer.Body.String(), `"origin_not_allowed"`) {
					t.Errorf("the answer is %q, want the code origin_not_allowed", answer.Body)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPreflightReachesNoHandler(t *testing.T) {
	reached := false
	engine := gin.New()
	engine.Use(must(t)(CORS(CORSOptions{Origins: []string{page}})), func(*gin.Context) { reached = true })
	engine.POST("/", func(*gin.Context) {})
	answer := httptest.NewRecorder()
	engine.ServeHTTP(answer, crossing("OPTIONS", map[string]string{"Origin": page, "Access-Control-Request-Method": "POST"}))
	if reached || answer.Code != http.StatusNoContent {
		t.Errorf("reached %t, status %d; want false and 204", reached, answer.Code)
	}
}

// TestPreflightsShareNothing fails under the race detector where answers share the slice of Vary.
func TestPreflightsShareNothing(t *testing.T) {
	late := func(c *gin.Context) {
		c.Next()
		c.Writer.Header().Add("Vary", "X-Late")
	}
	engine := corsEngine(t, CORSOptions{Origins: []string{page}}, late, must(t)(Gzip(GzipOptions{})))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 200 {
				answer := httptest.NewRecorder()
				engine.ServeHTTP(answer, crossing("OPTIONS", map[string]string{"Origin": page}))
				if answer.Code != http.StatusNoContent {
					t.Errorf("status %d, want 204", answer.Code)
				}
			}
		})
	}
	wait.Wait()
}
