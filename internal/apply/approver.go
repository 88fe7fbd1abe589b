package apply

import (
	"context"
	_ "embed" // the unit
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/approver"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/helper"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// The approver of what kubelets request, on each control plane. It has no file that a swap of the apiserver or kubeadm knows.
const (
	approverFolder = stateFolder + "/approver"
	approverConfig = approverFolder + "/config.json"
	approverCA     = approverFolder + "/ca.crt"
	approverToken  = approverFolder + "/token"
	approverUnit   = "kubecomm-approver.service"
	approverUnitAt = unitFolder + approverUnit
	approverState  = "kubecomm-approver" // of its own, under /var/lib/private, where it keeps the token that it renewed
)

//go:embed kubecomm-approver.service
var approverUnitText []byte

// approverService is what an approver on a control plane consists of.
func approverService(ctx context.Context, target Target, node Node, machine string) (service, error) {
	config := approver.Config{
		Server:     "https://127.0.0.1:" + realInstance(ctx, node).port, // its own, which traffic rules leave alone
		ServerName: serverName,
		Namespace:  metav1.NamespaceSystem, ServiceAccount: approver.Name, Instance: node.Name(), Nodes: approver.Nodes{},
	}
	for _, each := range target.Nodes {
		config.Nodes[each.Name()] = each.Addresses()
	}
	admin, err := target.Admin(ctx)
	if err != nil {
		return service{}, err
	}
	wanted := approverAnywhere()
	wanted.files[approverConfig] = cluster.File{Data: config.Encode(), Mode: privateMode}
	wanted.files[approverCA] = cluster.File{Data: admin.CAData, Mode: publicMode}
	return wanted, wanted.take(machine)
}

// approverAnywhere is one of which it isn't known what is in the files that depend on the node.
func approverAnywhere() service {
	return service{
		unit: approverUnit, state: approverState, account: approver.Name, token: approverToken, secrets: []string{approverToken},
		files: map[string]cluster.File{
			approverUnitAt: {Data: approverUnitText, Mode: publicMode}, approverConfig: {}, approverCA: {},
		},
	}
}

// ApproverObservation is how a control plane's approver was found.
type ApproverObservation struct {
	Present bool   // there is anything of it
	Active  bool   // it runs and sees requests
	SHA256  string // of the installed program; empty if there is none
	Problem error  // why it isn't as an apply would leave it; nil if it is
}

func observeApprover(ctx context.Context, target Target, node Node, machine string) (ApproverObservation, error) {
	want, err := approverService(ctx, target, node, machine)
	if err != nil {
		return ApproverObservation{}, err
	}
	found, err := findService(ctx, node, want)
	if err != nil {
		return ApproverObservation{}, err
	}
	return ApproverObservation{
		Present: found.present(), SHA256: found.files[programFile].digest, Active: found.properties["ActiveState"] == "active",
		Problem: want.problem(found),
	}, nil
}

// CheckProgram returns helper.ErrNotCarried, wrapped, if the settings need a program on nodes that this build of the
// provider doesn't carry for them. Without an observation it looks whether it carries any.
func CheckProgram(observed *Observation, want settings.Settings) error {
	everywhere := want.Tunnel.Mode == settings.SSH
	switch {
	case !everywhere && !asksFor(want):
		return nil
	case observed == nil && !helper.Carried().Any():
		return helper.ErrNotCarried
	case observed == nil:
		return nil
	}
	for _, node := range observed.Nodes {
		if node.APIServer == nil && !everywhere {
			continue
		}
		if _, err := helper.Carried().For(architectures[node.Machine]); err != nil {
			return fmt.Errorf("node %s is a machine of type %s: %w", node.Name, node.Machine, err)
		}
	}
	return nil
}
