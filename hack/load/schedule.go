package main

import (
	"context"
	"sync"
	"time"
)

// request is one entry of the schedule.
type request struct {
	due    time.Time
	target *target
}

// backlog is how many requests may be due and wait for one of the connections. When it is full the schedule itself waits, which
// changes nothing for the times: they count from when a request was due.
const backlog = 1 << 16

// generate sends all requests of the schedule, or those until the context ends, and returns when each of them has its outcome.
func generate(ctx context.Context, opts options, results *results) {
	to, forget := newAddresses(nil)
	defer forget()
	queue := make(chan request, backlog)
	var senders sync.WaitGroup
	for range opts.connections {
		senders.Go(func() { serveQueue(to, queue, opts, results) })
	}
	start := results.start
	credit := 0.0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range opts.total() {
		next := request{due: start.Add(time.Duration(float64(i) / opts.rate * float64(time.Second))), target: &opts.targets[i%len(opts.targets)]}
		if !waitUntil(ctx, timer, next.due) {
			break
		}
		results.sent(next.due)
		// The fraction adds up until it makes a whole request, so fresh ones are spread evenly.
		if credit += opts.freshFraction; credit >= 1 {
			credit--
			senders.Go(func() { results.finished(next.due, sendFresh(to, next, opts)) })
			continue
		}
		queue <- next
	}
	close(queue)
	senders.Wait()
	results.end(time.Now())
}

// waitUntil returns at a point in time, false if the context ended before.
func waitUntil(ctx context.Context, timer *time.Timer, due time.Time) bool {
	if wait := time.Until(due); wait > 0 {
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// serveQueue sends the requests of the queue, one after another, over connections that it keeps open: one for each address.
func serveQueue(to *addresses, queue <-chan request, opts options, results *results) {
	kept := map[string]*connection{}
	defer func() {
		for _, conn := range kept {
			conn.Close()
		}
	}()
	for next := range queue {
		results.finished(next.due, sendKept(to, kept, next, opts))
	}
}
