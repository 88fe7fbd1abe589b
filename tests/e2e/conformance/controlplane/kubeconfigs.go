package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/standin"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// kubeletConfig is where kubeadm has kubelets' kubeconfigs.
const kubeletConfig = "/etc/kubernetes/kubelet.conf"

// kubeconfig is a file on a node by which something there finds the apiserver.
type kubeconfig struct {
	node *cluster.Node
	path string
}

func (k kubeconfig) String() string { return k.path + " of node " + k.node.Name() }

// ways are those that the kubeconfigs on nodes lead to the apiserver.
func ways() []suite.Check {
	const leads = " lead to the apiserver's secure port, and have a server refused that pretends to be it"
	return []suite.Check{
		verifies(suite.Check{
			ID:       area + "kubelets-verify-apiserver",
			Sentence: "kubelets' kubeconfigs" + leads,
			Answers:  []string{"N4", "N8"},
		}, kubeletConfigs),
		verifies(suite.Check{
			ID:       area + "components-verify-apiserver",
			Sentence: "the kubeconfigs of controller managers and schedulers" + leads,
			Answers:  []string{"N7", "N8"},
		}, componentConfigs),
	}
}

func kubeletConfigs(_ context.Context, s *suite.Subject) ([]kubeconfig, error) {
	var found []kubeconfig
	for _, node := range s.Nodes {
		known, err := s.Inside(node)
		if err != nil {
			return nil, err
		}
		found = append(found, kubeconfig{known, kubeletConfig})
	}
	return found, nil
}

func componentConfigs(ctx context.Context, s *suite.Subject) ([]kubeconfig, error) {
	nodes, err := s.ControlPlanes()
	if err != nil {
		return nil, err
	}
	var found []kubeconfig
	for _, node := range nodes {
		known, err := s.Inside(node)
		if err != nil {
			return nil, err
		}
		for _, component := range []settings.Component{settings.ControllerManager, settings.Scheduler} {
			flags, err := s.Flags(ctx, node, component)
			if err != nil {
				return nil, err
			}
			path, given := flags.Get("kubeconfig")
			if !given {
				return nil, suite.Skip("%s of node %s isn't told where its kubeconfig is", component, node.Name)
			}
			found = append(found, kubeconfig{known, path})
		}
	}
	return found, nil
}

// verifies asks as a client by kubeconfigs, whose credentials it leaves alone: once the apiserver, and once who has its place.
func verifies(check suite.Check, find func(context.Context, *suite.Subject) ([]kubeconfig, error)) suite.Check {
	check.Refusal = "x509: certificate signed by unknown authority"
	each := func(do func(context.Context, *suite.Evidence, kubeconfig, probe.Request) error) suite.Action {
		return func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			files, err := find(ctx, s)
			if err != nil {
				return err
			}
			var problems []error
			for _, file := range files {
				request, err := file.request(ctx)
				if err == nil {
					err = do(ctx, e, file, request)
				}
				if err != nil {
					problems = append(problems, fmt.Errorf("%s: %w", file, err))
				}
			}
			return errors.Join(problems...)
		}
	}
	check.Control = each(func(ctx context.Context, e *suite.Evidence, file kubeconfig, request probe.Request) error {
		answer, err := probe.Do(ctx, e, request) // may an anonymous client ask, or not: it has been verified who answers
		if err != nil {
			return err
		}
		if answer.Certificate == nil {
			return fmt.Errorf("%s answered without a certificate to verify", request.URL)
		}
		e.Note("%s leads to %s, who is verified: %s", file, request.URL, probe.Describe(answer.Certificate))
		return nil
	})
	check.Try = each(func(ctx context.Context, e *suite.Evidence, _ kubeconfig, request probe.Request) error {
		impostor, err := standin.Serve(ctx, request, http.NotFoundHandler())
		if err != nil {
			return err
		}
		defer impostor.Close()
		request.Dial = impostor.Dial
		_, err = probe.Do(ctx, e, request)
		return probe.Refused(err, check.Refusal)
	})
	return check
}

// request asks as a client without credentials, from the file's node.
func (k kubeconfig) request(ctx context.Context) (probe.Request, error) {
	file, err := k.node.ReadFile(ctx, k.path)
	if err != nil {
		return probe.Request{}, err
	}
	request, err := requestBy(file.Data)
	request.Dial = func(ctx context.Context, _, address string) (net.Conn, error) { return k.node.Dial(ctx, address) }
	return request, err
}

// requestBy understands a kubeconfig that holds its root certificate, as kubeadm's do. Its errors say nothing of the file, which may
// hold a key.
func requestBy(data []byte) (probe.Request, error) {
	loaded, err := clientcmd.Load(data)
	if err != nil {
		return probe.Request{}, errors.New("it can't be read as a kubeconfig")
	}
	for name := range loaded.AuthInfos {
		loaded.AuthInfos[name] = api.NewAuthInfo()
	}
	config, err := clientcmd.NewDefaultClientConfig(*loaded, nil).ClientConfig()
	if err != nil {
		return probe.Request{}, errors.New("it has no current context with a cluster and a user")
	}
	if config.CAFile != "" {
		return probe.Request{}, suite.Skip("a kubeconfig names a file with its root certificate, and doesn't hold it")
	}
	request, err := probe.API(config, livez)
	if err != nil {
		return request, err
	}
	if at, err := url.Parse(request.URL); err != nil || at.Scheme != "https" {
		return request, fmt.Errorf("its server is %s, not one of HTTPS", request.URL)
	}
	return request, nil
}
