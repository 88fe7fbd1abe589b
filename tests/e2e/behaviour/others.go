package behaviour

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/behaviour/outside"
)

// stranger is whom the certificate names of a client whose CA the cluster doesn't know by itself.
const stranger = "a-stranger"

// outsideAddress is where the control plane's apiserver finds what isn't its own.
const outsideAddress = "127.0.0.1:18443"

// others is what is none of the cluster's own: a CA, with a client and a server of it, and keys that sign tokens.
type others struct {
	ca                    []byte // PEM, as are the next
	serverCert, serverKey []byte
	clientCert, clientKey []byte
	signs, signsNot       *rsa.PrivateKey // the issuer's, and one that isn't
}

// theOthers are made once in each run, and are the same for what is declared and for what is asked.
var theOthers = sync.OnceValue(func() others {
	const lifetime, bits = day, 2048
	authority := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "others"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, lifetime)
	server := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "outside"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, lifetime)
	client := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: stranger}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority, lifetime)
	found := others{
		ca: authority.certPEM(), serverCert: server.certPEM(), serverKey: server.keyPEM(),
		clientCert: client.certPEM(), clientKey: client.keyPEM(),
	}
	var err error
	found.signs, err = rsa.GenerateKey(rand.Reader, bits)
	utilruntime.Must(err)
	found.signsNot, err = rsa.GenerateKey(rand.Reader, bits)
	utilruntime.Must(err)
	return found
})

// issued is a certificate with its key.
type issued struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issue signs by an issuer, or with none by itself. Nothing here can fail but the machine.
func issue(template *x509.Certificate, by *issued, lifetime time.Duration) *issued {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	utilruntime.Must(err)
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	utilruntime.Must(err)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(lifetime)
	if by == nil {
		by = &issued{certificate: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key.Public(), by.key)
	utilruntime.Must(err)
	certificate, err := x509.ParseCertificate(der)
	utilruntime.Must(err)
	return &issued{certificate, key}
}

func (i *issued) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.certificate.Raw})
}

func (i *issued) keyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	utilruntime.Must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// The pages of an issuer (OpenID Connect Discovery 1.0, 4).
const (
	issuerURL     = "https://" + outsideAddress
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/keys"
)

func (o others) instructions() ([]byte, error) {
	discovery, err := json.Marshal(map[string]any{
		"issuer": issuerURL, "jwks_uri": issuerURL + keysPath, "response_types_supported": []string{"id_token"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{string(tokenAlgorithm)},
	})
	if err != nil {
		return nil, err
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: o.signs.Public(), KeyID: "others", Algorithm: string(tokenAlgorithm), Use: "sig",
	}}})
	if err != nil {
		return nil, err
	}
	return json.Marshal(outside.Instructions{
		Address: outsideAddress, Certificate: o.serverCert, Key: o.serverKey,
		Pages: map[string]json.RawMessage{discoveryPath: discovery, keysPath: keys},
	})
}

const programFile = "/var/lib/kubecomm-outside"

// serveOutside runs what isn't the cluster's own on the control plane, until the lab is closed.
func (l *Lab) serveOutside(ctx context.Context) error {
	program, err := buildOnNode(ctx)
	if err != nil {
		return err
	}
	node := l.controlPlane()
	if err := node.WriteFile(ctx, programFile, cluster.File{Data: program, Mode: 0o755}); err != nil {
		return err
	}
	if l.outside, err = node.Attach(ctx, cluster.Command{Args: []string{programFile}}); err != nil {
		return err
	}
	instructions, err := theOthers().instructions()
	if err != nil {
		return err
	}
	if _, err := l.outside.Write(instructions); err != nil {
		return fmt.Errorf("%s on node %s: %w", programFile, node.Name(), err)
	}
	said := make([]byte, len(outside.Ready))
	if _, err := io.ReadFull(l.outside, said); err != nil {
		return fmt.Errorf("%s on node %s: %w", programFile, node.Name(), err)
	}
	return nil
}

func buildOnNode(ctx context.Context) ([]byte, error) {
	folder, err := os.MkdirTemp("", "kubecomm-outside-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	program := filepath.Join(folder, "onnode")
	build := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", program,
		"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/behaviour/onnode")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building what runs on a node: %w\n%s", err, output)
	}
	return os.ReadFile(program)
}

// withOwnCA adds the cluster's CA to others, without which nothing in it would work.
func (l *Lab) withOwnCA(setting settings.Setting, value settings.Value) settings.Value {
	if setting.Form != settings.Certificates || value == nil {
		return value
	}
	return settings.Value{string(l.admin.CAData) + value.String()}
}
