package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
)

// answerLimit bounds one request, but for watches.
const answerLimit = 30 * time.Second

// client is a connection to the control plane's own apiserver. It knows a few kinds of objects only: client-go's typed
// clients know all, at the price of a program of twice the size.
type client struct {
	rest    *rest.RESTClient
	token   func() string
	unknown func(error) // is told if the API doesn't know the token
}

// account is who a program is at which apiserver.
type account struct {
	server, serverName string // the URL, and whom it must show to be
	namespace, name    string
}

// newClient makes one that knows some kinds of objects, and how to ask for tokens.
func newClient(account account, caFile string, kinds ...func(*runtime.Scheme) error) (*client, error) {
	scheme := runtime.NewScheme()
	for _, add := range append(kinds, authenticationv1.AddToScheme) {
		utilruntime.Must(add(scheme))
	}
	metav1.AddToGroupVersion(scheme, authenticationv1.SchemeGroupVersion)
	c := &client{}
	var err error
	c.rest, err = rest.UnversionedRESTClientFor(&rest.Config{
		Host:            account.server,
		TLSClientConfig: rest.TLSClientConfig{ServerName: account.serverName, CAFile: caFile},
		UserAgent:       "kubecomm-node/" + version,
		ContentConfig:   rest.ContentConfig{NegotiatedSerializer: serializer.NewCodecFactory(scheme).WithoutConversion()},
		WrapTransport:   func(next http.RoundTripper) http.RoundTripper { return &bearer{c, next} },
	})
	return c, err
}

// bearer shows the token as it is by then.
type bearer struct {
	client *client
	next   http.RoundTripper
}

func (b *bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+b.client.token())
	return b.next.RoundTrip(request)
}

// noted passes on an error of what is done over and over.
func (c *client) noted(err error) error {
	if apierrors.IsUnauthorized(err) {
		c.unknown(err)
	}
	return err
}

// requestToken asks for a token of the service account's.
func (c *client) requestToken(ctx context.Context, namespace, name string, lifetime time.Duration) (string, error) {
	seconds := int64(lifetime / time.Second)
	asked := &authenticationv1.TokenRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenRequest"},
		Spec:     authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}
	answer := &authenticationv1.TokenRequest{}
	path := fmt.Sprintf("/api/v1/namespaces/%s/serviceaccounts/%s/token", namespace, name)
	err := c.rest.Post().AbsPath(path).Timeout(answerLimit).Body(asked).Do(ctx).Into(answer)
	return answer.Status.Token, err
}
