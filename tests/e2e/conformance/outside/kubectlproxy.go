package outside

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/proxy"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// serveProxy does what `kubectl proxy` does, on a free port (k8s.io/kubectl v0.37.2, pkg/cmd/proxy/proxy.go), until it is
// stopped. It returns its URL.
func serveProxy(ctx context.Context, config *rest.Config) (at string, stop func(), err error) {
	filter := &proxy.FilterServer{
		AcceptPaths:   proxy.MakeRegexpArrayOrDie(proxy.DefaultPathAcceptRE),
		RejectPaths:   proxy.MakeRegexpArrayOrDie(proxy.DefaultPathRejectRE),
		AcceptHosts:   proxy.MakeRegexpArrayOrDie(proxy.DefaultHostAcceptRE),
		RejectMethods: proxy.MakeRegexpArrayOrDie(proxy.DefaultMethodRejectRE),
	}
	handler, err := proxy.NewProxyHandler("/", filter, config, 0, false)
	if err != nil {
		return "", nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String(), func() { _ = server.Close() }, nil
}

// throughProxy asks over plain HTTP and without credentials. The name, if there is one, is what the proxy is asked by.
func throughProxy(
	ctx context.Context, e *suite.Evidence, config *rest.Config, name, path string, status int, part string,
) error {
	at, stop, err := serveProxy(ctx, config)
	if err != nil {
		return err
	}
	defer stop()
	request := probe.Request{URL: at + path}
	if name != "" {
		address := strings.TrimPrefix(at, "http://")
		request.URL = "http://" + name + path
		request.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	}
	_, err = probe.Expect(ctx, e, request, status, part)
	return err
}

func readThroughProxy(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	if _, err := verified(s.Admin, version); err != nil {
		return err
	}
	return throughProxy(ctx, e, s.Admin, "", pods(s), http.StatusOK, `"kind":"PodList"`)
}

func proxyAnswers() suite.Check {
	return suite.Check{
		ID:       area + "kubectl-proxy",
		Sentence: "kubectl's proxy answers clients of this machine that show no credentials, with those of the kubeconfig",
		Answers:  []string{"A2", "A12"},
		Try:      readThroughProxy,
	}
}

func proxyHost() suite.Check {
	const foreign = "foreign.invalid"
	return suite.Check{
		ID:       area + "kubectl-proxy-host",
		Sentence: "kubectl's proxy refuses to be asked by another name than this machine's own, as a page of somebody else's would",
		Answers:  []string{"A2", "A12"}, Refusal: "Forbidden",
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return throughProxy(ctx, e, s.Admin, "localhost", version, http.StatusOK, `"gitVersion"`)
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return throughProxy(ctx, e, s.Admin, foreign, version, http.StatusForbidden, "Forbidden")
		},
	}
}

func proxyVerifies() suite.Check {
	return suite.Check{
		ID:       area + "kubectl-proxy-verifies",
		Sentence: "kubectl's proxy passes nothing on to an apiserver that its root certificate didn't sign",
		Answers:  []string{"A2"}, Refusal: unknownAuthority,
		Control: readThroughProxy,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			config, err := distrusting(s.Admin)
			if err != nil {
				return err
			}
			return throughProxy(ctx, e, config, "", pods(s), http.StatusInternalServerError, unknownAuthority)
		},
	}
}
