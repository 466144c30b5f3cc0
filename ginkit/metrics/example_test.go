package metrics_test

import (
	"log"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/metrics"
)

func Example() {
	m := metrics.New()
	engine := gin.New()
	engine.GET("/metrics", gin.WrapH(m.Handler())) // before Use: it is not measured
	engine.Use(m.Middleware())
	engine.GET("/users/:id", func(c *gin.Context) { c.String(http.StatusOK, "hello "+c.Param("id")) })
	if err := engine.Run(":8080"); err != nil {
		log.Fatal(err)
	}
}
