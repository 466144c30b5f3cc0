package tracing_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/tracing"
)

func Example() {
	t, err := tracing.New(tracing.Options{Service: "shop", Version: "v3"})
	if err != nil {
		fmt.Println(err)
		return
	}
	engine := gin.New()
	if trace := t.Middleware(); trace != nil {
		engine.Use(trace)
	} else {
		engine.Use(tracing.Propagate())
	}
	client := &http.Client{Transport: t.Transport(nil), Timeout: 5 * time.Second}
	engine.GET("/stock/:id", func(c *gin.Context) {
		// The request's context, never c itself.
		call, _ := http.NewRequestWithContext(c.Request.Context(), http.MethodGet, "http://stock/items/"+c.Param("id"), http.NoBody)
		if answer, err := client.Do(call); err == nil {
			defer answer.Body.Close()
			c.Status(answer.StatusCode)
		}
	})
	// Serve, and when the server has ended:
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	fmt.Println(t.Enabled(), t.Shutdown(ctx))
	// Output: false <nil>
}
