// Command ginkit measures what ginkit and the sample application cost, beside what else there is for the same job: `make bench-ginkit`.
//
// It has four parts. Metrics: what the middleware of ginkit/metrics adds to a request, and what the other metrics middlewares for Gin add.
// Throughput: requests a second of the sample application, of bare Gin and of net/http, each a process of its own, with wrk. Ready: the
// time from the start of the sample application's process until it is ready. Image: how large its binary and its image are.
//
// What is compared is measured in turns, round by round, so that what else the machine does hits all alike. The last line of the output
// is `bench-ginkit: ` and a JSON object.
//
// It is a module of its own, so that nobody who imports ginkit has the other middlewares in their go.sum.
package main
