package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// certLifetime is long enough for a cluster that somebody forgets, and short enough that a key in a stale folder is worthless.
const certLifetime = 365 * 24 * time.Hour

// authority is a certificate authority of the cluster.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// identity is what one certificate says about its holder.
type identity struct {
	file         string
	commonName   string
	organization string
	dnsNames     []string
	addresses    []net.IP
	server       bool
}

// makeCerts writes all certificates and keys of a cluster: its authority, the one that signs for the aggregation layer, the
// key of service account tokens, and one pair for each part.
func makeCerts(l layout, nodeName string, now time.Time) error {
	cluster, err := newAuthority(l, "ca", "gin-cluster", now)
	if err != nil {
		return err
	}
	frontProxy, err := newAuthority(l, "front-proxy-ca", "gin-cluster-front-proxy", now)
	if err != nil {
		return err
	}
	if err := makeServiceAccountKey(l); err != nil {
		return err
	}
	for _, holder := range clusterIdentities(nodeName) {
		if err := cluster.issue(l, holder, now); err != nil {
			return err
		}
	}
	return frontProxy.issue(l, identity{file: "front-proxy-client", commonName: "front-proxy-client"}, now)
}

// clusterIdentities are the certificates that the cluster's own authority signs.
func clusterIdentities(nodeName string) []identity {
	loopback, node := net.ParseIP("127.0.0.1"), net.ParseIP(nodeAddress)
	return []identity{
		{
			file: "apiserver", commonName: "kube-apiserver", server: true,
			dnsNames: []string{
				"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + clusterDomain,
			},
			addresses: []net.IP{loopback, node, net.ParseIP(apiServiceAddress)},
		},
		{
			file: "kubelet-server", commonName: nodeName, server: true,
			dnsNames: []string{nodeName}, addresses: []net.IP{loopback, node},
		},
		{
			file: "metrics-server", commonName: "metrics-server", server: true,
			dnsNames:  []string{"localhost", "metrics-server.kube-system.svc"},
			addresses: []net.IP{loopback, node},
		},
		{file: "admin", commonName: "gin-cluster-admin", organization: "system:masters"},
		{file: "apiserver-kubelet-client", commonName: "kube-apiserver-kubelet-client", organization: "system:masters"},
		{file: "controller-manager", commonName: "system:kube-controller-manager"},
		{file: "scheduler", commonName: "system:kube-scheduler"},
		{file: "kube-proxy", commonName: "system:kube-proxy"},
		{file: "kubelet", commonName: "system:node:" + nodeName, organization: "system:nodes"},
		{file: "metrics-server-client", commonName: "metrics-server"},
		{file: "coredns", commonName: "coredns"},
	}
}

func newAuthority(l layout, file, name string, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(certLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	certificate, err := sign(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("making authority %s: %w", name, err)
	}
	if err := writePair(l, file, certificate.Raw, key); err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key}, nil
}

// issue writes a certificate and its key for one holder.
func (a *authority) issue(l layout, holder identity, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if holder.server {
		usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: holder.commonName},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(certLifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           usage,
		BasicConstraintsValid: true,
		DNSNames:              holder.dnsNames,
		IPAddresses:           holder.addresses,
	}
	if holder.organization != "" {
		template.Subject.Organization = []string{holder.organization}
	}
	certificate, err := sign(template, a.certificate, key, a.key)
	if err != nil {
		return fmt.Errorf("making certificate %s: %w", holder.file, err)
	}
	return writePair(l, holder.file, certificate.Raw, key)
}

func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// makeServiceAccountKey writes the pair that signs and checks service account tokens.
func makeServiceAccountKey(l layout) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := writeKey(l, "service-account", key); err != nil {
		return err
	}
	return writePEM(l.cert("service-account.pub"), "PUBLIC KEY", public)
}

func writePair(l layout, name string, certificate []byte, key *ecdsa.PrivateKey) error {
	if err := writePEM(l.cert(name+".crt"), "CERTIFICATE", certificate); err != nil {
		return err
	}
	return writeKey(l, name, key)
}

func writeKey(l layout, name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(l.cert(name+".key"), "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
