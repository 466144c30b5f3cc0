package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gin-operator/gin-operator/test/counting"
)

// auditLog reads the requests of one user from an audit log that is still being written.
type auditLog struct {
	requests

	path   string
	user   string
	offset int64
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
	l.record(at, event.request())
	return nil
}

// request is what the event says of its request, in the terms that requests without an audit log are read in too.
func (e *auditEvent) request() counting.Request {
	r := counting.Request{Key: counting.Key{Verb: e.Verb}}
	if object := e.ObjectRef; object != nil {
		r.Group, r.Resource, r.Subresource = object.APIGroup, object.Resource, object.Subresource
		r.Namespace, r.Name = object.Namespace, object.Name
	}
	return r
}
