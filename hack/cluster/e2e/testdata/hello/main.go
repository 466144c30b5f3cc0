// Command hello is what the e2e test runs in a pod: it says its name, and what a name resolves to if asked with
// ?lookup=. With an argument it only repeats that.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Println("you said", os.Args[1])
		return
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		host, _ := os.Hostname()
		fmt.Fprintln(w, "hello from", host)
		if name := r.URL.Query().Get("lookup"); name != "" {
			addresses, err := net.DefaultResolver.LookupHost(r.Context(), name)
			fmt.Fprintln(w, name, addresses, err)
		}
	})
	log.Println("listening")
	log.Fatal(http.ListenAndServe(":8080", nil))
}
