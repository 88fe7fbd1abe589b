package faults

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// own is a CA of the user's own, and a certificate of it for every node. Keys can be told to an applier as texts alone:
// settings keep them to themselves.
type own struct {
	CA    string
	Nodes map[string]ownPair
}

type ownPair struct{ Certificate, Key string }

func (s *suite) makeOwn(t *testing.T) *own {
	t.Helper()
	ca, err := pki.NewCA("own", time.Now())
	require.NoError(t, err)
	made := &own{CA: string(pki.EncodeBundle(ca.Certificate)), Nodes: map[string]ownPair{}}
	for _, node := range s.cluster.Nodes() {
		issued, err := ca.IssueServing(pki.ServingRequest{
			Node: node.Name(), Addresses: node.Addresses(), Lifetime: 24 * time.Hour, Now: time.Now(),
		})
		require.NoError(t, err)
		made.Nodes[node.Name()] = ownPair{string(pki.EncodeBundle(issued.Chain()...)), string(issued.Key.Reveal())}
	}
	return made
}

// declared adds what is the user's own to the settings of an order.
func (o order) declared() (settings.Settings, error) {
	want := o.Settings
	if o.Own == nil {
		return want, nil
	}
	chain, err := pki.ParseChain([]byte(o.Own.CA))
	if err != nil {
		return want, err
	}
	want.OwnCA, want.ServingSource, want.Provided = &pki.Own{Chain: chain}, settings.Provided, map[string]pki.Own{}
	for node, pair := range o.Own.Nodes {
		var provided pki.Own
		if provided.Chain, err = pki.ParseChain([]byte(pair.Certificate)); err != nil {
			return want, err
		}
		if provided.Key, err = pki.ParseKeyOf(provided.Chain[0], []byte(pair.Key)); err != nil {
			return want, err
		}
		want.Provided[node] = provided
	}
	return want, nil
}

// killProviding sees besides that whatever was interrupted ends with the certificates that were provided.
func (s *suite) killProviding(ctx context.Context, t *testing.T, p point) {
	t.Helper()
	want, err := p.order.declared()
	require.NoError(t, err)
	s.converge(ctx, t, everything())
	requests := s.ask(ctx, t)
	a := s.killAt(ctx, t, p)
	told := s.converge(ctx, t, want)
	requireResumed(t, told, "an apply", a, p)
	for _, node := range s.observe(ctx, t).Nodes {
		require.NoError(t, node.Serving.Problem, node.Name)
		require.Equal(t, []*x509.Certificate{want.Provided[node.Name].Chain[0]}, node.Serving.Chain, node.Name)
	}
	require.Empty(t, run(ctx, t, s.controlPlane(), `grep -rl "PRIVATE KEY" /etc/kubernetes/pki/kubecomm || :`))
	s.restore(ctx, t)
	requireAllAnswered(t, requests)
}
