package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"time"
)

const (
	// authorityLife is how long an authority is good for; a tenth before its end it has a successor.
	authorityLife = 10 * 365 * 24 * time.Hour
	// certificateLife is how long a certificate is good for; a third before its end it has a successor.
	certificateLife = 90 * 24 * time.Hour
	// backdated is how far in the past both begin, for API servers whose clock is behind.
	backdated = time.Hour
	// hearing is how long it may take until every API server knows a new authority.
	hearing = time.Hour
)

// credentials are what the adapter proves with to the API server who it is, all of it as PEM.
type credentials struct {
	// bundle are the authorities that the API server is to trust, and authorityKey is the key of the first of them.
	bundle, authorityKey []byte
	// certificate and key are what is served with.
	certificate, key []byte
}

// renewed returns credentials for a host that are good now and for a while, and whether they are others than these. An authority that is replaced
// stays trusted until its end, and what it has signed is served until that is due: so that no replica, whatever it has read last, and no API
// server, whichever bundle it knows, meets one that it can't verify.
func (c credentials) renewed(host string, now time.Time) (next credentials, changed bool, err error) {
	next = c
	trusted := stillTrusted(c.bundle, now)
	authority, signer := c.authority(now)
	if authority == nil {
		if authority, signer, err = newAuthority(now); err != nil {
			return c, false, fmt.Errorf("making an authority: %w", err)
		}
		if next.authorityKey, err = encodeKey(signer); err != nil {
			return c, false, err
		}
		trusted = append([]*x509.Certificate{authority}, trusted...)
	}
	if bundle := encodeCertificate(trusted...); !bytes.Equal(bundle, c.bundle) {
		next.bundle, changed = bundle, true
	}
	// Not with an authority that some API servers may not have heard of, while there is time.
	unheardOf := now.Sub(authority.NotBefore) < backdated+hearing
	if next.serves(host, now, certificateLife/3) || unheardOf && next.serves(host, now, 24*time.Hour) {
		return next, changed, nil
	}
	certificate, key, err := newCertificate(host, authority, signer, now)
	if err != nil {
		return c, false, fmt.Errorf("making a certificate: %w", err)
	}
	if next.key, err = encodeKey(key); err != nil {
		return c, false, err
	}
	next.certificate = encodeCertificate(certificate)
	return next, true, nil
}

// authority returns the authority that signs, or nil where there is none or it is due.
func (c credentials) authority(now time.Time) (*x509.Certificate, crypto.Signer) {
	pair, err := tls.X509KeyPair(c.bundle, c.authorityKey)
	if err != nil {
		return nil, nil
	}
	authority := pair.Leaf
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !authority.IsCA || now.Before(authority.NotBefore) || now.After(authority.NotAfter.Add(-authorityLife/10)) {
		return nil, nil
	}
	return authority, signer
}

// serves reports whether the certificate is good for a host, by the bundle, for some time.
func (c credentials) serves(host string, now time.Time, left time.Duration) bool {
	pair, err := tls.X509KeyPair(c.certificate, c.key)
	if err != nil || now.After(pair.Leaf.NotAfter.Add(-left)) {
		return false
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.bundle)
	_, err = pair.Leaf.Verify(x509.VerifyOptions{
		DNSName: host, Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err == nil
}

// end returns when the certificate ends.
func (c credentials) end() time.Time {
	pair, err := tls.X509KeyPair(c.certificate, c.key)
	if err != nil {
		return time.Time{}
	}
	return pair.Leaf.NotAfter
}

func (c credentials) equal(other credentials) bool {
	return bytes.Equal(c.bundle, other.bundle) && bytes.Equal(c.authorityKey, other.authorityKey) &&
		bytes.Equal(c.certificate, other.certificate) && bytes.Equal(c.key, other.key)
}

// stillTrusted returns the authorities of a bundle that have not ended.
func stillTrusted(bundle []byte, now time.Time) []*x509.Certificate {
	var trusted []*x509.Certificate
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil && certificate.IsCA && now.Before(certificate.NotAfter) {
			trusted = append(trusted, certificate)
		}
	}
	return trusted
}

func newAuthority(now time.Time) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "gin-operator-metrics-adapter"},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	authority, err := sign(template, template, key.Public(), key)
	return authority, key, err
}

func newCertificate(host string, authority *x509.Certificate, signer crypto.Signer, now time.Time) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "gin-operator-metrics-adapter serving"}, // a host may be longer than a common name
		DNSNames:  []string{host},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	certificate, err := sign(template, authority, key.Public(), signer)
	return certificate, key, err
}

// sign makes a certificate. Without a serial number in the template it gets one by chance.
func sign(template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func encodeCertificate(certificates ...*x509.Certificate) []byte {
	var text []byte
	for _, certificate := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	return text
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
