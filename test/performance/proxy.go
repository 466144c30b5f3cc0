package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"github.com/gin-operator/gin-operator/test/counting"
)

const loopback = "127.0.0.1"

// proxy passes the operator's requests on to an API server and records them. It is for clusters whose audit log is not to be had.
type proxy struct {
	requests

	// config reaches it. Whoever can connect to loopback would have the operator's rights, were it not for the token. It speaks TLS as an
	// API server does, because a client with a kubeconfig shows its token to nobody else, and for the operator to have the same work.
	config *rest.Config
	next   http.Handler
	server *http.Server
	done   chan struct{}
}

// startProxy starts a proxy on loopback that makes its requests with a client's configuration. If it ends before it is stopped, failed is
// called with the reason.
func startProxy(ctx context.Context, config *rest.Config, failed func(error)) (*proxy, error) {
	config = rest.CopyConfig(config)
	config.DisableCompression = true // what the operator accepts passes as it is
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("setting up the proxy: %w", err)
	}
	target, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("setting up the proxy: %w", err)
	}
	authority, certificate, err := selfSigned()
	if err != nil {
		return nil, fmt.Errorf("making the proxy's certificate: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", loopback+":0")
	if err != nil {
		return nil, fmt.Errorf("starting the proxy: %w", err)
	}
	p := &proxy{done: make(chan struct{}), config: &rest.Config{
		Host: "https://" + listener.Addr().String(), TLSClientConfig: rest.TLSClientConfig{CAData: authority}, BearerToken: rand.Text(),
	}}
	p.next = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Del("Authorization") // the transport has another
		},
		Transport:     transport,
		FlushInterval: -1, // the events of a watch don't wait for one another
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	p.server = &http.Server{
		Handler:           p,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13},
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	go p.serve(listener, failed)
	return p, nil
}

// selfSigned returns a certificate for loopback, and the authority that it is signed by.
func selfSigned() ([]byte, tls.Certificate, error) {
	chain, key, err := cert.GenerateSelfSignedCertKey(loopback, nil, nil)
	if err != nil {
		return nil, tls.Certificate{}, err
	}
	certificate, err := tls.X509KeyPair(chain, key)
	return chain, certificate, err
}

func (p *proxy) serve(listener net.Listener, failed func(error)) {
	defer close(p.done)
	if err := p.server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		failed(fmt.Errorf("the proxy between the operator and the API server ended: %w", err))
	}
}

// ServeHTTP records a request when it comes, which for a watch is when it begins, and passes it on.
func (p *proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	at := time.Now()
	if subtle.ConstantTimeCompare([]byte(req.Header.Get("Authorization")), []byte("Bearer "+p.config.BearerToken)) != 1 {
		http.Error(w, "this is for the operator of a benchmark alone", http.StatusUnauthorized)
		return
	}
	r := counting.Parse(req)
	if r.Verb == "create" && r.Name == "" {
		var err error
		if r.Name, err = takeName(req); err != nil {
			http.Error(w, "reading what is to be created: "+err.Error(), http.StatusBadRequest)
			return
		}
	}
	p.record(at, r)
	p.next.ServeHTTP(w, req)
}

// takeName returns the name of the object in the body of a creation, whose URL doesn't have it, and leaves the body as it was. A body that
// is of no known kind has no name here: its creation still counts, but for no service.
func takeName(req *http.Request) (string, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return "", err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	object, _, err := clientgoscheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		return "", nil //nolint:nilerr // it is the API server's to refuse
	}
	accessor, err := apimeta.Accessor(object)
	if err != nil {
		return "", nil //nolint:nilerr // such as a review, which is no object
	}
	return accessor.GetName(), nil
}

// read has nothing to do: what has passed is known.
func (*proxy) read() error { return nil }

// stop ends the proxy and whatever passes through it.
func (p *proxy) stop() error {
	err := p.server.Close()
	<-p.done
	return err
}
