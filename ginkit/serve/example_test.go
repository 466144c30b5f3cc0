package serve_test

import (
	"context"
	"database/sql"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/health"
	"github.com/gin-operator/gin-operator/ginkit/serve"
)

var db *sql.DB

// The main function of a service that serves one port. An error is exit status 1.
func Example() {
	h := health.New(nil)
	engine := gin.New()
	engine.GET("/readyz", h.Readyz)
	engine.GET("/hello", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	server := serve.Server{
		Ports:    []serve.Port{{Number: 8080, Setting: "PORT", Handler: engine}},
		Health:   h,
		Shutdown: 25 * time.Second,
		Drain:    5 * time.Second,
		Stops:    []serve.Stop{{Name: "database", Do: func(context.Context) error { return db.Close() }}},
	}
	serve.FollowMemoryLimit(context.Background(), nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	if err := server.Run(signals); err != nil {
		log.Fatal(err)
	}
}
