// Command adapter measures what it costs to scrape pods: `make bench-adapter`.
//
// It scrapes simulated pods, each with an address of its own on loopback, with package podmetrics, as the metrics adapter and the operator do, and
// asks for what an autoscaler and an analysis would. The pods are in a process of their own, which serves to all of them what a service on
// ginkit exposes that gets a hundred requests a second: the figures of CPU and memory are those of the scraper alone, and its answers can be
// checked against what was sent.
//
// The last line of the output is `bench-adapter: ` and a JSON object.
package main
