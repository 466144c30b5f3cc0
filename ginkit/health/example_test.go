package health_test

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/health"
)

func Example() {
	ping := func(context.Context) error { return nil } // db.PingContext, for one
	h := health.New(slog.Default())
	if err := h.Add("db", ping, health.Timeout(500*time.Millisecond)); err != nil {
		panic(err)
	}
	if err := h.Add("cache", ping, health.Optional()); err != nil {
		panic(err)
	}
	engine := gin.New()
	engine.GET("/livez", health.Livez)
	engine.GET("/readyz", h.Readyz)
	engine.GET("/health", h.Health)
	_ = http.Server{Handler: h.CloseWhenDraining(engine), ReadHeaderTimeout: 10 * time.Second}
	// When the service is told to stop: h.Drain()

	// Output:
}
