// Command server is a server that `make bench-ginkit` compares the sample application with. It answers one path with one document, by one
// of several frameworks, and does nothing else.
package main

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

const contentType = "application/json; charset=utf-8"

// settings are the flags.
type settings struct {
	address string
	path    string
	body    []byte
}

func main() {
	var s settings
	mode := flag.String("mode", "", "What answers.")
	body := flag.String("body", "", "The answer.")
	flag.StringVar(&s.address, "address", "", "Where to listen, such as 127.0.0.1:8080.")
	flag.StringVar(&s.path, "path", "/", "The path to answer.")
	flag.Parse()
	s.body = []byte(*body)
	modes := map[string]func(settings) error{
		"gin":      func(s settings) error { return listen(s.address, bareGin(s)) },
		"ginkit":   serveGinkit,
		"servemux": func(s settings) error { return listen(s.address, serveMux(s)) },
	}
	serve, known := modes[*mode]
	if !known {
		fmt.Fprintf(os.Stderr, "server: -mode is %q: it must be one of %s\n", *mode, strings.Join(slices.Sorted(maps.Keys(modes)), ", "))
		os.Exit(2)
	}
	if err := serve(s); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// bareGin is Gin without any middleware.
func bareGin(s settings) http.Handler {
	engine := gin.New()
	engine.GET(s.path, s.answer)
	return engine
}

// answer is the handler of everything that is built on Gin.
func (s settings) answer(c *gin.Context) { c.Data(http.StatusOK, contentType, s.body) }

// serveMux is the standard library's router.
func serveMux(s settings) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+s.path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{contentType}
		_, _ = w.Write(s.body) // a client that is gone needs no answer
	})
	return mux
}

// listen serves with the timeouts that a service in production has, for deadlines cost something too.
func listen(address string, handler http.Handler) error {
	server := &http.Server{
		Addr: address, Handler: handler,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute,
	}
	return server.ListenAndServe()
}
