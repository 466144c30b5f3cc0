// Package counting counts what a client asks of the API server, to prove that it asks for nothing: no write at rest, none after a
// restart, no read that a cache should have answered.
//
// A Counter goes into a client's configuration with rest.Config.Wrap, below caches and retries, so it sees each request that
// leaves the process, and no other.
package counting

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Counter counts the requests that pass through it. It is safe for use by several goroutines; the zero value is ready.
type Counter struct {
	mu     sync.Mutex
	counts Counts
	log    []Request
	keep   bool
}

// KeepLog has the Counter remember each request, in order, for Log. Default: only their number.
func (c *Counter) KeepLog() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep = true
}

// Wrap returns a transport that counts a request and passes it on to next: it is an argument for rest.Config.Wrap.
func (c *Counter) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		c.count(Parse(req))
		return next.RoundTrip(req)
	})
}

// Snapshot returns a copy of what was counted until now.
func (c *Counter) Snapshot() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

// Since returns what was counted after an earlier Snapshot.
func (c *Counter) Since(earlier Counts) Counts {
	now := c.Snapshot()
	for key, n := range earlier {
		if now[key] -= n; now[key] == 0 {
			delete(now, key)
		}
	}
	return now
}

// Log returns the requests since KeepLog was called, oldest first.
func (c *Counter) Log() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.log)
}

func (c *Counter) count(r Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = Counts{}
	}
	c.counts[r.Key]++
	if c.keep {
		c.log = append(c.log, r)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Counts is how often each kind of request was made.
type Counts map[Key]int

// Writes is the number of requests that change the cluster's objects; Events and Leases are counted by the functions of that name.
func (c Counts) Writes() int { return c.Total(Key.IsWrite) }

// Reads is the number of gets and lists.
func (c Counts) Reads() int { return c.Total(Key.IsRead) }

// Watches is the number of watches that were begun.
func (c Counts) Watches() int { return c.Total(func(k Key) bool { return k.Verb == "watch" }) }

// Events is the number of writes of Events.
func (c Counts) Events() int {
	return c.Total(func(k Key) bool { return k.Resource == "events" && k.changes() })
}

// Leases is the number of writes of Leases: leader election makes one every few seconds.
func (c Counts) Leases() int {
	return c.Total(func(k Key) bool { return k.Resource == "leases" && k.changes() })
}

// Total is the number of requests of which count says true.
func (c Counts) Total(count func(Key) bool) int {
	total := 0
	for key, n := range c {
		if count(key) {
			total += n
		}
	}
	return total
}

// Only returns the counts of which keep says true.
func (c Counts) Only(keep func(Key) bool) Counts {
	kept := Counts{}
	for key, n := range c {
		if keep(key) {
			kept[key] = n
		}
	}
	return kept
}

// String lists the counts, one line each, in alphabetical order.
func (c Counts) String() string {
	lines := make([]string, 0, len(c))
	for key, n := range c {
		lines = append(lines, fmt.Sprintf("%s: %d", key, n))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
