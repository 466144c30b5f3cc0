package web_test

import (
	"log"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/web"
)

func Example() {
	gzip, err := web.Gzip(web.GzipOptions{})
	if err != nil {
		log.Fatal(err)
	}
	headers, err := web.SecurityHeaders(web.SecurityOptions{})
	if err != nil {
		log.Fatal(err)
	}
	cors, err := web.CORS(web.CORSOptions{Origins: []string{"https://app.example.com"}})
	if err != nil {
		log.Fatal(err)
	}
	engine := gin.New()
	engine.Use(gzip, headers, cors)
}
