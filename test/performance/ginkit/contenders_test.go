package main

import (
	"net/http/httptest"
	"sync"
	"testing"
)

// opened makes the engines once, because most middlewares keep their metrics in variables of their package.
var opened = sync.OnceValues(func() ([]entrant, error) { return openAll(contenders()) })

// A middleware that did nothing would win.
func TestEveryMiddlewareCountsRequests(t *testing.T) {
	entrants, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entrants {
		t.Run(e.name, func(t *testing.T) {
			before, err := counted(e.from, e.family)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				e.engine.ServeHTTP(httptest.NewRecorder(), newRequest())
			}
			after, err := counted(e.from, e.family)
			if err != nil {
				t.Fatal(err)
			}
			if after-before != 3 {
				t.Errorf("counted %v requests, and there were 3", after-before)
			}
		})
	}
}

// What the figures are for: ginkit's middleware takes no memory from the heap.
func TestTheBenchmarkSeesWhatMiddlewaresAllocate(t *testing.T) {
	entrants, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	bare := newEngine()
	addRoute(bare)
	without, err := spend(bare, newRequest(), 20_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entrants {
		with, err := spend(e.engine, newRequest(), 20_000)
		if err != nil {
			t.Fatal(err)
		}
		// Gin's pool of contexts loses one now and then, with the race detector one in four.
		added := with.allocs - without.allocs
		if (added < 0.5) != (e.name == ours) {
			t.Errorf("%s adds %.3f allocations to a request", e.name, added)
		}
	}
}
