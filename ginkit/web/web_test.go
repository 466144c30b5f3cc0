package web

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// must returns the handler of a constructor that can't fail here.
func must(t testing.TB) func(gin.HandlerFunc, error) gin.HandlerFunc {
	t.Helper()
	return func(handler gin.HandlerFunc, err error) gin.HandlerFunc {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return handler
	}
}

func TestConstructorsRefuse(t *testing.T) {
	for name, tc := range map[string]struct {
		make func() (gin.HandlerFunc, error)
		want string
	}{
		"gzip, no size":       {func() (gin.HandlerFunc, error) { return Gzip(GzipOptions{MinSize: -1}) }, "MinSize is -1"},
		"gzip, huge size":     {func() (gin.HandlerFunc, error) { return Gzip(GzipOptions{MinSize: 1 << 30}) }, "MinSize"},
		"gzip, level":         {func() (gin.HandlerFunc, error) { return Gzip(GzipOptions{Level: 10}) }, "Level is 10"},
		"cors, no origins":    {func() (gin.HandlerFunc, error) { return CORS(CORSOptions{}) }, "Origins is empty"},
		"cors, all and one":   {corsOf(CORSOptions{Origins: []string{"*", "https://a.example.com"}}), `"*" and others`},
		"cors, cookies":       {corsOf(CORSOptions{Origins: []string{"*"}, Credentials: true}), "Credentials is true"},
		"cors, all headers":   {corsOf(CORSOptions{Origins: []string{"https://a.com"}, Headers: []string{"*"}, Credentials: true}), `Headers has "*"`},
		"cors, a slash":       {corsOf(CORSOptions{Origins: []string{"https://a.com/"}}), "more than a scheme"},
		"cors, a user":        {corsOf(CORSOptions{Origins: []string{"https://u@a.com"}}), "more than a scheme"},
		"cors, a query":       {corsOf(CORSOptions{Origins: []string{"https://a.com?x"}}), "more than a scheme"},
		"cors, a pattern":     {corsOf(CORSOptions{Origins: []string{"https://*.a.com"}}), "pattern"},
		"cors, an expression": {corsOf(CORSOptions{Origins: []string{"/https://.+/"}}), "is not http://"},
		"cors, null":          {corsOf(CORSOptions{Origins: []string{"null"}}), "is not http://"},
		"cors, nothing":       {corsOf(CORSOptions{Origins: []string{""}}), "is not http://"},
		"cors, only a host":   {corsOf(CORSOptions{Origins: []string{"a.com"}}), "is not http://"},
		"cors, file":          {corsOf(CORSOptions{Origins: []string{"file:///a"}}), "is not http://"},
		"cors, capitals":      {corsOf(CORSOptions{Origins: []string{"https://A.com"}}), "capital"},
		"cors, default port":  {corsOf(CORSOptions{Origins: []string{"https://a.com:443"}}), "port"},
		"cors, methods":       {corsOf(CORSOptions{Origins: []string{"*"}, Methods: []string{"GET, POST"}}), "Methods"},
		"cors, headers":       {corsOf(CORSOptions{Origins: []string{"*"}, Headers: []string{"A\r\nB"}}), "Headers"},
		"cors, age":           {corsOf(CORSOptions{Origins: []string{"*"}, MaxAge: -time.Second}), "MaxAge"},
		"security, frames":    {func() (gin.HandlerFunc, error) { return SecurityHeaders(SecurityOptions{FrameOptions: "ALLOW"}) }, "FrameOptions"},
		"security, referrer":  {func() (gin.HandlerFunc, error) { return SecurityHeaders(SecurityOptions{ReferrerPolicy: "none"}) }, "ReferrerPolicy"},
		"security, two lines": {func() (gin.HandlerFunc, error) {
			return SecurityHeaders(SecurityOptions{ContentSecurityPolicy: "a\nb"})
		}, "ContentSecurityPolicy"},
		"security, HSTS":      {func() (gin.HandlerFunc, error) { return SecurityHeaders(SecurityOptions{HSTS: time.Millisecond}) }, "HSTS"},
		"security, subdomain": {func() (gin.HandlerFunc, error) { return SecurityHeaders(SecurityOptions{HSTSSubdomains: true}) }, "HSTSSubdomains"},
	} {
		t.Run(name, func(t *testing.T) {
			handler, err := tc.make()
			if err == nil || handler != nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is %v, want one that says %q", err, tc.want)
			}
		})
	}
}

func corsOf(options CORSOptions) func() (gin.HandlerFunc, error) {
	return func() (gin.HandlerFunc, error) { return CORS(options) }
}

func TestSecurityHeaders(t *testing.T) {
	for name, tc := range map[string]struct {
		options SecurityOptions
		want    map[string]string
	}{
		"the defaults": {SecurityOptions{}, map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Strict-Transport-Security": "",
		}},
		"all of it": {SecurityOptions{
			ContentSecurityPolicy: "default-src 'self'", FrameOptions: "SAMEORIGIN", ReferrerPolicy: "same-origin", HSTS: time.Hour, HSTSSubdomains: true,
		}, map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "same-origin",
			"Content-Security-Policy": "default-src 'self'", "Strict-Transport-Security": "max-age=3600; includeSubdomains",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			engine := gin.New()
			engine.Use(must(t)(SecurityHeaders(tc.options)))
			engine.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
			for _, path := range []string{"/", "/no-such-path"} {
				answer := httptest.NewRecorder()
				engine.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, http.NoBody))
				got := map[string]string{}
				for header := range tc.want {
					got[header] = answer.Header().Get(header)
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", path, diff)
				}
			}
		})
	}
}

func TestAHandlerMaySetASecurityHeaderOfItsOwn(t *testing.T) {
	engine := gin.New()
	engine.Use(must(t)(SecurityHeaders(SecurityOptions{})))
	engine.GET("/page", func(c *gin.Context) { c.Header("Content-Security-Policy", "default-src 'self'") })
	engine.GET("/data", func(c *gin.Context) { c.Status(http.StatusOK) })
	for path, want := range map[string]string{"/page": "default-src 'self'", "/data": "default-src 'none'; frame-ancestors 'none'"} {
		answer := httptest.NewRecorder()
		engine.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		if got := answer.Header().Get("Content-Security-Policy"); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
