package main

import (
	"encoding/json"
	"net/http"
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

// headers puts the identity into the headers of every answer. The values are made once, and shared by all answers.
func (id identity) headers() gin.HandlerFunc {
	version, color, revision, pod := []string{id.Version}, []string{id.Color}, []string{id.Revision}, []string{id.Pod}
	return func(c *gin.Context) {
		header := c.Writer.Header()
		header["X-App-Version"] = version
		header["X-App-Color"] = color
		header["X-App-Revision"] = revision
		header["X-App-Pod"] = pod
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
	return func(c *gin.Context) { c.Data(http.StatusOK, gin.MIMEJSON+"; charset=utf-8", body) }
}
