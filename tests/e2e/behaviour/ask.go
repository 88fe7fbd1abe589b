package behaviour

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/imposter"
)

// question is a GET from inside a node. Whose certificate it is that the server shows is another test's matter.
type question struct {
	from   *cluster.Node
	url    string
	token  string      // for none, empty
	client *tls.Config // for one without a certificate, nil
}

const refused = "connection refused"

// status returns the status of the answer, or how the server refused to talk at all, in its own words.
func (q question) status(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, q.url, nil)
	if err != nil {
		return "", err
	}
	if q.token != "" {
		request.Header.Set("Authorization", "Bearer "+q.token)
	}
	config := &tls.Config{}
	if q.client != nil {
		config = q.client.Clone()
	}
	config.InsecureSkipVerify = true
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, to string) (net.Conn, error) { return q.from.Dial(ctx, to) },
		TLSClientConfig:   config,
		DisableKeepAlives: true,
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return refusal(err)
	}
	defer response.Body.Close()
	return response.Status, nil
}

func refusal(err error) (string, error) {
	if remote, ok := errors.AsType[*net.OpError](err); ok && remote.Op == "remote error" {
		return remote.Error(), nil
	}
	if failure, ok := errors.AsType[*cluster.CommandError](err); ok && strings.Contains(failure.Error(), "Connection refused") {
		return refused, nil
	}
	return "", err
}

// certified is a client with the administrator's certificate.
func (l *Lab) certified() (*tls.Config, error) { return rest.TLSConfigFor(l.admin) }

// at is the URL of a port and path at the address that the container engine gave a node.
func at(node *cluster.Node, scheme string, port uint16, path string) string {
	return fmt.Sprintf("%s://%s%s", scheme, netip.AddrPortFrom(imposter.Address(node), port), path)
}

// onLoopback is the URL of a port and path in the node that is asked from.
func onLoopback(port uint16, path string) string {
	return fmt.Sprintf("https://127.0.0.1:%d%s", port, path)
}

// together makes one answer of those to several clients, by what tells these apart.
type together []string

func (t *together) add(client, answer string) { *t = append(*t, client+": "+answer) }

func (t together) String() string { return strings.Join(t, ", ") }
