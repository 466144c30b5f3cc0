package counting

import (
	"net/http"
	"strings"
)

// Request is a request to the API server.
type Request struct {
	Key
	// Namespace and Name are those of the object. Either is empty where the request has none.
	Namespace, Name string
	// Query is the query of the URL.
	Query string
}

// Key is what requests are counted by.
type Key struct {
	// Verb is the verb as RBAC and the audit log have it: get, list, watch, create, update, patch, delete, deletecollection.
	Verb string
	// Group and Resource are those of the object, such as "apps" and "deployments". For a path that is no object's, such as
	// /healthz or a discovery document, Resource is the path.
	Group, Resource string
	// Subresource is the subresource, such as "status" or "scale", or empty.
	Subresource string
	// DryRun says that nothing was to be stored.
	DryRun bool
}

// String is the key in one word and one path, such as "patch apps/deployments/status".
func (k Key) String() string {
	path := k.Resource
	if k.Group != "" {
		path = k.Group + "/" + path
	}
	if k.Subresource != "" {
		path += "/" + k.Subresource
	}
	if k.DryRun {
		path += " (dry run)"
	}
	return k.Verb + " " + path
}

// IsWrite reports whether the request changes an object that is neither an Event nor a Lease.
func (k Key) IsWrite() bool { return k.changes() && k.Resource != "events" && k.Resource != "leases" }

// IsRead reports whether the request is a get or a list of objects.
func (k Key) IsRead() bool {
	return (k.Verb == "get" || k.Verb == "list") && !strings.HasPrefix(k.Resource, "/")
}

// changes reports whether the request changes what is stored. A review asks a question by way of a create.
func (k Key) changes() bool {
	switch k.Verb {
	case "get", "list", "watch":
		return false
	}
	return !k.DryRun && k.Group != "authentication.k8s.io" && k.Group != "authorization.k8s.io"
}

// Parse reads a request as the API server does: /api/v1/… or /apis/<group>/<version>/…, then namespaces/<namespace> unless the
// object has none, then <resource>/<name>/<subresource>.
func Parse(req *http.Request) Request {
	query := req.URL.Query()
	r := Request{Query: req.URL.RawQuery}
	r.DryRun = query.Get("dryRun") != ""
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) > 2:
		parts = parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		r.Group, parts = parts[1], parts[3:]
	default:
		r.Resource = req.URL.Path
		r.Verb = strings.ToLower(req.Method)
		return r
	}
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
		r.Namespace, parts = parts[1], parts[2:]
	}
	r.Resource = parts[0]
	if len(parts) > 1 {
		r.Name = parts[1]
	}
	if len(parts) > 2 {
		r.Subresource = strings.Join(parts[2:], "/")
	}
	r.Verb = verb(req.Method, r.Name != "", query.Get("watch") == "true" || query.Get("watch") == "1")
	return r
}

func verb(method string, named, watch bool) string {
	switch {
	case method == http.MethodGet && watch:
		return "watch"
	case method == http.MethodGet && named:
		return "get"
	case method == http.MethodGet:
		return "list"
	case method == http.MethodPost:
		return "create"
	case method == http.MethodPut:
		return "update"
	case method == http.MethodDelete && !named:
		return "deletecollection"
	}
	return strings.ToLower(method)
}
