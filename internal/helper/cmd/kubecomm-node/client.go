package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/approver"
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

func newClient(config approver.Config, caFile string) (*client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		certificatesv1.AddToScheme, eventsv1.AddToScheme, authenticationv1.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	metav1.AddToGroupVersion(scheme, certificatesv1.SchemeGroupVersion)
	c := &client{}
	var err error
	c.rest, err = rest.UnversionedRESTClientFor(&rest.Config{
		Host:            config.Server,
		TLSClientConfig: rest.TLSClientConfig{ServerName: config.ServerName, CAFile: caFile},
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

const requestsPath = "/apis/certificates.k8s.io/v1/certificatesigningrequests"

// listWatch sees kubelets' requests for serving certificates only.
func (c *client) listWatch() cache.ListerWatcher {
	ofKubelets := fields.OneTermEqualSelector("spec.signerName", certificatesv1.KubeletServingSignerName).String()
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = ofKubelets
			list := &certificatesv1.CertificateSigningRequestList{}
			err := c.rest.Get().AbsPath(requestsPath).VersionedParams(&options, metav1.ParameterCodec).Do(ctx).Into(list)
			return list, c.noted(err)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector, options.Watch = ofKubelets, true
			watched, err := c.rest.Get().AbsPath(requestsPath).VersionedParams(&options, metav1.ParameterCodec).Watch(ctx)
			return watched, c.noted(err)
		},
	}
}

// noted passes on an error of what is done over and over.
func (c *client) noted(err error) error {
	if apierrors.IsUnauthorized(err) {
		c.unknown(err)
	}
	return err
}

// Approve implements approver.API. The request's resource version goes with it: what is approved is what was judged.
func (c *client) Approve(ctx context.Context, request *certificatesv1.CertificateSigningRequest) error {
	request.TypeMeta = metav1.TypeMeta{APIVersion: certificatesv1.SchemeGroupVersion.String(), Kind: "CertificateSigningRequest"}
	return c.rest.Put().AbsPath(requestsPath, request.Name, "approval").Timeout(answerLimit).Body(request).Do(ctx).Error()
}

// Tell implements approver.API.
func (c *client) Tell(ctx context.Context, event *eventsv1.Event) error {
	event.TypeMeta = metav1.TypeMeta{APIVersion: eventsv1.SchemeGroupVersion.String(), Kind: "Event"}
	path := fmt.Sprintf("/apis/events.k8s.io/v1/namespaces/%s/events", event.Namespace)
	err := c.rest.Post().AbsPath(path).Timeout(answerLimit).Body(event).Do(ctx).Error()
	if apierrors.IsAlreadyExists(err) {
		return nil
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

var _ approver.API = (*client)(nil)
