package apply

import (
	"crypto/x509"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// rotation is what it takes to have a new CA on a cluster of one control plane and one worker.
func rotation(reason string) []planned {
	return []planned{
		{CreateIssuer, "dev-control-plane", reason},
		{TrustBoth, "dev-control-plane", "it would refuse node dev-control-plane with a certificate of the new CA"},
		{IssueServing, "dev-control-plane", "the CA is new"},
		{IssueServing, "dev-worker", "the CA is new"},
		{ReplaceAPIServer, "dev-control-plane", "the CA is new"},
	}
}

// rotating is a cluster of two control planes and a worker, and what an apply does to replace its CA.
type rotating struct {
	observation Observation
	old, new    *pki.CA
}

func newRotating(t *testing.T) *rotating {
	t.Helper()
	r := &rotating{}
	var err error
	r.old, err = pki.NewCA("dev", planTime)
	require.NoError(t, err)
	r.new, err = pki.NewGeneration("dev", "2", planTime)
	require.NoError(t, err)
	r.observation = hardenedBy(t, r.old)
	second := hardenedBy(t, r.old).Nodes[0]
	second.Name = "dev-control-plane2"
	second.issue(t, r.old)
	r.observation.Nodes = []NodeObservation{r.observation.Nodes[0], second, r.observation.Nodes[1]}
	return r
}

func (r *rotating) create() {
	r.observation.Issuer = r.new.Certificate
	for i := range r.observation.Nodes {
		r.observation.Nodes[i].Serving.Problem = x509.UnknownAuthorityError{}
	}
	r.observation.Nodes[1].APIServer.IssuerCurrent = false
}

func (r *rotating) copy() { r.observation.Nodes[1].APIServer.IssuerCurrent = true }

func (r *rotating) trust(node int, cas ...*pki.CA) {
	var certificates []*x509.Certificate
	for _, ca := range cas {
		certificates = append(certificates, ca.Certificate)
	}
	server := r.observation.Nodes[node].APIServer
	server.Trust = TrustObservation{File: bundleFile(pki.EncodeBundle(certificates...)), Certificates: certificates}
	server.Running = controlplane.Flags{kubeletCAFlag: {server.Trust.File}}
	server.Manifest = server.Running
}

func TestARotationGoesOnFromWhereverItEnded(t *testing.T) {
	const first, second, worker = "dev-control-plane", "dev-control-plane2", "dev-worker"
	r := newRotating(t)
	want := settings.Defaults()
	require.Empty(t, Plan(r.observation, want), "any CA will do")
	want.CAGeneration = "2"
	todo := []planned{
		{CreateIssuer, first, `rotate_when_changed = "2"`}, {CopyIssuer, second, ""},
		{TrustBoth, first, "it would refuse node"}, {TrustBoth, second, "it would refuse node"},
		{IssueServing, first, ""}, {IssueServing, second, ""}, {IssueServing, worker, ""},
		{ReplaceAPIServer, first, ""}, {ReplaceAPIServer, second, ""},
	}
	requireSteps(t, todo, Plan(r.observation, want))
	for _, next := range []struct {
		kind Kind
		node string
		do   func()
	}{
		{CreateIssuer, first, r.create},
		{CopyIssuer, second, r.copy},
		{TrustBoth, first, func() { r.trust(0, r.new, r.old) }},
		{TrustBoth, second, func() { r.trust(1, r.new, r.old) }},
		{IssueServing, worker, func() { r.observation.Nodes[2].issue(t, r.new) }},
		{IssueServing, first, func() { r.observation.Nodes[0].issue(t, r.new) }},
		{IssueServing, second, func() { r.observation.Nodes[1].issue(t, r.new) }},
		{ReplaceAPIServer, first, func() { r.trust(0, r.new) }},
		{ReplaceAPIServer, second, func() { r.trust(1, r.new) }},
	} {
		next.do()
		todo = slices.DeleteFunc(todo, func(step planned) bool { return step.kind == next.kind && step.node == next.node })
		for i := range todo {
			todo[i].reason = "" // after a crash, it is what was found
		}
		requireSteps(t, todo, Plan(r.observation, want))
	}
	want.CAGeneration = ""
	require.Empty(t, Plan(r.observation, want), "to ask no more changes nothing")
}

func TestNothingIsTrustedBesideWhereNothingWouldBeLost(t *testing.T) {
	tests := map[string]func(*Observation){
		"the apiserver verifies nothing": func(o *Observation) { o.Nodes[0].APIServer.Trust = TrustObservation{} },
		"what it has loaded isn't known": func(o *Observation) { o.Nodes[0].APIServer.Trust.Changed = true },
		"it refuses every kubelet as it is": func(o *Observation) {
			for i := range o.Nodes {
				o.Nodes[i].Serving.Chain = nil
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			observed, want := hardened(t), settings.Defaults()
			want.CAGeneration = "2"
			require.Equal(t, 1, count(Plan(observed, want), TrustBoth))
			change(&observed)
			require.Zero(t, count(Plan(observed, want), TrustBoth))
		})
	}
}

func TestWhatApiserversTrustBesideTheIssuerIsSeen(t *testing.T) {
	setting := slices.DeleteFunc(settings.Table(), func(s settings.Setting) bool { return s.Name != settings.NameKubeletCAs })[0]
	further, err := pki.NewCA("further", planTime)
	require.NoError(t, err)
	declared := settings.Value{string(pki.EncodeBundle(further.Certificate))}
	observed := hardened(t)
	value := func(held settings.Value) settings.Value { return observed.Value(setting, held, held) }
	trust := &observed.Nodes[0].APIServer.Trust

	require.Nil(t, value(nil))
	require.Nil(t, value(declared), "it is not trusted")
	trust.Certificates = append(trust.Certificates, further.Certificate)
	require.Equal(t, declared, value(declared))
	require.Equal(t, declared, value(nil), "nobody asked for it")
	both := settings.Value{string(pki.EncodeBundle(observed.Issuer, further.Certificate))}
	require.Equal(t, both, value(both), "the issuer is trusted in any case")
	trust.Certificates = nil
	require.Nil(t, value(declared), "nobody knows what is in the file")
	trust.Certificates, trust.File = []*x509.Certificate{further.Certificate}, "/etc/kubernetes/pki/own.crt"
	require.Nil(t, value(nil), "a file of the user's own is none of kubecomm's business")
}

func TestAnApplyTrustsTheIssuerOnceWhateverElseIsDeclared(t *testing.T) {
	observed, want := hardened(t), settings.Defaults()
	alone := observed.bundle(want)
	want.KubeletCAs = string(alone)
	require.Equal(t, string(alone), string(observed.bundle(want)))
}

func TestCertificatesOfTheUsersOwnAreTrustedUntilEveryKubeletHasOneOfKubecomms(t *testing.T) {
	observed := hardened(t)
	own := controlplane.Flags{kubeletCAFlag: {"/etc/kubernetes/pki/own.crt"}}
	server := observed.Nodes[0].APIServer
	server.Running, server.Manifest, server.Trust.File = own, own, own[kubeletCAFlag][0]
	observed.Issuer = nil
	require.Equal(t, rotation("")[1].kind, Plan(observed, settings.Defaults())[1].Kind)
}

func requireSteps(t *testing.T, want []planned, steps []Step) {
	t.Helper()
	require.Len(t, steps, len(want), "%v", steps)
	for i, step := range steps {
		require.Equal(t, want[i].kind, step.Kind)
		require.Equal(t, want[i].node, step.Node)
		require.Contains(t, step.Reason, want[i].reason)
		require.NotEmpty(t, step.Reason)
	}
}
