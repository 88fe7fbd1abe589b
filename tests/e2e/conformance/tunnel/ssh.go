package tunnel

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/metrics"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// sshLimit leaves time to look into every node of a cluster.
const sshLimit = 2 * time.Minute

func sshChecks() []suite.Check {
	return []suite.Check{
		{
			ID: area + "ssh-connections",
			Sentence: "every control plane's proxy is connected to every node by the host key that the node's server has, and the server " +
				"lets in the control planes' keys, and nobody else's",
			Answers: []string{"C5", "T1", "T2"},
			Limit:   sshLimit,
			Try:     only(suite.SSH, sshConnections),
		},
		{
			ID: area + "ssh-carries-exec",
			Sentence: "an exec is a connection that the apiserver begins through an HTTP proxy over a Unix socket, and that its proxy and the " +
				"node's SSH server count too",
			Answers: []string{"C5", "T1", "T2"},
			Limit:   sshLimit,
			Try:     only(suite.SSH, sshCarriesExec),
		},
		{
			ID:       area + "ssh-refuses-strangers",
			Sentence: "nodes' SSH servers show the host keys that proxies have pinned, and don't let in a client with a key of its own",
			Answers:  []string{"T2"},
			Limit:    sshLimit,
			Refusal:  noLogIn,
			Control:  only(suite.SSH, onEveryDoor(knocked)),
			Try:      only(suite.SSH, onEveryDoor(refused)),
		},
		{
			ID:       area + "ssh-identities",
			Sentence: "proxies may see at the API which nodes there are, and renew their own token, and do nothing else",
			Answers:  []string{"T2"},
			Try:      only(suite.SSH, sshIdentities),
		},
		{
			ID: area + "ssh-sandbox",
			Sentence: "the programs of SSH tunnels run as users that exist for them alone and have no capability; root alone reads their keys and " +
				"connects to their sockets",
			Answers: []string{"T2"},
			Limit:   sshLimit,
			Try:     only(suite.SSH, sshSandbox),
		},
	}
}

// ask asks one end of a tunnel at the loopback address of its node, which it is dialled from: by way of the API, the question would
// go through the tunnel that it is about.
func ask(
	ctx context.Context, s *suite.Subject, e *suite.Evidence, node suite.Node, port int, path string,
) (probe.Answer, error) {
	inside, err := s.Inside(node)
	if err != nil {
		return probe.Answer{}, err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	e.Note("on node %s, port %d is asked for %s", node.Name, port, path)
	return probe.Do(ctx, e, probe.Request{
		URL:  "http://" + address + path,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return inside.Dial(ctx, address) },
	})
}

// askStatus asks how an end of a tunnel is. Whether it finds that good is its own matter: a Node that a check makes has no server,
// and has every proxy say that it isn't ready.
func askStatus[S any](
	ctx context.Context, s *suite.Subject, e *suite.Evidence, node suite.Node, port int, path string,
) (S, error) {
	var status S
	answer, err := ask(ctx, s, e, node, port, path)
	if err == nil {
		err = json.Unmarshal([]byte(answer.Body), &status)
	}
	if err != nil {
		err = fmt.Errorf("nothing at port %d of node %s says how the tunnel is: %w", port, node.Name, err)
	}
	return status, err
}

func sshCarriesExec(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	apiserver, err := egress(s, "http_connect")
	if err != nil {
		return err
	}
	controlPlanes, err := s.ControlPlanes()
	if err != nil {
		return err
	}
	metricsOf := func(node suite.Node, port int) func(context.Context) ([]byte, error) {
		return func(ctx context.Context) ([]byte, error) {
			answer, err := ask(ctx, s, e, node, port, "/metrics")
			return []byte(answer.Body), err
		}
	}
	node := s.LastNode()
	return execCounted(ctx, s, e, node, apiserver,
		place{
			called: "the proxy of node " + controlPlanes[0].Name, read: metricsOf(controlPlanes[0], ssh.ProxyHealthPort),
			metric: "kubecomm_ssh_proxy_dials_total", labels: metrics.Labels{"node": node.Name, "result": "ok"},
		},
		place{
			called: "the SSH server of node " + node.Name, read: metricsOf(node, ssh.ServerHealthPort),
			metric: "kubecomm_ssh_server_forwards_total",
		})
}
