package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// api is as much of a Kubernetes client as starting a cluster takes. client-go would make this module ten times as long to
// compile, and kubectl takes a second for what takes milliseconds here.
type api struct {
	server string
	client *http.Client
}

func newAPI(l layout, s settings) (*api, error) {
	pair, err := tls.LoadX509KeyPair(l.cert("admin.crt"), l.cert("admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(l.cert("ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS13,
		},
		ForceAttemptHTTP2: true,
	}
	return &api{server: s.server(), client: &http.Client{Transport: transport, Timeout: 10 * time.Second}}, nil
}

// etcdClient asks etcd, which listens inside the cluster's namespace only.
func etcdClient(l layout) *api {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) { return dialInside(ctx, l, address) },
		// A connection for each question, so that none keeps the namespace.
		DisableKeepAlives: true,
	}
	return &api{server: "http://127.0.0.1:2379", client: &http.Client{Transport: transport, Timeout: 5 * time.Second}}
}

func (a *api) do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return content, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, lastLines(string(content), 3))
	}
	return content, nil
}

func (a *api) get(ctx context.Context, path string, into any) error {
	content, err := a.do(ctx, http.MethodGet, path, "", nil)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(content, into)
}

// ready tells whether the API server serves everything.
func (a *api) ready(ctx context.Context) error { return a.get(ctx, "/readyz", nil) }

// conditioned is any object with conditions in its status.
type conditioned struct {
	Status struct {
		Conditions []struct{ Type, Status, Reason, Message string }
	}
}

// hasCondition returns an error unless the object's condition is True.
func (a *api) hasCondition(ctx context.Context, path, condition string) error {
	var object conditioned
	if err := a.get(ctx, path, &object); err != nil {
		return err
	}
	for _, c := range object.Status.Conditions {
		if c.Type == condition && c.Status == "True" {
			return nil
		}
		if c.Type == condition {
			return fmt.Errorf("%s is %s: %s: %s", condition, c.Status, c.Reason, c.Message)
		}
	}
	return fmt.Errorf("condition %s is not set yet", condition)
}

func (a *api) nodeReady(ctx context.Context, name string) error {
	return a.hasCondition(ctx, "/api/v1/nodes/"+name, "Ready")
}

// controllersWork tells whether the controllers have made what each namespace has and no pod can do without.
func (a *api) controllersWork(ctx context.Context) error {
	return a.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
}

func (a *api) metricsServed(ctx context.Context) error {
	return a.hasCondition(ctx, "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io", "Available")
}

// resources maps the kinds in templates/addons.yaml to where the API serves them.
var resources = map[string]string{
	"ClusterRole":        "/apis/rbac.authorization.k8s.io/v1/clusterroles/",
	"ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/",
	"Service":            "/api/v1/namespaces/kube-system/services/",
	"EndpointSlice":      "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/",
	"APIService":         "/apis/apiregistration.k8s.io/v1/apiservices/",
}

// applyAddons applies the objects that join metrics-server and CoreDNS, which run beside the cluster, to it.
func (a *api) applyAddons(ctx context.Context, l layout) error {
	values, err := newTemplateValues(l)
	if err != nil {
		return err
	}
	rendered, err := render("addons.yaml", values)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for document := range strings.SplitSeq(string(rendered), "\n---\n") {
		path, err := addonPath(document)
		if err != nil {
			return err
		}
		group.Go(func() error {
			return eventually(ctx, 20*time.Second, func() error {
				_, err := a.do(ctx, http.MethodPatch, path+"?fieldManager=gin-cluster&force=true",
					"application/apply-patch+yaml", []byte(document))
				return err
			})
		})
	}
	return group.Wait()
}

// addonPath finds where an object goes. The documents are this program's own, so two fields at known places tell.
func addonPath(document string) (string, error) {
	var kind, name string
	for line := range strings.SplitSeq(document, "\n") {
		if value, found := strings.CutPrefix(line, "kind: "); found {
			kind = value
		}
		if value, found := strings.CutPrefix(line, "metadata: {name: "); found {
			name = value[:strings.IndexAny(value, ",}")]
		}
	}
	if resources[kind] == "" || name == "" {
		return "", fmt.Errorf("an object without a known kind or a name:\n%s", document)
	}
	return resources[kind] + name, nil
}

// eventually calls f until it returns nil; when the time is over it returns f's last error.
func eventually(ctx context.Context, timeout time.Duration, f func() error) error {
	deadline := time.Now().Add(timeout)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", timeout, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}
