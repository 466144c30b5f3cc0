package logs_test

import (
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/logs"
	"github.com/gin-operator/gin-operator/ginkit/requestid"
)

func Example() {
	var level slog.LevelVar // level.Set(slog.LevelDebug) works at any time
	log := logs.New(os.Stderr, &level)
	engine := gin.New()
	engine.Use(requestid.Middleware(), logs.Requests(log, logs.Problems, time.Second))
	engine.GET("/hello", func(c *gin.Context) {
		log.InfoContext(c.Request.Context(), "somebody says hello")
		c.String(http.StatusOK, "hello")
	})
	if err := engine.Run(":8080"); err != nil {
		log.Error("serving", "error", err)
	}
}
