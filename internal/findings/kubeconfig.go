package findings

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// Kubeconfig is a kubeconfig file of a component, or of the administrator, on a node.
type Kubeconfig struct {
	File string
	Data []byte // without keys and tokens
	// CA and ClientCertificate are the PEM files that it refers to, without keys; nil where it holds them itself.
	CA, ClientCertificate []byte
}

// Cluster is what kubeconfigs are judged by.
type Cluster struct {
	Node string // that they are on
	CAs  []*x509.Certificate
	Time time.Time
}

// owner is whose kubeconfig a file is.
type owner struct {
	path   string
	user   func(node string) string // nil if anyone's will do
	groups []string
}

func always(user string) func(string) string { return func(string) string { return user } }

// owners are kubeadm's (Kubernetes v1.37.1, cmd/kubeadm/app/phases/kubeconfig/kubeconfig.go). An administrator may be
// called anything.
var owners = map[string]owner{
	"/etc/kubernetes/controller-manager.conf": {path: fromManager, user: always("system:kube-controller-manager")},
	"/etc/kubernetes/scheduler.conf":          {path: fromScheduler, user: always("system:kube-scheduler")},
	"/etc/kubernetes/kubelet.conf":            {path: fromKubelet, user: pki.NodeUser, groups: []string{pki.NodeGroup}},
	"/etc/kubernetes/admin.conf":              {path: fromAdministrator},
}

// KubeconfigFiles lists the files that can be judged, in order.
func KubeconfigFiles() []string {
	var files []string
	for file := range owners {
		files = append(files, file)
	}
	slices.Sort(files)
	return files
}

// Kubeconfigs judges kubeconfig files: whether they let the apiserver be verified, by the cluster's CA, and who their
// owners are to it.
func Kubeconfigs(files []Kubeconfig, in Cluster) []Finding {
	var found []Finding
	for _, file := range files {
		owner := owners[file.File]
		for _, problem := range file.problems(owner, in) {
			found = append(found, Finding{owner.path, file.File + " on " + in.Node, problem})
		}
	}
	return found
}

func (k Kubeconfig) problems(owner owner, in Cluster) []string {
	config, err := clientcmd.Load(k.Data)
	if err != nil {
		return []string{"can't be read as a kubeconfig"} // the error may show some of it
	}
	current := config.Contexts[config.CurrentContext]
	if current == nil || config.Clusters[current.Cluster] == nil || config.AuthInfos[current.AuthInfo] == nil {
		return []string{"has no current context with a cluster and a user"}
	}
	return slices.Concat(k.serverProblems(config.Clusters[current.Cluster], in),
		k.clientProblems(config.AuthInfos[current.AuthInfo], owner, in))
}

func (k Kubeconfig) serverProblems(cluster *api.Cluster, in Cluster) []string {
	var problems []string
	if !strings.HasPrefix(cluster.Server, "https://") {
		problems = append(problems, fmt.Sprintf("its server is %q, which isn't https", cluster.Server))
	}
	if cluster.InsecureSkipTLSVerify {
		return append(problems, "insecure-skip-tls-verify is on: any server is believed")
	}
	data := k.CA
	if cluster.CertificateAuthorityData != nil { // which wins over a file
		data = cluster.CertificateAuthorityData
	}
	cas, err := pki.ParseBundle(data)
	if err != nil {
		return append(problems, fmt.Sprintf("its CA can't be read: %v", err))
	}
	for _, ca := range cas {
		if !slices.ContainsFunc(in.CAs, ca.Equal) {
			problems = append(problems, fmt.Sprintf("it trusts %s, which isn't the cluster's CA", describeCA(ca)))
		}
	}
	return problems
}

// describeCA tells apart CAs with the same name, as those of two clusters have.
func describeCA(ca *x509.Certificate) string {
	return fmt.Sprintf("the CA %s with the SHA-256 fingerprint %s", ca.Subject, pki.Fingerprint(ca))
}

func (k Kubeconfig) clientProblems(user *api.AuthInfo, owner owner, in Cluster) []string {
	data := k.ClientCertificate
	if user.ClientCertificateData != nil {
		data = user.ClientCertificateData
	}
	if data == nil {
		return []string{"it has no client certificate"}
	}
	certificates, err := pki.ParseBundle(data)
	if err != nil {
		return []string{fmt.Sprintf("its client certificate can't be read: %v", err)}
	}
	leaf := certificates[0]
	var problems []string
	if !pki.SignedBy(leaf, in.CAs) {
		problems = append(problems, "its client certificate wasn't signed by the cluster's CA")
	}
	if in.Time.After(leaf.NotAfter) {
		problems = append(problems, "its client certificate expired on "+leaf.NotAfter.Format(time.DateOnly))
	}
	if owner.user == nil {
		return problems
	}
	name, groups := owner.user(in.Node), slices.Sorted(slices.Values(leaf.Subject.Organization))
	if leaf.Subject.CommonName != name || !slices.Equal(groups, owner.groups) {
		problems = append(problems, fmt.Sprintf("its client certificate names user %q with groups %q, to be %q with %q",
			leaf.Subject.CommonName, groups, name, owner.groups))
	}
	return problems
}
