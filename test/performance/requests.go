package main

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-operator/gin-operator/test/counting"
)

// class is what a request to the API server is for.
type class string

const (
	// classWrite changes an object.
	classWrite class = "write"
	// classEvent writes an Event.
	classEvent class = "event"
	// classRead is a get, or a list of one namespace: something that was not in a cache.
	classRead class = "read"
	// classInformer is a list or a watch of all namespaces: it fills a cache.
	classInformer class = "informer"
	// classOther is discovery, and whatever else names no object.
	classOther class = "other"
)

// source is where the operator's requests are known from.
type source interface {
	// read takes in what is known by now.
	read() error
	count(include func(request) bool) counts
	quietSince(from time.Time) time.Time
}

// request is one request of the operator.
type request struct {
	at       time.Time
	class    class
	kind     string // "patch deployments", "update ginservices/status"
	instance string // namespace/name of what it is about
}

// requests are those of the operator so far. They are safe for use by several goroutines; the zero value is ready.
type requests struct {
	mutex sync.Mutex
	list  []request
}

// record adds a request that began at some time.
func (l *requests) record(at time.Time, r counting.Request) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.list = append(l.list, request{at: at, class: classOf(r), kind: kindOf(r), instance: r.Namespace + "/" + r.Name})
}

func classOf(r counting.Request) class {
	switch {
	case r.Resource == "" || strings.HasPrefix(r.Resource, "/") || r.Group == "authentication.k8s.io" || r.Group == "authorization.k8s.io":
		return classOther
	case slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, r.Verb):
		if r.Resource == "events" {
			return classEvent
		}
		return classWrite
	case r.Verb != "get" && r.Namespace == "":
		return classInformer
	default:
		return classRead
	}
}

func kindOf(r counting.Request) string {
	kind := r.Verb + " " + r.Resource
	if r.Subresource != "" {
		kind += "/" + r.Subresource
	}
	return kind
}

// counts are numbers of requests.
type counts struct {
	writes, events, reads, informers int
	kinds                            map[string]int
}

// count counts the requests of which include says true.
func (l *requests) count(include func(request) bool) counts {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	c := counts{kinds: map[string]int{}}
	for _, r := range l.list {
		if !include(r) {
			continue
		}
		switch r.class {
		case classWrite:
			c.writes++
		case classEvent:
			c.events++
		case classRead:
			c.reads++
		case classInformer:
			c.informers++
		case classOther:
			continue
		}
		c.kinds[r.kind]++
	}
	return c
}

// between includes the requests of a span of time.
func between(from, to time.Time) func(request) bool {
	return func(r request) bool { return !r.at.Before(from) && r.at.Before(to) }
}

// until includes the requests about each service up to a time of its own, and none before a common one. What a request is about is told
// by its name: a child's begins with that of its service, and the names of the benchmark's services are not prefixes of one another.
func until(from time.Time, ends map[string]time.Time) func(request) bool {
	return func(r request) bool {
		end, known := ends[serviceOf(r.instance)]
		return known && !r.at.Before(from) && !r.at.After(end)
	}
}

// serviceOf returns the name of the service that the name of an object begins with: "ns/svc-0001-blue" belongs to "svc-0001".
func serviceOf(instance string) string {
	_, name, _ := strings.Cut(instance, "/")
	return name[:min(len(name), len(serviceName(0)))]
}

// quietSince returns when the operator last wrote something, an Event included, or from where it did not since then.
func (l *requests) quietSince(from time.Time) time.Time {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	since := from
	for _, r := range l.list {
		if (r.class == classWrite || r.class == classEvent) && r.at.After(since) {
			since = r.at
		}
	}
	return since
}
