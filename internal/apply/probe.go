package apply

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// probeLimit bounds one look at a server.
const probeLimit = 15 * time.Second

// refusalLimit is a little longer than a kubelet keeps a refusal: authorization.webhook.cacheUnauthorizedTTL, 30 s by
// default (pkg/kubelet/apis/config/v1beta1/defaults.go, v1.37.1).
const refusalLimit = 35 * time.Second

var errRefused = errors.New(http.StatusText(http.StatusForbidden))

// answered is what a kubelet showed and said to a client on a control plane.
type answered struct {
	chain         []*x509.Certificate // as served, leaf first
	chainProblem  error               // why there is none
	config        kubelet.Fields      // from /configz
	configProblem error               // why there is none
}

// askKubelet connects to a kubelet from a control plane, as the cluster's administrator. The handshake verifies nothing:
// the caller judges the chain, also one that no client would accept.
func askKubelet(ctx context.Context, target Target, address netip.AddrPort) answered {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	conn, err := connectTLS(ctx, target, address, "")
	if err != nil {
		return answered{chainProblem: err, configProblem: err}
	}
	defer func() { _ = conn.Close() }()
	chain := conn.ConnectionState().PeerCertificates
	config, err := readConfigz(ctx, conn, address)
	return answered{chain: chain, config: config, configProblem: err}
}

// askSettledKubelet is askKubelet, and asks again while the kubelet refuses to tell what it runs with: an apiserver that
// has just started doesn't know all roles yet, and the kubelet keeps what it was told then.
func askSettledKubelet(ctx context.Context, target Target, address netip.AddrPort) (answer answered) {
	what := fmt.Sprintf("the kubelet at %s to tell what it runs with", address)
	err := wait.Until(ctx, what, wait.Options{Limit: refusalLimit, Every: time.Second}, func(ctx context.Context) error {
		answer = askKubelet(ctx, target, address)
		if errors.Is(answer.configProblem, errRefused) {
			return answer.configProblem
		}
		return nil
	})
	answer.configProblem = cmp.Or(err, answer.configProblem)
	return answer
}

// connectTLS names the server that it means only if it has a name, as clients do that know no more than an address.
func connectTLS(ctx context.Context, target Target, address netip.AddrPort, name string) (*tls.Conn, error) {
	admin, err := target.Admin(ctx)
	if err != nil {
		return nil, err
	}
	config, err := rest.TLSConfigFor(admin)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	config.InsecureSkipVerify = true
	config.ServerName = name
	from := target.controlPlanes()[0]
	raw, err := from.Dial(ctx, address.String())
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("TLS handshake with %s from node %s: %w", address, from.Name(), err)
	}
	return conn, nil
}

func readConfigz(ctx context.Context, conn *tls.Conn, address netip.AddrPort) (kubelet.Fields, error) {
	url := "https://" + address.String() + "/configz"
	response, err := roundTrip(ctx, conn, http.MethodGet, url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden:
		return nil, fmt.Errorf("GET %s: %d %w", url, response.StatusCode, errRefused)
	default:
		return nil, fmt.Errorf("GET %s: %s", url, response.Status)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", url, err)
	}
	return kubelet.ParseConfigz(body)
}

// roundTrip sends a request on a connection that is used for nothing else.
func roundTrip(ctx context.Context, conn *tls.Conn, method, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if err := request.Write(conn); err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	return response, nil
}
