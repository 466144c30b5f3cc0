package limits_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/limits"
)

func Example() {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.GET("/livez", func(c *gin.Context) { c.Status(http.StatusOK) })
	api := engine.Group("/api",
		limits.Must(limits.Rate(500, 100)),
		limits.Must(limits.RatePerKey(1, 2, limits.ByClientIP)),
		limits.Must(limits.Body(1<<20)),
		limits.Must(limits.Timeout(5*time.Second)),
		limits.Must(limits.Concurrency(64, limits.WithQueue(32, 100*time.Millisecond))))
	api.GET("/users", func(c *gin.Context) { c.JSON(http.StatusOK, []string{"ann", "bob"}) })

	for range 3 {
		answer := httptest.NewRecorder()
		engine.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/users", http.NoBody))
		fmt.Printf("%d %q\n", answer.Code, answer.Header().Get("Retry-After"))
	}
	// Output:
	// 200 ""
	// 200 ""
	// 429 "1"
}
