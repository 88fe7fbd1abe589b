package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Options say which cluster is checked, and what is expected of it.
type Options struct {
	Kind       string // the name of a cluster of kind's, whose API is asked as kind says unless one of the next two is given
	Kubeconfig string // a file; empty for what kubectl would use
	Context    string // of the kubeconfig; empty for its current one
	Expect     Expectation
	Images     Images // Kubectl may be empty: then it is the one of the cluster's version
}

// connectLimit is how long a cluster may take to answer for the first time.
const connectLimit = 20 * time.Second

// Connect takes a first look at a cluster. Its errors are sentences for whoever asked for the run: the cluster doesn't answer, its
// version isn't supported, or rights are missing. It makes nothing.
func Connect(ctx context.Context, options Options) (*Subject, error) {
	s := &Subject{Expect: options.Expect, Images: options.Images, run: newRun(), started: time.Now()}
	s.Namespace = "kubecomm-conformance-" + s.run
	if err := s.reach(ctx, options); err != nil {
		return nil, err
	}
	s.Admin.QPS = -1 // checks ask side by side, and none should wait for the others
	s.Admin.WarningHandler = rest.NoWarnings{}
	var err error
	if s.Client, err = kubernetes.NewForConfig(s.Admin); err != nil {
		return nil, err
	}
	if err := s.checkVersion(ctx); err != nil {
		return nil, err
	}
	if err := s.checkRights(ctx); err != nil {
		return nil, err
	}
	if err := s.readNodes(ctx); err != nil {
		return nil, fmt.Errorf("reading the cluster's nodes: %w", err)
	}
	if s.before, err = s.readComponents(ctx); err != nil {
		return nil, fmt.Errorf("reading the components of the control plane: %w", err)
	}
	if s.Images.Kubectl == "" {
		s.Images.Kubectl = "registry.k8s.io/kubectl:" + s.Version
	}
	return s, nil
}

// reach finds out how to ask the cluster.
func (s *Subject) reach(ctx context.Context, options Options) error {
	var err error
	if options.Kind != "" {
		if s.kind, err = cluster.NewEngine().Open(ctx, options.Kind); err != nil {
			return err
		}
		if options.Kubeconfig == "" && options.Context == "" {
			s.Admin, err = s.kind.RESTConfig(ctx)
			return err
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = options.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: options.Context}
	s.Admin, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return fmt.Errorf("finding a cluster in the kubeconfig: %w; name one by -kubeconfig and -context, or -kind", err)
	}
	return nil
}

func (s *Subject) checkVersion(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	found, err := readVersion(limited, s.Client)
	if err != nil {
		return fmt.Errorf("the cluster at %s doesn't answer: %w", s.Admin.Host, err)
	}
	minor, err := strconv.Atoi(strings.TrimRight(found.Minor, "+"))
	if err != nil || found.Major != "1" {
		return fmt.Errorf("the cluster at %s has a version that isn't known: %s", s.Admin.Host, found.GitVersion)
	}
	if minor < settings.OldestMinor {
		return fmt.Errorf("the cluster at %s runs Kubernetes %s; the suite checks 1.%d and later", s.Admin.Host, found.GitVersion,
			settings.OldestMinor)
	}
	s.Version = found.GitVersion
	return nil
}

// readVersion is ServerVersion of the discovery client, which takes no context.
func readVersion(ctx context.Context, client kubernetes.Interface) (version.Info, error) {
	var found version.Info
	answer, err := client.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err == nil {
		err = json.Unmarshal(answer, &found)
	}
	return found, err
}

// needed is what the suite must be allowed to do.
func needed() []authorizationv1.ResourceAttributes {
	of := func(group, resource, subresource string, verbs ...string) []authorizationv1.ResourceAttributes {
		var all []authorizationv1.ResourceAttributes
		for _, verb := range verbs {
			all = append(all, authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Subresource: subresource})
		}
		return all
	}
	const rbac = "rbac.authorization.k8s.io"
	var all []authorizationv1.ResourceAttributes
	for _, each := range [][]authorizationv1.ResourceAttributes{
		of("", "namespaces", "", "create", "delete", "list"),
		of("", "nodes", "", "create", "delete", "deletecollection", "get", "list"),
		of("", "nodes", "status", "patch"),
		of("", "nodes", "proxy", "get"),
		of("", "pods", "", "create", "delete", "get", "list"),
		of("", "pods", "log", "get"),
		of("", "pods", "exec", "create", "get"),
		of("", "pods", "attach", "create", "get"),
		of("", "pods", "portforward", "create", "get"),
		of("", "pods", "proxy", "get", "create"),
		of("", "services", "", "create", "list"),
		of("", "services", "proxy", "get"),
		of("", "secrets", "", "create", "deletecollection", "list"),
		of("", "configmaps", "", "create"),
		of("", "serviceaccounts", "", "create"),
		of("", "serviceaccounts", "token", "create"),
		of(rbac, "clusterroles", "", "create", "deletecollection", "escalate", "bind", "list"),
		of(rbac, "clusterrolebindings", "", "create", "deletecollection", "list"),
		of(rbac, "roles", "", "create"),
		of(rbac, "rolebindings", "", "create"),
		of("certificates.k8s.io", "certificatesigningrequests", "", "deletecollection", "get", "list"),
		of("", "users", "", "impersonate"),
		of("", "groups", "", "impersonate"),
	} {
		all = append(all, each...)
	}
	return all
}

func (s *Subject) checkRights(ctx context.Context) error {
	rights := needed()
	missing := make([]string, len(rights))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, right := range rights {
		group.Go(func() error {
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &right}}
			answer, err := s.Client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err != nil {
				return fmt.Errorf("asking the cluster at %s what the suite may do: %w", s.Admin.Host, err)
			}
			if !answer.Status.Allowed {
				missing[i] = describeRight(right)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var all []string
	for _, right := range missing {
		if right != "" {
			all = append(all, right)
		}
	}
	if len(all) > 0 {
		return errors.New("the suite needs the rights of a cluster's administrator; on the cluster at " + s.Admin.Host +
			" it may not " + strings.Join(all, ", "))
	}
	return nil
}

func describeRight(right authorizationv1.ResourceAttributes) string {
	what := right.Resource
	if right.Subresource != "" {
		what += "/" + right.Subresource
	}
	return right.Verb + " " + what
}
