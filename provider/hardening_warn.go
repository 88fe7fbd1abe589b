package provider

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func warnUnverified(diags *diag.Diagnostics) {
	diags.AddAttributeWarning(verifyKubeletsPath, "The apiserver will not verify kubelets",
		"With verify_kubelets = false, whoever can answer at a node's address can read and inject what passes through "+
			"logs, exec, attach and port-forward. The kubelets get certificates that other clients can verify.")
}

// warnJoins tells of what isn't open to everyone, and joining by a token needs.
func warnJoins(diags *diag.Diagnostics, effective map[string]settings.Value) {
	needed, setting := settings.ShutOutJoins(effective)
	if needed == "" {
		return
	}
	diags.AddAttributeWarning(settingPath(setting), "No node can join by a token",
		"kubeadm join asks without credentials for "+needed+", which "+setting+" doesn't have. Add it where nodes are to join; "+
			"those that are there aren't concerned.")
}

const swapNotice = "New requests to the API are answered all the time. Connections that are held open, such as watches, " +
	"logs -f and exec, end once or twice with each replacement and have to be made again; clients such as kubectl and " +
	"controllers watch again by themselves."

const etcdNotice = "Where the cluster has one control plane only, the API refuses requests while its etcd is away."

// warnSteps shows what an apply will do where a user would want to know of it: what restarts, what is replaced, a CA that
// others may have to be told of, and what is kubeadm's. Terraform wraps lines, but none that begins with a space.
func warnSteps(diags *diag.Diagnostics, name string, observed apply.Observation, steps []apply.Step) {
	var paragraphs []string
	swaps, etcd := false, false
	for first := 0; first < len(steps); {
		last := first
		for last+1 < len(steps) && steps[last+1].Kind == steps[first].Kind {
			last++
		}
		kind := steps[first].Kind
		if noticeable(observed, kind) {
			paragraphs = append(paragraphs, explainSteps(steps, first, last))
		}
		swaps = swaps || kind.Effect() == apply.Swap
		etcd = etcd || kind == apply.ReplaceEtcd
		first = last + 1
	}
	if len(paragraphs) == 0 {
		return
	}
	if swaps {
		paragraphs = append(paragraphs, swapNotice)
	}
	if etcd {
		paragraphs = append(paragraphs, etcdNotice)
	}
	count := fmt.Sprintf("%d steps", len(steps))
	if len(steps) == 1 {
		count = "1 step"
	}
	diags.AddAttributeWarning(path.Root("cluster"), count+" will be taken on the running cluster "+name,
		strings.Join(paragraphs, "\n\n"))
}

func noticeable(observed apply.Observation, kind apply.Kind) bool {
	felt := []apply.Effect{apply.Swap, apply.Away, apply.Service, apply.Pods, apply.Joins}
	newCA := kind == apply.CreateIssuer || kind == apply.AdoptIssuer
	return slices.Contains(felt, kind.Effect()) || observed.RestartsKubelet(kind) || newCA
}

// explainSteps tells of the steps from first to last, which are of one kind: a line for each, and what they have in
// common once.
func explainSteps(steps []apply.Step, first, last int) string {
	kind := steps[first].Kind
	what := string(kind)
	lines := []string{fmt.Sprintf("%s%s: %s.", strings.ToUpper(what[:1]), what[1:], kind.Effect())}
	for i := first; i <= last; i++ {
		lines = append(lines, fmt.Sprintf("- step %d, node %s: %s", i+1, steps[i].Node, steps[i].Reason))
	}
	ways := "Verified: " + kind.Verified() + "."
	if undone := kind.Undone(); undone != "" {
		ways += " Undone, if a later step fails: " + undone + "."
	}
	return strings.Join(append(lines, ways), "\n")
}
