package main

import (
	"encoding/json"
	"runtime"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit"
)

var goVersion = runtime.Version()

// identity is what each answer says about where it comes from.
type identity struct {
	Version  string `json:"version"`
	Color    string `json:"color"`
	Revision string `json:"revision"`
	Pod      string `json:"pod"`
}

type pong struct {
	Message string `json:"message"`
	identity
}

type versions struct {
	identity
	GoVersion string `json:"goVersion"`
}

func identityOf(id ginkit.Identity) identity {
	return identity{Version: id.Version, Color: id.Color, Revision: id.Revision, Pod: id.Pod}
}

// headers puts what tells the answers of a rollout apart into every one of them, also those that fail. The values are made once, and
// shared by all answers: on a service this small each header is more than a hundredth of what a request costs.
func (id identity) headers() gin.HandlerFunc {
	color, revision := []string{id.Color}, []string{id.Revision}
	return func(c *gin.Context) {
		header := c.Writer.Header()
		header["X-App-Color"] = color
		header["X-App-Revision"] = revision
	}
}

// fixedJSON answers with a document that never changes, encoded once.
func fixedJSON(document any) gin.HandlerFunc {
	body, err := json.Marshal(document)
	if err != nil {
		// The documents are literals of this package: this can't depend on input.
		panic(err)
	}
	return fixedDocument(body)
}

// fixedDocument answers with JSON that never changes.
func fixedDocument(body []byte) gin.HandlerFunc {
	contentType := []string{gin.MIMEJSON + "; charset=utf-8"}
	return func(c *gin.Context) {
		c.Writer.Header()["Content-Type"] = contentType
		_, _ = c.Writer.Write(body) // a client that is gone needs no answer
	}
}
