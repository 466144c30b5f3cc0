package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The keys of the Secret.
const (
	authorityKeyName = "ca.key"
	bundleName       = "ca.crt"
)

// attempts is how often a pass tries where other replicas write at the same time.
const attempts = 5

// certificates are the credentials of all replicas, which share them in a Secret. Any replica makes what is missing there and renews what is due;
// where two do at once, the first one's stand.
type certificates struct {
	// live reads from the API server, for a Secret must not be in a cache of Secrets.
	live   client.Reader
	client client.Client
	// secret is where they are, and host the name that they are for.
	secret types.NamespacedName
	host   string
	// replica is the name of this one.
	replica string
	clock   clock.PassiveClock

	mu        sync.RWMutex
	current   credentials
	listeners []dynamiccertificates.Listener
}

var _ dynamiccertificates.CertKeyContentProvider = (*certificates)(nil)

// Name says what this is in the log of the API server's machinery.
func (*certificates) Name() string { return "the Secret of all replicas" }

// CurrentCertKeyContent returns what to serve with.
func (c *certificates) CurrentCertKeyContent() (certificate, key []byte) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.current.certificate, c.current.key
}

// AddListener has somebody told of each change.
func (c *certificates) AddListener(listener dynamiccertificates.Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, listener)
}

// bundle returns the authorities that the API server is to trust.
func (c *certificates) bundle() ([]byte, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.current.bundle, nil
}

// refresh takes over what is in the Secret, once that is good.
func (c *certificates) refresh(ctx context.Context) error {
	for range attempts {
		var secret corev1.Secret
		err := c.live.Get(ctx, c.secret, &secret)
		exists := err == nil
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("reading Secret %s: %w", c.secret, err)
		}
		found := credentials{
			bundle: secret.Data[bundleName], authorityKey: secret.Data[authorityKeyName],
			certificate: secret.Data[corev1.TLSCertKey], key: secret.Data[corev1.TLSPrivateKeyKey],
		}
		wanted, changed, err := found.renewed(c.host, c.clock.Now())
		if err != nil {
			return err
		}
		if changed {
			err = c.write(ctx, &secret, exists, wanted)
		}
		switch {
		case err == nil:
			c.use(wanted)
			return nil
		case !apierrors.IsConflict(err) && !apierrors.IsNotFound(err):
			return fmt.Errorf("writing Secret %s: %w", c.secret, err)
		}
		// Another replica was first, or somebody has deleted it: what is there now counts.
	}
	return fmt.Errorf("writing Secret %s: others write it all the time", c.secret)
}

// write writes the Secret. It fails with a conflict where that is no longer what was read.
func (c *certificates) write(ctx context.Context, secret *corev1.Secret, exists bool, wanted credentials) error {
	data := map[string][]byte{
		bundleName: wanted.bundle, authorityKeyName: wanted.authorityKey, corev1.TLSCertKey: wanted.certificate, corev1.TLSPrivateKeyKey: wanted.key,
	}
	if exists {
		secret.Data = data
		return c.client.Update(ctx, secret, client.FieldOwner(c.replica))
	}
	// An apply creates by name, and so takes no right to create any Secret. Each replica is an owner of its own: the second of two that apply at
	// once is refused, because what it writes differs.
	return c.client.Apply(ctx, corev1ac.Secret(c.secret.Name, c.secret.Namespace).
		WithLabels(labelsOfOurs()).
		WithType(corev1.SecretTypeTLS).
		WithData(data), client.FieldOwner(c.replica))
}

func (c *certificates) use(wanted credentials) {
	c.mu.Lock()
	changed := !c.current.equal(wanted)
	c.current = wanted
	listeners := c.listeners
	c.mu.Unlock()
	certificateEnd.Set(float64(wanted.end().Unix()))
	if !changed {
		return
	}
	for _, listener := range listeners {
		listener.Enqueue()
	}
}

// files are credentials that somebody else keeps, such as cert-manager. The API server's machinery reads the certificate and the key itself, again
// and again.
type files struct {
	certificate, key, authorities string
}

func (f files) bundle() ([]byte, error) {
	bundle, err := os.ReadFile(f.authorities)
	if err != nil {
		return nil, fmt.Errorf("reading --tls-ca-file: %w", err)
	}
	if len(bundle) == 0 {
		return nil, errors.New("--tls-ca-file is empty: it must have the authority that has signed --tls-cert-file")
	}
	return bundle, nil
}

func (f files) refresh(context.Context) error {
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return fmt.Errorf("reading --tls-cert-file and --tls-private-key-file: %w", err)
	}
	certificateEnd.Set(float64(pair.Leaf.NotAfter.Unix()))
	return nil
}
