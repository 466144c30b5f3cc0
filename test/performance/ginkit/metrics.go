package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// batch is how many requests are measured at a time: some tens of milliseconds, so that several collections of garbage fall into those
// that make garbage.
const batch = 200_000

// spent is what a request costs.
type spent struct {
	// nanos is the CPU time of the process, with that of the garbage collector. What other processes do is not in it.
	nanos  float64
	allocs float64
	bytes  float64
}

// entrant is a contender in an engine of its own.
type entrant struct {
	contender
	engine *gin.Engine
	from   prometheus.Gatherer
	// added is, for each round, what the engine spends on top of the bare one.
	added []spent
}

// measureMetrics measures what each middleware adds to a request. In each round every engine runs right after the bare one, and what
// counts is the difference.
func measureMetrics(ctx context.Context, rounds int, progress io.Writer) (*metricsResult, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	bare := newEngine()
	addRoute(bare)
	entrants, err := openAll(contenders())
	if err != nil {
		return nil, err
	}
	request := newRequest()
	var alone []spent
	for round := range rounds {
		fmt.Fprintf(progress, "metrics: round %d of %d\n", round+1, rounds)
		for i := range entrants {
			if err := context.Cause(ctx); err != nil {
				return nil, err
			}
			e := &entrants[i]
			without, err := spend(bare, request, batch)
			if err != nil {
				return nil, err
			}
			with, err := spend(e.engine, request, batch)
			if err != nil {
				return nil, err
			}
			alone = append(alone, without)
			e.added = append(e.added, spent{with.nanos - without.nanos, with.allocs - without.allocs, with.bytes - without.bytes})
		}
	}
	for _, e := range entrants {
		total, err := counted(e.from, e.family)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		if want := float64(rounds*batch + 1); total != want {
			return nil, fmt.Errorf("%s counted %v requests, and there were %v", e.name, total, want)
		}
	}
	return summariseMetrics(alone, entrants)
}

// openAll makes the engines, and sends each a request, which is what fills caches.
func openAll(list []contender) ([]entrant, error) {
	entrants := make([]entrant, 0, len(list))
	for _, c := range list {
		engine := newEngine()
		from, err := c.open(engine)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		addRoute(engine)
		recorder := httptest.NewRecorder()
		engine.ServeHTTP(recorder, newRequest())
		if recorder.Code != http.StatusOK {
			return nil, fmt.Errorf("%s answers %d", c.name, recorder.Code)
		}
		entrants = append(entrants, entrant{contender: c, engine: engine, from: from})
	}
	return entrants, nil
}

func newEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	return gin.New()
}

// addRoute adds the one route there is, whose answer costs next to nothing.
func addRoute(engine *gin.Engine) {
	body := []byte(`{"name":"somebody"}`)
	engine.GET("/users/:id", func(c *gin.Context) { c.Data(http.StatusOK, gin.MIMEJSON, body) })
}

// newRequest has the headers that a client sends at the least, because some middlewares add up their lengths.
func newRequest() *http.Request {
	request := httptest.NewRequest(http.MethodGet, "/users/42", http.NoBody)
	request.RemoteAddr = "198.18.0.7:34567"
	request.Header.Set("User-Agent", "bench/1")
	request.Header.Set("Accept", "*/*")
	return request
}

// spend serves a number of requests, and returns what each of them cost.
func spend(engine *gin.Engine, request *http.Request, number int) (spent, error) {
	answer := &discard{header: http.Header{}}
	runtime.GC() // what others left behind is not this engine's
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, err := cpuTime()
	if err != nil {
		return spent{}, err
	}
	for range number {
		engine.ServeHTTP(answer, request)
	}
	ended, err := cpuTime()
	if err != nil {
		return spent{}, err
	}
	runtime.ReadMemStats(&after)
	return spent{
		nanos:  float64(ended-began) / float64(number),
		allocs: float64(after.Mallocs-before.Mallocs) / float64(number),
		bytes:  float64(after.TotalAlloc-before.TotalAlloc) / float64(number),
	}, nil
}

// cpuTime returns the CPU time of this process so far.
func cpuTime() (time.Duration, error) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// discard is a ResponseWriter for answers that nobody reads.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header       { return d.header }
func (*discard) Write(b []byte) (int, error) { return len(b), nil }
func (*discard) WriteHeader(int)             {}

func summariseMetrics(alone []spent, entrants []entrant) (*metricsResult, error) {
	built := versions()
	result := &metricsResult{Bare: costOf(alone), Middlewares: map[string]middlewareResult{}}
	for _, e := range entrants {
		result.Middlewares[e.name] = middlewareResult{Version: built[e.module], requestCost: costOf(e.added)}
	}
	base := result.Middlewares[ours].Nanos
	if base <= 0 {
		return nil, fmt.Errorf("%s seems to cost %.0f ns a request: the machine is too busy to tell", ours, base)
	}
	for name, m := range result.Middlewares {
		m.Ratio = rounded(m.Nanos/base, 2)
		result.Middlewares[name] = m
	}
	return result, nil
}

func costOf(rounds []spent) requestCost {
	return requestCost{
		Nanos:  rounded(median(rounds, func(s spent) float64 { return s.nanos }), 0),
		Allocs: rounded(median(rounds, func(s spent) float64 { return s.allocs }), 2),
		Bytes:  rounded(median(rounds, func(s spent) float64 { return s.bytes }), 0),
	}
}
