package apply

import (
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// The controller manager signs with one CA for all signers, or with one for each of them that has one: it doesn't take
// both, and a signer without a CA is none then (Kubernetes v1.37.1, cmd/kube-controller-manager/app/certificates.go). It
// looks at the files from time to time, so that another CA in them needs no other process.
const (
	signingCertFlag = "cluster-signing-cert-file"
	signingKeyFlag  = "cluster-signing-key-file"

	servingSignerCertFlag = "cluster-signing-kubelet-serving-cert-file"
	servingSignerKeyFlag  = "cluster-signing-kubelet-serving-key-file"
)

// otherSigners are the flags of the signers that go on with the cluster's CA, each with its key's.
var otherSigners = [][2]string{
	{"cluster-signing-kubelet-client-cert-file", "cluster-signing-kubelet-client-key-file"},
	{"cluster-signing-kube-apiserver-client-cert-file", "cluster-signing-kube-apiserver-client-key-file"},
	{"cluster-signing-legacy-unknown-cert-file", "cluster-signing-legacy-unknown-key-file"},
}

// The cluster's CA, as kubeadm names it to the controller manager (Kubernetes v1.37.1,
// cmd/kubeadm/app/phases/controlplane/manifests.go).
const (
	clusterCACert = "/etc/kubernetes/pki/ca.crt"
	clusterCAKey  = "/etc/kubernetes/pki/ca.key"
)

func signingFlags() []string {
	flags := []string{signingCertFlag, signingKeyFlag, servingSignerCertFlag, servingSignerKeyFlag}
	for _, pair := range otherSigners {
		flags = append(flags, pair[:]...)
	}
	return flags
}

// splitsSigning reports whether flags have signers with CAs of their own, as kubecomm gives them.
func splitsSigning(flags controlplane.Flags) bool {
	return slices.ContainsFunc(flags[servingSignerCertFlag], ours) || slices.Equal(flags[signingCertFlag], []string{""})
}

func (c *ComponentObservation) splitsSigning() bool {
	return c != nil && (splitsSigning(c.Running) || splitsSigning(c.Manifest))
}

// declareSigner has the controller manager sign with the issuer what kubelets request for serving.
func declareSigner(flags controlplane.Flags) {
	flags[servingSignerCertFlag] = []string{issuerCertFile}
	flags[servingSignerKeyFlag] = []string{issuerKeyFile}
}

// splitSigning gives every other signer a CA of its own: the one that it had before, or else that of all.
func splitSigning(desired, before controlplane.Flags) {
	general := [2]string{clusterCACert, clusterCAKey}
	for i, flag := range []string{signingCertFlag, signingKeyFlag} {
		if file, given := before.Get(flag); given {
			general[i] = file
		}
		desired[flag] = []string{""}
	}
	for _, pair := range otherSigners {
		_, hasOwn := before.Get(pair[0])
		for i, flag := range pair {
			switch file, given := before.Get(flag); {
			case given:
				desired[flag] = []string{file}
			case !hasOwn && general[i] != "":
				desired[flag] = []string{general[i]}
			}
		}
	}
}

// signs reports whether the component is the one that signs what kubelets request.
func signs(component settings.Component) bool { return component == settings.ControllerManager }

// shortenSigning is flagProblems, in which what is wrong with signers is said once: the flags of them all go together.
func shortenSigning(found *ComponentObservation, desired controlplane.Flags, names []string) []string {
	isSigning := func(name string) bool { return slices.Contains(signingFlags(), name) }
	others := slices.DeleteFunc(slices.Clone(names), isSigning)
	problems := flagProblems(found, desired, others)
	signers := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !isSigning(name) })
	of := flagProblems(found, desired, signers)
	for _, problem := range of {
		if strings.Contains(problem, servingSignerCertFlag) {
			return append(problems, problem)
		}
	}
	return append(problems, of...)
}
