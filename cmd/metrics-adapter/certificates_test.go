package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// hooked reads, and does something else after each read.
type hooked struct {
	client.Reader

	after func()
}

func (h hooked) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	err := h.Reader.Get(ctx, key, object, options...)
	h.after()
	return err
}

// listener counts what it is told.
type listener int

func (l *listener) Enqueue() { *l++ }

var secretName = types.NamespacedName{Namespace: "gin-operator-system", Name: "gin-operator-metrics-adapter"}

// newReplica returns what a replica has, at a time.
func newReplica(cluster client.Client, name string, now time.Time) *certificates {
	return &certificates{live: cluster, client: cluster, secret: secretName, host: host, replica: name, clock: clocktesting.NewFakePassiveClock(now)}
}

func TestTwoReplicasServeWithTheSame(t *testing.T) {
	cluster := newClient(t)
	dueAt := began.Add(certificateLife * 3 / 4)
	for name, now := range map[string]time.Time{"1 where there is none": began, "2 where it is due": dueAt} {
		t.Run(name, func(t *testing.T) {
			cluster := cluster
			if now.Equal(dueAt) {
				cluster = newClient(t)
				if err := newReplica(cluster, "earlier", began).refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			first, second := newReplica(cluster, "first", now), newReplica(cluster, "second", now)
			var told listener
			first.AddListener(&told)
			// The second one is faster, between the read and the write of the first.
			raced := false
			first.live = hooked{Reader: cluster, after: func() {
				if !raced {
					raced = true
					if err := second.refresh(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}}
			if err := first.refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !first.current.equal(second.current) || !first.current.serves(host, now, certificateLife/3) || told != 1 {
				t.Errorf("equal %t, good %t, told %d times", first.current.equal(second.current), first.current.serves(host, now, certificateLife/3), told)
			}
			secret := wantInSecret(t, cluster, first)
			// From then on nothing changes.
			version := secret.ResourceVersion
			for _, replica := range []*certificates{first, second} {
				if err := replica.refresh(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if err := cluster.Get(t.Context(), secretName, secret); err != nil || secret.ResourceVersion != version || told != 1 {
				t.Errorf("at rest the Secret is written, or listeners are told: %v, %s after %s, %d", err, secret.ResourceVersion, version, told)
			}
		})
	}
}

// wantInSecret checks that a replica serves what is in the Secret, and returns that.
func wantInSecret(t *testing.T, cluster client.Client, replica *certificates) *corev1.Secret {
	t.Helper()
	var secret corev1.Secret
	if err := cluster.Get(t.Context(), secretName, &secret); err != nil {
		t.Fatal(err)
	}
	certificate, key := replica.CurrentCertKeyContent()
	bundle, err := replica.bundle()
	if err != nil || !bytes.Equal(secret.Data["tls.crt"], certificate) || !bytes.Equal(secret.Data["tls.key"], key) || !bytes.Equal(secret.Data["ca.crt"], bundle) ||
		secret.Type != corev1.SecretTypeTLS {
		t.Error("what is served is not what is in the Secret")
	}
	return &secret
}

// How an administrator gets new ones, after a leak.
func TestASecretThatIsDeletedIsMadeAnew(t *testing.T) {
	cluster := newClient(t)
	replica := newReplica(cluster, "first", began)
	if err := replica.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := replica.current
	var secret corev1.Secret
	if err := cluster.Get(t.Context(), secretName, &secret); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Delete(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	if err := replica.refresh(t.Context()); err != nil || verified(replica.current, before.bundle, began) || verified(before, replica.current.bundle, began) {
		t.Errorf("error %v; the old authority is still of use", err)
	}
}

func TestAClusterThatDoesNotAnswerTakesNothingAway(t *testing.T) {
	replica := newReplica(newClient(t), "first", began)
	if err := replica.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := replica.current
	replica.live = broken{}
	if err := replica.refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "reading Secret gin-operator-system/gin-operator-metrics-adapter") || !replica.current.equal(before) {
		t.Errorf("error %v", err)
	}
}

func TestFiles(t *testing.T) {
	c := renew(t, credentials{}, time.Now(), true)
	f := files{certificate: filepath.Join(t.TempDir(), "tls.crt"), key: filepath.Join(t.TempDir(), "tls.key"), authorities: filepath.Join(t.TempDir(), "ca.crt")}
	if _, err := f.bundle(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if err := f.refresh(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	for file, content := range map[string][]byte{f.certificate: c.certificate, f.key: c.key, f.authorities: nil} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.refresh(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := f.bundle(); err == nil || !strings.Contains(err.Error(), "--tls-ca-file is empty") {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(f.authorities, c.bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	if bundle, err := f.bundle(); err != nil || !bytes.Equal(bundle, c.bundle) {
		t.Errorf("error %v", err)
	}
}
