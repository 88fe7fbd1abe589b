package main

import (
	"context"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/approver"
)

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

var _ approver.API = (*client)(nil)
