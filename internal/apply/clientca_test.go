package apply

import (
	"crypto/x509"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// knowing is a declaration of kubelets that know clients by the CAs.
func knowing(cas ...*x509.Certificate) settings.Settings {
	return settings.Of(map[string]settings.Value{settings.NameKubeletClientCA: {string(pki.EncodeBundle(cas...))}})
}

// signedBy is a certificate of a node's with a new CA.
func signedBy(t *testing.T, node string) (certificate, ca *x509.Certificate) {
	t.Helper()
	signer, err := pki.NewCA(node, planTime)
	require.NoError(t, err)
	issued, err := signer.IssueServing(pki.ServingRequest{
		Node: node, Addresses: stock().Nodes[0].Addresses, Lifetime: time.Hour, Now: planTime,
	})
	require.NoError(t, err)
	return issued.Certificate, signer.Certificate
}

func TestCAsWithoutThoseOfClientsThatTheClusterNeedsAreRefused(t *testing.T) {
	admin, adminCA := signedBy(t, "admin")
	now, nowCA := signedBy(t, "apiserver")
	before, beforeCA := signedBy(t, "before")
	all := knowing(adminCA, nowCA, beforeCA)
	own := func(node string, cas ...*x509.Certificate) settings.Settings {
		want := all
		want.NodeKubeletDocuments = map[string]map[string]settings.Document{node: knowing(cas...).KubeletDocuments}
		return want
	}
	type refusal struct {
		node  string
		lacks []string
	}
	for sentence, test := range map[string]struct {
		want settings.Settings
		hide func(*Observation)
		told []refusal
	}{
		"none is declared":            {want: settings.Defaults()},
		"all are there":               {want: all},
		"without the administrator's": {want: knowing(nowCA, beforeCA), told: []refusal{{"", []string{"CN=kubelet-serving-ca,OU=admin isn't among their CAs, which signed the certificate of the cluster's administrator"}}}},
		"without the apiserver's": {
			want: knowing(adminCA, beforeCA),
			told: []refusal{{"", []string{"OU=apiserver isn't among their CAs, which signed the certificate of the apiserver on node dev-control-plane"}}},
		},
		"without that of the certificate that comes back": {
			want: knowing(adminCA, nowCA), told: []refusal{{"", []string{"OU=before isn't among their CAs, which signed the certificate that the apiserver on node dev-control-plane gets back"}}},
		},
		"without any, on one node": {
			want: own("dev-worker", signedCA(t)),
			told: []refusal{{"dev-worker", []string{"OU=admin ", "OU=apiserver ", "OU=before "}}},
		},
		"with all on one node, and for all others without one": {
			want: func() settings.Settings {
				want := own("dev-worker", adminCA, nowCA, beforeCA)
				want.KubeletDocuments = knowing(adminCA, nowCA).KubeletDocuments
				return want
			}(),
			told: []refusal{{"", []string{"OU=before "}}},
		},
		"of an apiserver and an administrator without certificates nothing is asked": {
			want: knowing(signedCA(t)),
			hide: func(o *Observation) { o.Admin, o.Nodes[0].APIServer.Client = nil, KubeletClientObservation{} },
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			observed := stock()
			observed.Admin = admin
			observed.Nodes[0].APIServer.Client = KubeletClientObservation{Certificate: now, Original: before}
			if test.hide != nil {
				test.hide(&observed)
			}
			problems := CheckClientCAs("dev", observed, test.want)
			require.Len(t, problems, len(test.told))
			for i, told := range test.told {
				require.Equal(t, told.node, problems[i].Node)
				require.Len(t, problems[i].Lacks, len(told.lacks))
				for j, lack := range told.lacks {
					require.Contains(t, problems[i].Lacks[j], lack)
				}
				require.ErrorContains(t, problems[i], "would refuse clients that the cluster can't do without: "+problems[i].Lacks[0])
			}
		})
	}
}

func signedCA(t *testing.T) *x509.Certificate {
	_, ca := signedBy(t, "stranger")
	return ca
}

const kubeadmsClientCA = `"/etc/kubernetes/pki/ca.crt"`

// naming is a kubelet's configuration that names a file with CAs, in JSON.
func naming(file string) kubelet.Fields {
	return kubelet.Fields{"authentication": json.RawMessage(`{"x509":{"clientCAFile":` + file + `}}`)}
}

// What the attribute shows, and that whatever it shows as drift is mended by a step.
func TestTheCAsOfAKubeletAreThoseInTheFileThatItRunsWith(t *testing.T) {
	setting := managed(t, settings.NameKubeletClientCA)
	first, other := signedCA(t), signedCA(t)
	want := knowing(first)
	held := settings.Value{string(pki.EncodeBundle(first))}
	document := want.KubeletDocuments[settings.KubeletClientCAField]
	file := documentFile(document)
	text, err := json.Marshal(file)
	require.NoError(t, err)
	ours, kubeadms := naming(string(text)), naming(kubeadmsClientCA)
	otherText := string(pki.EncodeBundle(other))
	holds := func(content string) map[string][]byte {
		return map[string][]byte{file: []byte(content), "/etc/kubernetes/pki/ca.crt": []byte(otherText)}
	}
	for sentence, test := range map[string]struct {
		kubelet KubeletObservation
		held    settings.Value
		shown   settings.Value
		reason  string // of the step; empty for none
	}{
		"it has them": {
			kubelet: KubeletObservation{File: ours, Running: ours, Baseline: kubeadms, Documents: holds(string(document.Data))},
			held:    held, shown: held,
		},
		"it was never given them": {
			kubelet: KubeletObservation{File: kubeadms, Running: kubeadms}, held: held, reason: "to be authentication.x509.clientCAFile: " + string(text),
		},
		"it runs with another file": {
			kubelet: KubeletObservation{File: ours, Running: kubeadms, Baseline: kubeadms, Documents: holds(string(document.Data))},
			held:    held, shown: settings.Value{otherText}, reason: "it runs with authentication.x509.clientCAFile: " + kubeadmsClientCA,
		},
		"its next start would be with another file": {
			kubelet: KubeletObservation{File: kubeadms, Running: ours, Baseline: kubeadms, Documents: holds(string(document.Data))},
			held:    held, shown: settings.Value{otherText}, reason: "its configuration has authentication.x509.clientCAFile: " + kubeadmsClientCA,
		},
		"its file was given another content": {
			kubelet: KubeletObservation{File: ours, Running: ours, Baseline: kubeadms, Documents: holds(otherText)},
			held:    held, shown: settings.Value{otherText}, reason: "which was changed since",
		},
		"its file is gone": {
			kubelet: KubeletObservation{File: ours, Running: ours, Baseline: kubeadms}, held: held, reason: "which was changed since",
		},
		"it refuses whoever asks, and has them": {
			kubelet: KubeletObservation{File: ours, Baseline: kubeadms, Documents: holds(string(document.Data))},
			held:    held, shown: held, reason: "what it runs with can't be read",
		},
		"none are declared, and it has those of kubeadm": {
			kubelet: KubeletObservation{File: kubeadms, Running: kubeadms, Baseline: kubeadms, Documents: holds("")},
		},
		"none are declared, and what it had before isn't known": {
			kubelet: KubeletObservation{File: ours, Running: ours, Documents: holds(string(document.Data))},
			reason:  "to be authentication.x509.clientCAFile: " + kubeadmsClientCA,
		},
		"none are declared, and it has others": {
			kubelet: KubeletObservation{File: ours, Running: ours, Baseline: kubeadms, Documents: holds(otherText)},
			shown:   settings.Value{otherText}, reason: "to be authentication.x509.clientCAFile: " + kubeadmsClientCA,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			observed := hardened(t)
			observed.Nodes[1].Kubelet = test.kubelet
			observed.Nodes[0].Kubelet = KubeletObservation{File: ours, Running: ours, Documents: holds(string(document.Data))}
			declared := settings.Defaults()
			if test.held != nil {
				declared.KubeletDocuments = want.KubeletDocuments
			} else {
				observed.Nodes[0].Kubelet = KubeletObservation{}
			}
			require.Equal(t, test.shown, observed.Value(setting, test.held, test.held))
			steps := Plan(observed, declared)
			if test.reason == "" {
				require.Empty(t, steps)
				return
			}
			require.Len(t, steps, 1)
			require.Equal(t, ConfigureKubelet, steps[0].Kind)
			require.Contains(t, steps[0].Reason, test.reason)
			require.Equal(t, test.kubelet.File.Equal(kubeadms, settings.KubeletClientCAField) && !test.kubelet.Stale,
				kubeletProblem(test.kubelet, nil) == "", "a destroy puts back kubeadm's")
		})
	}
}

func TestANodeThatJoinsLaterHasTheCAsOfKubeadm(t *testing.T) {
	const own = stockKubelet + "authentication:\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\n"
	want := knowing(signedCA(t))
	observed := observedJoins(t, keeps(unchanged(stockCluster), unchanged(own)))
	require.Empty(t, joinsProblem(observed, want))
	want.KubeletFields = map[string]any{"tlsMinVersion": "VersionTLS13"}
	require.Equal(t, kubelets, joinsProblem(observed, want), "and has the rest that is declared")
}
