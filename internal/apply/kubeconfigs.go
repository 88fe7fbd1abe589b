package apply

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/findings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// kubeconfigsScript prints, of each kubeconfig file that is there, a line with its name, its content, and the files that it
// names as its CA and client certificate, each in base64, or "-" for none. Keys and tokens stay on the node.
const kubeconfigsScript = `encode() { text=$(base64 -w 0); printf ' %s' "${text:--}"; }
certificates() {
  file=$(sed -n "s/^ *$1: *//p" "$2" | head -n 1 | tr -d "\"'")
  [ ! -r "$file" ] || sed -n '/-BEGIN CERTIFICATE-/,/-END CERTIFICATE-/p' "$file"
}
for file; do
  [ -e "$file" ] || continue
  printf %s "$file"
  grep -vE '^ *(client-key-data|token|password):' "$file" | encode
  certificates certificate-authority "$file" | encode
  certificates client-certificate "$file" | encode
  echo
done`

// observeKubeconfigs never fails: nothing is applied by what it finds.
func observeKubeconfigs(ctx context.Context, node Node) []findings.Kubeconfig {
	args := append([]string{"sh", "-c", kubeconfigsScript, "sh"}, findings.KubeconfigFiles()...)
	output, err := node.Run(ctx, cluster.Command{Args: args})
	if err != nil {
		return nil
	}
	var files []findings.Kubeconfig
	for line := range strings.Lines(string(output)) {
		if file, whole := parseKubeconfigLine(strings.Fields(line)); whole {
			files = append(files, file)
		}
	}
	return files
}

// parseKubeconfigLine returns false if the line is none of the script's.
func parseKubeconfigLine(fields []string) (findings.Kubeconfig, bool) {
	const name, content, ca, client = 0, 1, 2, 3
	if len(fields) != client+1 {
		return findings.Kubeconfig{}, false
	}
	var decoded [client + 1][]byte
	for _, i := range []int{content, ca, client} {
		if fields[i] == "-" {
			continue
		}
		var err error
		if decoded[i], err = base64.StdEncoding.DecodeString(fields[i]); err != nil {
			return findings.Kubeconfig{}, false
		}
	}
	return findings.Kubeconfig{File: fields[name], Data: decoded[content], CA: decoded[ca], ClientCertificate: decoded[client]}, true
}

// Findings are what the observation says of paths that kubecomm doesn't change. Nothing is said of what could not be
// observed.
func (o Observation) Findings() []findings.Finding {
	var found []findings.Finding
	apiservers := []string{kubeadmClientUser, customClient}
	var cas []*x509.Certificate // of the cluster
	for _, node := range o.Nodes {
		server := node.APIServer
		if server == nil {
			continue
		}
		if cas == nil {
			cas = server.Client.CAs
		}
		if server.Client.Certificate != nil {
			apiservers = append(apiservers, server.Client.Certificate.Subject.CommonName)
		}
		found = append(found, findings.EtcdClient(node.Name, server.Running)...)
		if etcd := node.component(settings.Etcd); etcd != nil {
			found = append(found, findings.Etcd(node.Name, etcd.Running)...)
		}
	}
	for _, node := range o.Nodes {
		found = append(found, findings.Kubeconfigs(node.Kubeconfigs, findings.Cluster{Node: node.Name, CAs: cas, Time: o.Time})...)
	}
	if o.Policy != nil {
		found = append(found, findings.NodeProxy(o.Policy, apiservers)...)
		found = append(found, findings.Apiservers(o.Policy, map[string]string{
			kubeadmClientUser: kubeletAPIAdminRole, customClient: o.customRole(),
		})...)
	}
	return findings.Sorted(found)
}
