package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"

// api speaks to the apiserver as the pod's service account. A kubelet's
// credentials would not do: the node authorizer shows a kubelet its own node
// only, and the routes to the others would never come.
type api struct {
	base   string
	client *http.Client
}

// newAPI uses the control plane's own address where it is known: the service's
// address works only once kube-proxy does.
func newAPI(endpoint string) (*api, error) {
	if endpoint == "" {
		endpoint = net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	}
	ca, err := os.ReadFile(serviceAccount + "ca.crt")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("no certificate in " + serviceAccount + "ca.crt")
	}
	return &api{
		base:   "https://" + endpoint,
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
	}, nil
}

// node is what podnet reads of a v1 Node.
type node struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		PodCIDRs []string `json:"podCIDRs"`
	} `json:"spec"`
	Status struct {
		Addresses []struct{ Type, Address string } `json:"addresses"`
	} `json:"status"`
}

type event struct {
	Type   string `json:"type"`
	Object node   `json:"object"`
}

func (a *api) watchNodes(ctx context.Context, take func(event) error) error {
	// Read each time: the kubelet renews the token.
	token, err := os.ReadFile(serviceAccount + "token")
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+"/api/v1/nodes?watch=true&timeoutSeconds=300", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	for d := json.NewDecoder(resp.Body); ; {
		var e event
		if err := d.Decode(&e); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := take(e); err != nil {
			fmt.Fprintf(os.Stderr, "podnet: node %s: %v\n", e.Object.Metadata.Name, err)
		}
	}
}
