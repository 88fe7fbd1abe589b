package main

import (
	"context"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/route"
)

const nodesPath = "/api/v1/nodes"

// addNodes has a client know nodes, and nothing else of their group.
func addNodes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Node{}, &corev1.NodeList{})
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	return nil
}

func (c *client) nodes() cache.ListerWatcher {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list := &corev1.NodeList{}
			err := c.rest.Get().AbsPath(nodesPath).VersionedParams(&options, metav1.ParameterCodec).Do(ctx).Into(list)
			return list, c.noted(err)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.Watch = true
			watched, err := c.rest.Get().AbsPath(nodesPath).VersionedParams(&options, metav1.ParameterCodec).Watch(ctx)
			return watched, c.noted(err)
		},
	}
}

// settleTime is how long to wait for more when something changed: a thousand nodes come one by one.
const settleTime = 100 * time.Millisecond

// tellNodes tells of all nodes whenever there are others, until the context ends.
func (c *client) tellNodes(ctx context.Context, tell func([]proxy.Node)) {
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: c.nodes(), ObjectType: &corev1.Node{}, Transform: essence,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { note() }, UpdateFunc: func(any, any) { note() }, DeleteFunc: func(any) { note() },
		},
	})
	go controller.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
		return
	}
	for {
		var nodes []proxy.Node
		for _, object := range store.List() {
			if node, ok := object.(*corev1.Node); ok {
				nodes = append(nodes, nodeOf(node))
			}
		}
		tell(nodes)
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(settleTime):
		}
	}
}

// essence keeps of a node what matters here: the rest, such as its images, is most of it.
func essence(object any) (any, error) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	kept := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion},
		Spec:       corev1.NodeSpec{PodCIDRs: node.Spec.PodCIDRs},
		Status:     corev1.NodeStatus{Addresses: node.Status.Addresses},
	}
	if value, there := node.Labels[controlPlaneLabel]; there {
		kept.Labels = map[string]string{controlPlaneLabel: value}
	}
	return kept, nil
}

const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// nodeOf is what a proxy is to know of a node. Addresses by which nobody else reaches it aren't its alone.
func nodeOf(node *corev1.Node) proxy.Node {
	_, controlPlane := node.Labels[controlPlaneLabel]
	found := proxy.Node{Node: route.Node{Name: node.Name}, ControlPlane: controlPlane}
	for _, each := range node.Status.Addresses {
		address, err := netip.ParseAddr(each.Address)
		switch {
		case err == nil && ssh.Reachable(address.Unmap()):
			found.Addresses = append(found.Addresses, address.Unmap())
		case err != nil && each.Type != corev1.NodeInternalIP && each.Type != corev1.NodeExternalIP:
			found.Hostnames = append(found.Hostnames, each.Address)
		}
	}
	for _, each := range node.Spec.PodCIDRs {
		if cidr, err := netip.ParsePrefix(each); err == nil {
			found.PodCIDRs = append(found.PodCIDRs, cidr)
		}
	}
	return found
}
