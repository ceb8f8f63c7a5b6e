package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// A server and a client with certificates of one authority must talk, and a
// client of another authority must be turned away: by crypto/tls, not by us.
func TestAuthorityOverTLS(t *testing.T) {
	ca, other := mustAuthority(t), mustAuthority(t)
	server := mustIssue(t, ca, identity{user: "server", hosts: []string{"127.0.0.1", "example.test"}})

	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject := r.TLS.PeerCertificates[0].Subject
		io.WriteString(w, subject.CommonName+"/"+subject.Organization[0])
	}))
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()

	get := func(client tls.Certificate) (string, error) {
		c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{client}}}}
		resp, err := c.Get(srv.URL)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	id := identity{user: "system:node:node-a", groups: []string{"system:nodes"}}
	if got, err := get(mustIssue(t, ca, id)); err != nil || got != "system:node:node-a/system:nodes" {
		t.Errorf("client of the same authority: %q, %v", got, err)
	}
	if got, err := get(mustIssue(t, other, id)); err == nil {
		t.Errorf("client of another authority was let in as %q", got)
	}
}

func TestClientCertificateCannotServe(t *testing.T) {
	pair := mustIssue(t, mustAuthority(t), identity{user: "a"})
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		t.Error("a certificate without hosts may serve")
	}
}

func TestAuthorityPEM(t *testing.T) {
	ca := mustAuthority(t)
	block, rest := pem.Decode(ca.pem)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		t.Fatalf("not one PEM certificate: %q", ca.pem)
	}
}

func mustAuthority(t *testing.T) *authority {
	t.Helper()
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func mustIssue(t *testing.T, ca *authority, id identity) tls.Certificate {
	t.Helper()
	pair, err := ca.issue(id)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pair.cert, pair.key)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
