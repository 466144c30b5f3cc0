package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/breaker"
)

func Example() {
	payments := breaker.New("payments")
	client := &http.Client{Transport: payments.Transport(nil), Timeout: 2 * time.Second}

	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.GET("/balance", func(c *gin.Context) {
		request, err := http.NewRequestWithContext(c.Request.Context(), http.MethodGet, "http://payments/balance", http.NoBody)
		if err != nil {
			_ = c.Error(err)
			return
		}
		response, err := client.Do(request)
		if err != nil {
			_ = c.Error(breaker.Problem(err))
			return
		}
		defer response.Body.Close()
		_, _ = io.Copy(c.Writer, response.Body)
	})

	fmt.Println(payments.Name(), payments.State())
	// Output: payments closed
}

func ExampleDo() {
	database := breaker.New("database", breaker.WithConsecutiveFailures(2), breaker.WithLogger(slog.New(slog.DiscardHandler)))
	for range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := breaker.Do(database, ctx, func(context.Context) (int, error) {
			return 0, errors.New("connection refused")
		})
		cancel()
		fmt.Println(err, "-", errors.Is(err, breaker.ErrOpen))
	}
	// Output:
	// connection refused - false
	// connection refused - false
	// database: circuit open, retry in 5s - true
}
