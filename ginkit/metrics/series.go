package metrics

import (
	"context"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// firstStatus and lastStatus bound the status codes that get series of their own.
const firstStatus, lastStatus = 100, 599

// exemplarEvery is how often a series takes a new exemplar. One costs a microsecond and some memory, and of each bucket a scrape sees
// the newest alone.
const exemplarEvery = 100 * time.Millisecond

// exemplarSearch is how soon after a request without a trace another is looked at for one: the look costs a good part of a histogram, and a
// service that is not traced would pay it for nothing, each time.
const exemplarSearch = time.Millisecond

// methods are the methods that have series of their own. What comes last stands for all others.
var methods = [...]string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodConnect,
	http.MethodOptions, http.MethodTrace, OtherMethod,
}

// methodIndex returns the place of a method in methods.
func methodIndex(method string) int {
	for i, known := range methods[:len(methods)-1] {
		if method == known {
			return i
		}
	}
	return len(methods) - 1
}

// MethodName folds every method that HTTP does not define into one.
func MethodName(method string) string { return methods[methodIndex(method)] }

// RouteName folds every path that no route serves into one. It takes what c.FullPath returns.
func RouteName(template string) string {
	if template == "" {
		return UnmatchedRoute
	}
	return template
}

// table finds the series of a request without a lock. Routes come in as they are first asked for, so that nobody has to announce them;
// there are no more of them than the program has.
type table struct {
	mu     sync.Mutex
	routes atomic.Pointer[map[string]*route]
}

// route holds the series of one route by method and status.
type route struct {
	methods [len(methods)]atomic.Pointer[statuses]
}

// statuses are the series of one route and method by status code, the last for codes that don't exist.
type statuses [lastStatus - firstStatus + 2]atomic.Pointer[series]

// series are the histograms of one route, method and status.
type series struct {
	labels   []string
	began    time.Time
	duration durations
	request  sizes
	response sizes
	// exemplarDue is when the next exemplar may be taken, in nanoseconds since epoch.
	exemplarDue atomic.Int64
}

func (t *table) route(template string) *route {
	if known := t.routes.Load(); known != nil {
		if r := (*known)[template]; r != nil {
			return r
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	grown := map[string]*route{}
	if known := t.routes.Load(); known != nil {
		if r := (*known)[template]; r != nil {
			return r
		}
		maps.Copy(grown, *known)
	}
	r := &route{}
	grown[template] = r
	t.routes.Store(&grown)
	return r
}

// series returns the histograms of a route, method and status.
func (m *Metrics) series(template string, method, status int) *series {
	r := m.table.route(template)
	codes := r.methods[method].Load()
	if codes == nil {
		// Two that come here at once must not end up with one each: the exemplars' times would differ.
		r.methods[method].CompareAndSwap(nil, new(statuses))
		codes = r.methods[method].Load()
	}
	index, code := lastStatus-firstStatus+1, "other"
	if status >= firstStatus && status <= lastStatus {
		index = status - firstStatus
	}
	if known := codes[index].Load(); known != nil {
		return known
	}
	if index <= lastStatus-firstStatus {
		code = strconv.Itoa(status)
	}
	// A label that is no UTF-8 would take all metrics away from whoever scrapes them.
	labels := []string{methods[method], strings.ToValidUTF8(RouteName(template), "\uFFFD"), code}
	codes[index].CompareAndSwap(nil, &series{labels: labels, began: time.Now(), duration: newDurations(m.boundaries)})
	return codes[index].Load()
}

// all calls do with each series.
func (t *table) all(do func(*series)) {
	routes := t.routes.Load()
	if routes == nil {
		return
	}
	for _, route := range *routes {
		for method := range route.methods {
			codes := route.methods[method].Load()
			if codes == nil {
				continue
			}
			for code := range codes {
				if s := codes[code].Load(); s != nil {
					do(s)
				}
			}
		}
	}
}

// observeDuration adds a duration, with the trace id as exemplar where the request is part of a trace that is kept. now counts from epoch.
func (s *series) observeDuration(ctx context.Context, took, now time.Duration, boundaries []float64) {
	bucket, seconds := s.duration.observe(took, boundaries)
	due := s.exemplarDue.Load()
	if int64(now) < due {
		return
	}
	span := trace.SpanContextFromContext(ctx)
	kept := span.IsSampled() && span.HasTraceID()
	wait := exemplarEvery
	if !kept {
		wait = exemplarSearch
	}
	// Of several that come here at once, one is enough.
	if s.exemplarDue.CompareAndSwap(due, int64(now+wait)) && kept {
		s.duration.setExemplar(bucket, seconds, span)
	}
}
