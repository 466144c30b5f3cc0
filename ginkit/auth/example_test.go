package auth_test

import (
	"context"
	"log"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/auth"
)

func Example() {
	ctx := context.Background()
	authenticator, err := auth.New(ctx, auth.Options{
		Issuer:   "https://login.example.com",
		Audience: []string{"orders"},
		KeySet:   "https://login.example.com/.well-known/jwks.json",
	})
	if err != nil {
		log.Fatal(err)
	}
	engine := gin.New()
	api := engine.Group("/api", authenticator.Middleware())
	api.POST("/orders", auth.RequireScope("orders:write"), func(c *gin.Context) {
		claims, _ := auth.ClaimsFrom(c)
		c.JSON(http.StatusCreated, gin.H{"orderedBy": claims.Subject})
	})
}
