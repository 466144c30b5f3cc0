// Package limits keeps a service from being given more than it can take: requests at once, requests in a second, time and bytes.
//
// Each limit is a middleware of its own and needs no other. What it refuses is answered with a problem, and with Retry-After where
// another try makes sense:
//
//	Rate, RatePerKey   429 rate_limited
//	Body               413 body_too_large
//	Timeout            504 timeout
//	Concurrency        503 overloaded
//
// They belong in this order, the cheapest refusal first and the deadline before the queue, so that waiting counts as well; and on the
// routes that serve clients, not on those for probes and metrics, which have to be answered most of all when there is too much to do.
//
// The limits are those of one process. Behind a load balancer each replica has its own.
package limits

import "github.com/gin-gonic/gin"

// Must returns a middleware, or panics with the reason there is none. It is for limits that the source gives as constants; an error in
// what came from outside should be returned to whoever wrote it.
func Must(middleware gin.HandlerFunc, err error) gin.HandlerFunc {
	if err != nil {
		panic(err)
	}
	return middleware
}
