package health_test

import (
	"database/sql"
	"log"
	"log/slog"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/health"
)

var (
	db    *sql.DB
	cache *sql.DB
)

func Example() {
	h := health.New(slog.Default())
	if err := h.Add("db", db.PingContext, health.Timeout(500*time.Millisecond)); err != nil {
		log.Fatal(err)
	}
	if err := h.Add("cache", cache.PingContext, health.Optional()); err != nil {
		log.Fatal(err)
	}
	engine := gin.New()
	engine.GET("/livez", health.Livez)
	engine.GET("/readyz", h.Readyz)
	engine.GET("/health", h.Health)
	if err := engine.Run(":8080"); err != nil {
		log.Fatal(err)
	}
}
