package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

const host = "gin-operator-metrics-adapter.gin-operator-system.svc"

var began = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// renew returns renewed credentials, and fails the test where they are not others as expected.
func renew(t *testing.T, c credentials, now time.Time, wantChanged bool) credentials {
	t.Helper()
	renewed, changed, err := c.renewed(host, now)
	if err != nil {
		t.Fatal(err)
	}
	if changed != wantChanged || changed == renewed.equal(c) {
		t.Errorf("%s: changed %t, want %t", now, changed, wantChanged)
	}
	if !renewed.serves(host, now, 0) {
		t.Errorf("%s: what is served can't be verified", now)
	}
	return renewed
}

// verified reports whether a client with a bundle takes the certificate.
func verified(c credentials, bundle []byte, now time.Time) bool {
	c.bundle = bundle
	return c.serves(host, now, 0)
}

func authorities(bundle []byte) int { return bytes.Count(bundle, []byte("BEGIN CERTIFICATE")) }

func TestAClientVerifiesTheCertificate(t *testing.T) {
	c := renew(t, credentials{}, time.Now(), true)
	pair, err := tls.X509KeyPair(c.certificate, c.key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	for name, tc := range map[string]struct {
		bundle []byte
		host   string
		fine   bool
	}{
		"as the API server does": {c.bundle, host, true},
		"another name":           {c.bundle, "kubernetes.default.svc", false},
		"another authority":      {renew(t, credentials{}, time.Now(), true).bundle, host, false},
	} {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(tc.bundle)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: tc.host, MinVersion: tls.VersionTLS12}}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close()
		}
		if (err == nil) != tc.fine {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Over eleven years, a look a day: what is served is verified by what API servers know, who may be a day behind or ahead.
func TestNobodyMeetsWhatHeCannotVerify(t *testing.T) {
	c := renew(t, credentials{}, began, true)
	first, changes := c.bundle, 0
	for day := 1; day < 11*365; day++ {
		now := began.AddDate(0, 0, day)
		next, changed, err := c.renewed(host, now)
		if err != nil {
			t.Fatal(err)
		}
		if !changed {
			continue
		}
		changes++
		if !verified(next, c.bundle, now) || !verified(c, next.bundle, now) || !verified(next, next.bundle, now) {
			t.Fatalf("day %d: new by the old bundle %t, old by the new bundle %t, new by the new bundle %t",
				day, verified(next, c.bundle, now), verified(c, next.bundle, now), verified(next, next.bundle, now))
		}
		if n := authorities(next.bundle); n > 2 {
			t.Fatalf("day %d: %d authorities are trusted", day, n)
		}
		c = next
	}
	if bytes.Contains(c.bundle, first) {
		t.Error("an authority is trusted beyond its end")
	}
	// Six times a year, and once more for the authority.
	if changes < 60 || changes > 75 {
		t.Errorf("%d changes in eleven years", changes)
	}
}

func TestAnAuthorityIsHeardOfBeforeItIsUsed(t *testing.T) {
	c := renew(t, credentials{}, began, true)
	// Both are due at once: the authority was made long ago, the certificate two months ago.
	due := began.Add(authorityLife - authorityLife/10 + time.Minute)
	old := renew(t, credentials{bundle: c.bundle, authorityKey: c.authorityKey}, due.Add(-certificateLife*2/3-time.Hour), true)
	next := renew(t, old, due, true)
	if authorities(next.bundle) != 2 || !bytes.Equal(next.certificate, old.certificate) {
		t.Errorf("%d authorities; the certificate is a new one already: %t", authorities(next.bundle), !bytes.Equal(next.certificate, old.certificate))
	}
	next = renew(t, next, due.Add(time.Minute), false)
	later := renew(t, next, due.Add(hearing+time.Minute), true)
	if bytes.Equal(later.certificate, old.certificate) || !verified(later, next.bundle, due.Add(hearing+time.Minute)) {
		t.Error("the certificate is not one of the new authority's")
	}
}

func TestWhatIsBrokenIsMadeAnew(t *testing.T) {
	good, other := renew(t, credentials{}, began, true), renew(t, credentials{}, began, true)
	leaf := credentials{bundle: good.certificate, authorityKey: good.key, certificate: good.certificate, key: good.key}
	wrongHost, _, err := good.renewed("other.svc", began)
	if err != nil {
		t.Fatal(err)
	}
	garbled := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	for name, broken := range map[string]credentials{
		"nothing":                       {},
		"garbage":                       {bundle: []byte("x"), authorityKey: []byte("x"), certificate: []byte("x"), key: []byte("x")},
		"garbled":                       {bundle: garbled, authorityKey: good.authorityKey, certificate: garbled, key: good.key},
		"no key of the authority":       {bundle: good.bundle, certificate: good.certificate, key: good.key},
		"another authority's key":       {bundle: good.bundle, authorityKey: other.authorityKey, certificate: good.certificate, key: good.key},
		"no certificate":                {bundle: good.bundle, authorityKey: good.authorityKey},
		"another certificate's key":     {bundle: good.bundle, authorityKey: good.authorityKey, certificate: good.certificate, key: other.key},
		"another authority's":           {bundle: good.bundle, authorityKey: good.authorityKey, certificate: other.certificate, key: other.key},
		"an authority that isn't one":   leaf,
		"a certificate of another host": wrongHost,
	} {
		t.Run(name, func(t *testing.T) { renew(t, renew(t, broken, began, true), began, false) })
	}
	for name, tc := range map[string]struct {
		now    time.Time
		change bool
	}{
		"a clock that is behind":   {began.Add(-backdated / 2), false},
		"two thirds of its life":   {began.Add(certificateLife * 2 / 3), false},
		"a third before its end":   {began.Add(certificateLife*2/3 + time.Second), true},
		"long after all has ended": {began.Add(2 * authorityLife), true},
	} {
		t.Run(name, func(t *testing.T) { renew(t, good, tc.now, tc.change) })
	}
}
