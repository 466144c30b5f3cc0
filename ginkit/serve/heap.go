package serve

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// heapRoom is what a small heap may take on before it is collected, in bytes.
	heapRoom = 16 << 20
	// mostPercent is GOGC for a heap that is next to nothing: with it Go's least heap of 4 MiB is heapRoom.
	mostPercent = 400
	// percentStep keeps a heap that is about as large as before from being set anew, for which the runtime stops the world.
	percentStep = 50
)

// RelaxCollector lets a heap that is small take on 16 MiB before it is collected. Go collects one from 4 MiB on, which a service under load
// reaches dozens of times in a second. From 16 MiB of live objects on it is as always, that a heap may double, so that the room is never
// more than those 16 MiB; the memory limit holds as before.
//
// It is for the whole process and until its end. A GOGC in the environment that is not empty was set by somebody who wants it so, and is
// left alone.
func RelaxCollector() {
	if os.Getenv("GOGC") == "" {
		relaxOnce()
	}
}

var relaxOnce = sync.OnceFunc(func() {
	c := &collector{percent: 100}
	c.adjust()
	c.adjustAfterEach()
})

// collector is what the garbage collector was told last.
type collector struct{ percent int }

// witness is an object that nobody holds, so that each collection ends it. The pointer keeps it out of the blocks in which the runtime puts
// several small objects together, which end together.
type witness struct{ _ *witness }

// adjustAfterEach adjusts the collector after each of its runs.
func (c *collector) adjustAfterEach() {
	runtime.AddCleanup(new(witness), func(c *collector) {
		c.adjust()
		c.adjustAfterEach()
	}, c)
}

func (c *collector) adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if percent := percentFor(live[0].Value.Uint64()); percent != c.percent {
		debug.SetGCPercent(percent)
		c.percent = percent
	}
}

// percentFor returns the GOGC with which a heap of so many live bytes takes on no more than heapRoom, or than itself where that is more.
func percentFor(live uint64) int {
	percent := int(min(heapRoom*100/max(live, 1), mostPercent))
	return max(percent/percentStep*percentStep, 100)
}
