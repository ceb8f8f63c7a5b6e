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
	"path/filepath"
	"time"
)

// authority is the one CA that signs every certificate of the cluster, both
// servers' and clients'. It lives as long as one `up`; its key is never
// written.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// keyPair is a certificate with its key, both PEM.
type keyPair struct{ cert, key []byte }

// Certificates outlive any reasonable run, and start in the past for clocks
// that are set back.
func validity() (notBefore, notAfter time.Time) {
	now := time.Now()
	return now.Add(-time.Hour), now.AddDate(1, 0, 0)
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "kubectl-seccomp local cluster"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	template.NotBefore, template.NotAfter = validity()
	if template.SerialNumber, err = serial(); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key, pem: encodePEM("CERTIFICATE", der)}, nil
}

// identity is whom a certificate stands for. Kubernetes reads the common name
// as the user and the organizations as its groups. Hosts (names or IP
// addresses) make it a server's certificate too.
type identity struct {
	user   string
	groups []string
	hosts  []string
}

func (a *authority) issue(id identity) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: id.user, Organization: id.groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	template.NotBefore, template.NotAfter = validity()
	if template.SerialNumber, err = serial(); err != nil {
		return keyPair{}, err
	}
	for _, h := range id.hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	if len(id.hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return keyPair{}, err
	}
	keyPEM, err := encodeKey(key)
	return keyPair{cert: encodePEM("CERTIFICATE", der), key: keyPEM}, err
}

func serial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// encodeKey writes the form of RFC 5915: it is the one from which the API
// server can also take the public key, for service-account tokens.
func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return encodePEM("EC PRIVATE KEY", der), err
}

// writeCredentials makes every certificate, key and kubeconfig anew.
func writeCredentials(l Layout) error {
	ca, err := newAuthority()
	if err != nil {
		return fmt.Errorf("make the certificate authority: %w", err)
	}
	files := map[string][]byte{l.pki("ca.crt"): ca.pem}

	// Service-account tokens are signed by a key of their own.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if files[l.pki("sa.key")], err = encodeKey(key); err != nil {
		return err
	}

	pairs := map[string]identity{
		"apiserver": {user: "kube-apiserver", hosts: []string{
			"127.0.0.1", "localhost", bridgeIP, serviceIP,
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		// What the API server shows kubelets for logs, exec and attach.
		"apiserver-kubelet-client": {user: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}},
	}
	for _, n := range l.Nodes {
		pairs["kubelet-"+n.Name] = identity{user: "system:node:" + n.Name, hosts: []string{n.Name, bridgeIP}}
	}
	for name, id := range pairs {
		pair, err := ca.issue(id)
		if err != nil {
			return fmt.Errorf("make the certificate of %s: %w", name, err)
		}
		files[l.pki(name+".crt")], files[l.pki(name+".key")] = pair.cert, pair.key
	}

	users := map[string]identity{
		l.kubeconfig(): {user: "cluster-admin", groups: []string{"system:masters"}},
		l.componentKubeconfig("controller-manager"): {user: "system:kube-controller-manager"},
		l.componentKubeconfig("scheduler"):          {user: "system:kube-scheduler"},
	}
	for _, n := range l.Nodes {
		users[l.componentKubeconfig(n.Name)] = identity{user: "system:node:" + n.Name, groups: []string{"system:nodes"}}
	}
	for path, id := range users {
		pair, err := ca.issue(id)
		if err != nil {
			return fmt.Errorf("make the certificate of %s: %w", id.user, err)
		}
		if files[path], err = kubeconfig(ca.pem, id.user, pair); err != nil {
			return err
		}
	}
	return writeFiles(files, 0o600)
}

// writeFiles writes files, making their folders.
func writeFiles(files map[string][]byte, mode os.FileMode) error {
	for path, data := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, mode); err != nil {
			return err
		}
	}
	return nil
}
