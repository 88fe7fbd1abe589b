package provider_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/acctest"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// Settings that become files of apiservers and kubelets do what they say, drift when a file is edited or another is named,
// and go.
func TestAccFilesOfApiserversAndKubeletsAreAppliedRepairedAndReverted(t *testing.T) {
	if os.Getenv(resource.EnvTfAcc) == "" {
		t.Skip("it needs a cluster")
	}
	t.Parallel()
	name := acctest.RandomWithPrefix("kubecomm-acc-files")
	lab := hardeningLab{t: t, name: name}
	lab.create()
	lab.onControlPlane(policyKubeconfig)
	before := lab.configuration()
	clients := newClientCA(t)
	bundle, turned := lab.clusterCA()+clients.certificate, clients.certificate+lab.clusterCA()
	worker := name + "-worker"
	config := func(apiserver, kubelet string) string {
		return fmt.Sprintf("resource \"kubecomm_hardening\" \"test\" {\n  cluster = %q\n  apiserver = {\n%s  }\n  kubelet = {\n%s  }\n}\n",
			name, apiserver, kubelet)
	}
	clientCAs := func(text string) string { return fmt.Sprintf("    client_ca_bundle = <<-EOT\n%s    EOT\n", text) }
	kubelets := func(forAll, own string) string {
		return clientCAs(forAll) + fmt.Sprintf("    nodes = { %q = {\n%s    } }\n", worker, clientCAs(own))
	}
	forAll, own := at("kubelet", "client_ca_bundle"), at("kubelet", "nodes", worker, "client_ca_bundle")
	paths := func(more string) string {
		return "    anonymous_paths = [\"/livez\", \"/readyz\", \"/healthz\"" + more + "]\n"
	}
	kubeletCAs := fmt.Sprintf("    kubelet_ca_bundle = <<-EOT\n%s    EOT\n", clients.certificate+lab.clusterCA())
	apiserver := paths("") + authorizers("request.user == 'somebody'") + issuers("kubernetes") + clientCAs(bundle) + kubeletCAs
	all := config(apiserver, kubelets(bundle, turned))
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(&testClock{now: time.Now()}),
		CheckDestroy:             lab.checkConfiguration(&before),
		Steps: []resource.TestStep{
			{
				PreConfig: func() {
					lab.answers("/api", nil, http.StatusForbidden)              // system:anonymous
					lab.answers("/api", clients.issue, http.StatusUnauthorized) // whose CA nobody knows
					lab.kubeletsAnswer(clients.issue, http.StatusUnauthorized)
				},
				Config: config(apiserver, kubelets(clients.certificate, clients.certificate)),
				ExpectError: inOutput("Kubelets would refuse clients", "Add the missing CAs to kubelet.client_ca_bundle.",
					"on every node", "CN=kubernetes isn't among their CAs, which signed the certificate of the cluster's administrator",
					"CN=kubernetes isn't among their CAs, which signed the certificate of the apiserver on node "+name+"-control-plane",
					"Kubelets would refuse clients", fmt.Sprintf("kubelet.nodes[%q].client_ca_bundle", worker), "on node "+worker),
			},
			{Config: all},
			{
				PreConfig: func() {
					lab.onControlPlane(`[ "$(cat /etc/kubernetes/pki/kubecomm/kubelet-ca-* | grep -c BEGIN)" = 3 ]`)
					lab.answers("/livez", nil, http.StatusOK)
					lab.answers("/api", nil, http.StatusUnauthorized)
					lab.answers("/api/v1/secrets", clients.issue, http.StatusForbidden)
					lab.kubeletsAnswer(clients.issue, http.StatusForbidden)
				},
				Config:           all,
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			},
			{
				PreConfig: func() {
					lab.editFile("authorization", "s/somebody/nobody/")
					lab.editFile("authentication", "s/- kubernetes/- stranger/; s,/healthz,/version,")
					lab.editFile("client-ca", "$ d")                 // the end of a certificate
					lab.editFile("kubelet-ca", "/END CERTIFICATE/q") // what comes after the issuer
					lab.editFile("kubelet-client-ca", "$ d")
				},
				Config: all,
				ConfigPlanChecks: updates(
					changes(at("apiserver", "authorizers").AtSliceIndex(2).AtMapKey("webhook").AtMapKey("match_conditions").
						AtSliceIndex(0).AtMapKey("expression"),
						knownvalue.StringExact("request.user == 'nobody'"), knownvalue.StringExact("request.user == 'somebody'")),
					changes(at("apiserver", "jwt_issuers").AtSliceIndex(0).AtMapKey("issuer").AtMapKey("audiences"),
						texts("stranger"), texts("kubernetes")),
					changes(at("apiserver", "anonymous_paths"),
						texts("/livez", "/readyz", "/version"), texts("/livez", "/readyz", "/healthz")),
					changes(at("apiserver", "kubelet_ca_bundle"), knownvalue.Null(), knownvalue.NotNull()),
					changes(at("apiserver", "verify_kubelets"), knownvalue.Bool(false), knownvalue.Null()),
					changes(at("apiserver", "client_ca_bundle"), knownvalue.NotNull(), knownvalue.NotNull()),
					changes(forAll, knownvalue.NotNull(), knownvalue.StringExact(bundle)),
					changes(own, knownvalue.StringExact(turned), knownvalue.StringExact(turned)),
				),
			},
			{
				PreConfig: func() {
					lab.nameAnotherClientCA()
					lab.configureWorkerAsOneThatJoins()
					lab.kubeletsAnswer(clients.issue, http.StatusForbidden, http.StatusUnauthorized)
				},
				Config: all,
				ConfigPlanChecks: updates(
					changes(at("apiserver", "client_ca_bundle"), knownvalue.StringExact(lab.clusterCA()), knownvalue.NotNull()),
					changes(own, knownvalue.StringExact(lab.clusterCA()), knownvalue.StringExact(turned)),
				),
			},
			{
				PreConfig: func() { lab.kubeletsAnswer(clients.issue, http.StatusForbidden) },
				Config:    config(paths(`, "/version"`), ""),
			},
			{
				PreConfig: func() {
					lab.answers("/version", nil, http.StatusOK)
					lab.answers("/api", clients.issue, http.StatusUnauthorized)
					lab.kubeletsAnswer(clients.issue, http.StatusUnauthorized)
					lab.onWorker(`! ls /etc/kubernetes/pki/kubecomm`)
					lab.onControlPlane(`cd /etc/kubernetes/pki/kubecomm; ls; [ "$(ls authentication-* | wc -l)" = 1 ]
[ "$(cat kubelet-ca-* | grep -c BEGIN)" = 1 ]
! ls authorization-* client-ca-* kubelet-client-ca-*; ! grep -e --authorization-config -e /client-ca- /etc/kubernetes/manifests/kube-apiserver.yaml
grep -e --authorization-mode=Node,RBAC /etc/kubernetes/manifests/kube-apiserver.yaml`)
				},
				Config:           config(paths(`, "/version"`), ""),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			},
		},
	})
}

// policyKubeconfig leads to a webhook that is never asked.
const policyKubeconfig = `cat >/etc/kubernetes/pki/policy.conf <<EOT
apiVersion: v1
kind: Config
clusters: [{name: policy, cluster: {server: "https://127.0.0.1:9"}}]
users: [{name: apiserver, user: {}}]
contexts: [{name: policy, context: {cluster: policy, user: apiserver}}]
current-context: policy
EOT`

func authorizers(condition string) string {
	return fmt.Sprintf(`    authorizers = [
      { type = "Node", name = "node" },
      { type = "RBAC", name = "rbac" },
      {
        type = "Webhook"
        name = "policy"
        webhook = {
          authorized_ttl = "5m"
          unauthorized_ttl = "30s"
          timeout = "3s"
          subject_access_review_version = "v1"
          match_condition_subject_access_review_version = "v1"
          failure_policy = "NoOpinion"
          connection_info = { type = "KubeConfigFile", kube_config_file = "/etc/kubernetes/pki/policy.conf" }
          match_conditions = [{ expression = %q }]
        }
      },
    ]
`, condition)
}

func issuers(audience string) string {
	return fmt.Sprintf(`    jwt_issuers = [{
      issuer = { url = "https://login.example", audiences = [%q] }
      claim_mappings = { username = { claim = "sub", prefix = "login:" } }
      claim_validation_rules = [{ expression = "claims.exp - claims.iat <= 3600", message = "an hour at most" }]
      user_validation_rules = [{ expression = "!user.username.startsWith('system:')" }]
    }]
`, audience)
}

func texts(values ...string) knownvalue.Check {
	checks := make([]knownvalue.Check, len(values))
	for i, value := range values {
		checks[i] = knownvalue.StringExact(value)
	}
	return knownvalue.ListExact(checks)
}

// clientCA is one that the cluster doesn't know by itself.
type clientCA struct {
	certificate string
	issue       *rest.TLSClientConfig // what a client of it has
}

func newClientCA(t *testing.T) clientCA {
	sign := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		if parent == nil {
			parent, signer = template, key
		}
		data, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		require.NoError(t, err)
		certificate, err := x509.ParseCertificate(data)
		require.NoError(t, err)
		return certificate, key
	}
	ca, caKey := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "other clients"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	leaf, key := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "somebody-else"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, caKey)
	keyData, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return clientCA{certificate: pemOf("CERTIFICATE", ca.Raw), issue: &rest.TLSClientConfig{
		CertData: []byte(pemOf("CERTIFICATE", leaf.Raw)), KeyData: []byte(pemOf("PRIVATE KEY", keyData)),
	}}
}

func pemOf(kind string, data []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
}

func (l hardeningLab) restConfig() *rest.Config {
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	config, err := opened.RESTConfig(l.t.Context())
	require.NoError(l.t, err)
	return config
}

func (l hardeningLab) clusterCA() string { return string(l.restConfig().CAData) }

// answers asks the apiserver without credentials, or with a client certificate.
func (l hardeningLab) answers(path string, credentials *rest.TLSClientConfig, status int) {
	l.t.Helper()
	config := rest.AnonymousClientConfig(l.restConfig())
	if credentials != nil {
		config.CertData, config.KeyData = credentials.CertData, credentials.KeyData
	}
	client, err := rest.HTTPClientFor(config)
	require.NoError(l.t, err)
	defer client.CloseIdleConnections()
	response, err := client.Get(config.Host + path)
	require.NoError(l.t, err)
	require.NoError(l.t, response.Body.Close())
	require.Equal(l.t, status, response.StatusCode, path)
}

// kubeletsAnswer asks the kubelets of the control plane and the worker, from the former, with a client certificate. A single
// status is for both.
func (l hardeningLab) kubeletsAnswer(credentials *rest.TLSClientConfig, statuses ...int) {
	l.t.Helper()
	opened, err := cluster.NewEngine().Open(l.t.Context(), l.name)
	require.NoError(l.t, err)
	for i, node := range opened.Nodes() {
		client, err := rest.HTTPClientFor(&rest.Config{
			TLSClientConfig: rest.TLSClientConfig{CertData: credentials.CertData, KeyData: credentials.KeyData, Insecure: true},
			Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
				return opened.Nodes()[0].Dial(ctx, address)
			},
		})
		require.NoError(l.t, err)
		response, err := client.Get(fmt.Sprintf("https://%s/metrics", netip.AddrPortFrom(node.Addresses()[0], kubelet.Port)))
		require.NoError(l.t, err)
		require.NoError(l.t, response.Body.Close())
		client.CloseIdleConnections()
		require.Equal(l.t, statuses[min(i, len(statuses)-1)], response.StatusCode, node.Name())
	}
}

// configureWorkerAsOneThatJoins gives the worker's kubelet what kubeadm gives nodes, and has it start with that.
func (l hardeningLab) configureWorkerAsOneThatJoins() {
	l.onWorker("kubeadm upgrade node phase kubelet-config && systemctl restart kubelet")
	const file = `"/etc/kubernetes/pki/ca.crt"`
	l.eventually("the worker's kubelet to run with it", func(observed apply.Observation, err error) error {
		if err != nil {
			return err
		}
		if found := string(observed.Nodes[1].Kubelet.Running.Value(settings.KubeletClientCAField)); found != file {
			return fmt.Errorf("it runs with %s", found)
		}
		return nil
	})
	l.waitReady()
}

// editFile changes one of kubecomm's files as somebody would who doesn't know better.
func (l hardeningLab) editFile(name, edit string) {
	l.onControlPlane(fmt.Sprintf("sed -i '%s' /etc/kubernetes/pki/kubecomm/%s-*", edit, name))
}

// nameAnotherClientCA has the apiserver go back to the cluster's own CA.
func (l hardeningLab) nameAnotherClientCA() {
	l.onControlPlane(`sed 's,--client-ca-file=.*,--client-ca-file=/etc/kubernetes/pki/ca.crt,' /etc/kubernetes/manifests/kube-apiserver.yaml >/etc/kubernetes/edited
mv /etc/kubernetes/edited /etc/kubernetes/manifests/kube-apiserver.yaml
` + fmt.Sprintf(stopContainer, settings.APIServer))
	const file = "/etc/kubernetes/pki/ca.crt"
	l.eventually("the apiserver to run with it", func(observed apply.Observation, err error) error {
		if err == nil && observed.Nodes[0].APIServer.Running["client-ca-file"][0] != file {
			err = errors.New("it has the former one")
		}
		return err
	})
	l.waitReady()
}
