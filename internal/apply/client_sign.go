package apply

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// signLimit is how long the controller manager may take to sign what was approved.
const signLimit = 60 * time.Second

// signClient has the cluster's CA sign a client certificate for something on the job's node, by a CertificateSigningRequest
// that it approves itself and removes again.
func (j job) signClient(ctx context.Context, what, reason string, request *pki.SigningRequest) (*x509.Certificate, error) {
	client, err := realInstance(ctx, j.node).client(ctx, j.target)
	if err != nil {
		return nil, err
	}
	defer client.close()
	requests := client.CertificatesV1().CertificateSigningRequests()
	name := what + ":" + j.node.Name()
	remove := func(ctx context.Context) error {
		if err := requests.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("removing CertificateSigningRequest %s: %w", name, err)
		}
		return nil
	}
	if err := remove(ctx); err != nil { // that an interrupted apply left
		return nil, err
	}
	created, err := requests.Create(ctx, &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{managedLabel: managedBy}},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: request.CSR, SignerName: certificatesv1.KubeAPIServerClientSignerName,
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("creating CertificateSigningRequest %s: %w", name, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
		defer cancel()
		_ = remove(ctx) // or the cluster does, an hour later
	}()
	// What is approved is what was created: the resource version goes with it.
	created.Status.Conditions = append(created.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Kubecomm",
		Message: reason + ", declared in kubecomm_hardening",
	})
	if _, err := requests.UpdateApproval(ctx, name, created, metav1.UpdateOptions{}); err != nil {
		return nil, fmt.Errorf("approving CertificateSigningRequest %s: %w", name, err)
	}
	return waitSigned(ctx, client, name, request)
}

// tryKubelet asks a kubelet for something, from a node, with a client certificate, and returns an error unless the kubelet
// lets the client in. Whether it then finds what was asked for doesn't matter.
func tryKubelet(ctx context.Context, from Node, address netip.AddrPort, pair tls.Certificate, method, target string) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	raw, err := from.Dial(ctx, address.String())
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }()
	// Whom the kubelet is, other steps prove.
	conn := tls.Client(raw, &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}) //nolint:gosec // see above
	response, err := roundTrip(ctx, conn, method, "https://"+address.String()+target)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		return fmt.Errorf("%s %s: %w", method, target, explainRefusal(response))
	}
	return nil
}
