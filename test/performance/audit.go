package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
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

// request is one request of the operator.
type request struct {
	at       time.Time
	class    class
	kind     string // "patch deployments", "update ginservices/status"
	instance string // namespace/name of what it is about
}

// auditLog reads the requests of one user from an audit log that is still being written.
type auditLog struct {
	path     string
	user     string
	offset   int64
	requests []request
}

// auditEvent is the part of an audit.k8s.io/v1 Event that is counted.
type auditEvent struct {
	Stage     string `json:"stage"`
	Verb      string `json:"verb"`
	Received  string `json:"requestReceivedTimestamp"`
	ObjectRef *struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		APIGroup    string `json:"apiGroup"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
}

// read takes in what was appended to the log since the last time. A line that is not complete yet is left for the next time.
func (l *auditLog) read() error {
	file, err := os.Open(l.path)
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	defer file.Close()
	if _, err := file.Seek(l.offset, io.SeekStart); err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	for line := range bytes.Lines(content) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		l.offset += int64(len(line))
		if !bytes.Contains(line, []byte(l.user)) {
			continue
		}
		if err := l.add(line); err != nil {
			return err
		}
	}
	return nil
}

func (l *auditLog) add(line []byte) error {
	var event auditEvent
	if err := json.Unmarshal(line, &event); err != nil {
		return fmt.Errorf("reading a line of the audit log: %w", err)
	}
	// A watch is counted when it begins, for it may not end, and everything else when it is answered.
	if event.User.Username != l.user || (event.Verb == "watch") != (event.Stage == "ResponseStarted") {
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, event.Received)
	if err != nil {
		return fmt.Errorf("reading a line of the audit log: %w", err)
	}
	l.requests = append(l.requests, request{at: at, class: event.class(), kind: event.kind(), instance: event.instance()})
	return nil
}

func (e *auditEvent) class() class {
	object := e.ObjectRef
	switch {
	case object == nil || object.APIGroup == "authentication.k8s.io" || object.APIGroup == "authorization.k8s.io":
		return classOther
	case slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, e.Verb):
		if object.Resource == "events" {
			return classEvent
		}
		return classWrite
	case e.Verb != "get" && object.Namespace == "":
		return classInformer
	default:
		return classRead
	}
}

func (e *auditEvent) kind() string {
	if e.ObjectRef == nil {
		return e.Verb
	}
	kind := e.Verb + " " + e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		kind += "/" + e.ObjectRef.Subresource
	}
	return kind
}

func (e *auditEvent) instance() string {
	if e.ObjectRef == nil {
		return ""
	}
	return e.ObjectRef.Namespace + "/" + e.ObjectRef.Name
}

// counts are numbers of requests.
type counts struct {
	writes, events, reads, informers int
	kinds                            map[string]int
}

// count counts the requests of which include says true.
func (l *auditLog) count(include func(request) bool) counts {
	c := counts{kinds: map[string]int{}}
	for _, r := range l.requests {
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
func (l *auditLog) quietSince(from time.Time) time.Time {
	since := from
	for _, r := range l.requests {
		if (r.class == classWrite || r.class == classEvent) && r.at.After(since) {
			since = r.at
		}
	}
	return since
}
