package behaviour

import (
	"context"
	"crypto/tls"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// otherCAs is declared beside the cluster's own.
const otherCAs = "the cluster's CA and another"

func clientCAPairs() []Pair {
	bundle := Values{First: {string(theOthers().ca)}}
	return []Pair{
		{
			Setting: "apiserver.client_ca_bundle",
			Shows:   "a client is known by a certificate of another CA",
			Values:  bundle, Called: otherCAs,
			Answers: Answers{
				Before: "a client of the other CA: 401 Unauthorized, the administrator: kubernetes-admin",
				First:  "a client of the other CA: " + stranger + ", the administrator: kubernetes-admin",
				Second: "a client of the other CA: 401 Unauthorized, the administrator: kubernetes-admin",
			},
			ask: askWhoTheyAre,
		},
		{
			Setting: settings.NameKubeletClientCA,
			Shows:   "a kubelet lets a client in that has a certificate of another CA, and may read metrics",
			Values:  bundle, Called: otherCAs,
			Answers: Answers{
				Before: "a client of the other CA: 401 Unauthorized, the administrator: 200 OK",
				First:  "a client of the other CA: 200 OK, the administrator: 200 OK",
				Second: "a client of the other CA: 401 Unauthorized, the administrator: 200 OK",
			},
			ask: askKubeletWithCertificates,
		},
	}
}

// ofOthers returns a client with the other CA's certificate, which it shows whatever CAs the server asks for.
func (l *Lab) ofOthers() *rest.Config {
	config := rest.AnonymousClientConfig(l.admin)
	config.CertData, config.KeyData = theOthers().clientCert, theOthers().clientKey
	return config
}

func askWhoTheyAre(ctx context.Context, lab *Lab) (string, error) {
	var answers together
	for _, client := range []struct {
		called string
		config *rest.Config
	}{{"a client of the other CA", lab.ofOthers()}, {"the administrator", lab.admin}} {
		answer, err := nameOf(ctx, client.config)
		if err != nil {
			return "", err
		}
		answers.add(client.called, answer)
	}
	return answers.String(), nil
}

// nameOf asks the API who somebody is, and returns the name, or how the API refuses.
func nameOf(ctx context.Context, config *rest.Config) (string, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", err
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().
		Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return verdict(err)
	}
	return review.Status.UserInfo.Username, nil
}

func askKubeletWithCertificates(ctx context.Context, lab *Lab) (string, error) {
	pair, err := tls.X509KeyPair(theOthers().clientCert, theOthers().clientKey)
	if err != nil {
		return "", err
	}
	administrator, err := lab.certified()
	if err != nil {
		return "", err
	}
	shows := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	var answers together
	for _, client := range []struct {
		called string
		config *tls.Config
	}{{"a client of the other CA", &tls.Config{GetClientCertificate: shows}}, {"the administrator", administrator}} {
		url := at(lab.worker(), "https", kubelet.Port, "/metrics")
		answer, err := question{from: lab.controlPlane(), url: url, client: client.config}.status(ctx)
		if err != nil {
			return "", err
		}
		answers.add(client.called, answer)
	}
	return answers.String(), nil
}
