package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"
)

// certTime is when the certificates of these tests are made.
var certTime = time.Date(2026, time.May, 4, 12, 0, 0, 0, time.UTC)

func testCerts(t *testing.T) layout {
	t.Helper()
	l := newLayout(t.TempDir())
	if err := l.makeStateDirs(); err != nil {
		t.Fatal(err)
	}
	if err := makeCerts(l, "node-1", certTime); err != nil {
		t.Fatal(err)
	}
	return l
}

func loadLeaf(t *testing.T, l layout, name string) *x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(l.cert(name+".crt"), l.cert(name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func pool(t *testing.T, l layout, name string) *x509.CertPool {
	t.Helper()
	content, err := os.ReadFile(l.cert(name + ".crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		t.Fatalf("%s holds no certificate", name)
	}
	return roots
}

func TestServingCertificateNames(t *testing.T) {
	l := testCerts(t)
	leaf := loadLeaf(t, l, "apiserver")
	for _, name := range []string{"127.0.0.1", nodeAddress, apiServiceAddress, "localhost", "kubernetes.default.svc"} {
		options := x509.VerifyOptions{Roots: pool(t, l, "ca"), DNSName: name, CurrentTime: certTime}
		if _, err := leaf.Verify(options); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := leaf.VerifyHostname("example.com"); err == nil {
		t.Error("the certificate is good for a name that is not the cluster's")
	}
}

func TestClientCertificates(t *testing.T) {
	l := testCerts(t)
	tests := map[string]struct{ authority, wantUser, wantGroup string }{
		"admin":              {"ca", "gin-cluster-admin", "system:masters"},
		"kubelet":            {"ca", "system:node:node-1", "system:nodes"},
		"controller-manager": {"ca", "system:kube-controller-manager", ""},
		"front-proxy-client": {"front-proxy-ca", "front-proxy-client", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			leaf := loadLeaf(t, l, name)
			options := x509.VerifyOptions{
				Roots: pool(t, l, tc.authority), CurrentTime: certTime, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			}
			if _, err := leaf.Verify(options); err != nil {
				t.Error(err)
			}
			group := ""
			if len(leaf.Subject.Organization) > 0 {
				group = leaf.Subject.Organization[0]
			}
			if leaf.Subject.CommonName != tc.wantUser || group != tc.wantGroup {
				t.Errorf("user %q, group %q", leaf.Subject.CommonName, group)
			}
		})
	}
}

func TestFrontProxyIsNoClusterAuthority(t *testing.T) {
	l := testCerts(t)
	options := x509.VerifyOptions{
		Roots: pool(t, l, "ca"), CurrentTime: certTime, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	if _, err := loadLeaf(t, l, "front-proxy-client").Verify(options); err == nil {
		t.Error("a certificate for the aggregation layer would pass for a user's")
	}
}

func TestKeysAreRootsOnly(t *testing.T) {
	l := testCerts(t)
	entries, err := os.ReadDir(l.certs())
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", entry.Name(), info.Mode().Perm())
		}
	}
}
