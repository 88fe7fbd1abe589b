package suite

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// collection is one kind of objects that runs make, outside of their namespaces.
type collection struct {
	list   func(context.Context, metav1.ListOptions) ([]string, error)
	remove func(context.Context, metav1.ListOptions) error
}

// collections lists the kinds.
func collections(client kubernetes.Interface) map[string]collection {
	namespaces := client.CoreV1().Namespaces()
	return map[string]collection{
		"namespaces": {
			list: names(namespaces.List),
			// Namespaces can't be removed as a collection.
			remove: func(ctx context.Context, options metav1.ListOptions) error {
				found, err := names(namespaces.List)(ctx, options)
				for _, name := range found {
					if err := namespaces.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
						return err
					}
				}
				return err
			},
		},
		"nodes": {names(client.CoreV1().Nodes().List), all(client.CoreV1().Nodes().DeleteCollection)},
		"cluster roles": {
			names(client.RbacV1().ClusterRoles().List), all(client.RbacV1().ClusterRoles().DeleteCollection),
		},
		"cluster role bindings": {
			names(client.RbacV1().ClusterRoleBindings().List), all(client.RbacV1().ClusterRoleBindings().DeleteCollection),
		},
		// Bootstrap tokens, which are nowhere else.
		"secrets of kube-system": {
			names(client.CoreV1().Secrets(metav1.NamespaceSystem).List),
			all(client.CoreV1().Secrets(metav1.NamespaceSystem).DeleteCollection),
		},
		"certificate signing requests": {
			names(client.CertificatesV1().CertificateSigningRequests().List),
			all(client.CertificatesV1().CertificateSigningRequests().DeleteCollection),
		},
	}
}

// names makes a list of names of a list of objects.
func names[L runtime.Object](
	list func(context.Context, metav1.ListOptions) (L, error),
) func(context.Context, metav1.ListOptions) ([]string, error) {
	return func(ctx context.Context, options metav1.ListOptions) ([]string, error) {
		found, err := list(ctx, options)
		if err != nil {
			return nil, err
		}
		var listed []string
		err = meta.EachListItem(found, func(object runtime.Object) error {
			accessor, err := meta.Accessor(object)
			if err == nil {
				listed = append(listed, accessor.GetName())
			}
			return err
		})
		return listed, err
	}
}

func all(
	remove func(context.Context, metav1.DeleteOptions, metav1.ListOptions) error,
) func(context.Context, metav1.ListOptions) error {
	return func(ctx context.Context, options metav1.ListOptions) error {
		return remove(ctx, metav1.DeleteOptions{}, options)
	}
}

// Left returns what is there of all that the run made.
func (s *Subject) Left(ctx context.Context) ([]string, error) {
	var found []string
	kinds := collections(s.Client)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		listed, err := kinds[kind].list(ctx, s.selector())
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", kind, err)
		}
		for _, name := range listed {
			found = append(found, kind+"/"+name)
		}
	}
	return found, nil
}

func (s *Subject) waitGone(ctx context.Context) error {
	return wait.Until(ctx, "all that the run made to be gone", wait.Options{Limit: closeLimit}, func(ctx context.Context) error {
		found, err := s.Left(ctx)
		if err == nil && len(found) > 0 {
			err = fmt.Errorf("there still are %s", strings.Join(found, ", "))
		}
		return err
	})
}
