package provider

import (
	"errors"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// hardeningFailed turns an error of the domain into a diagnostic: what was attempted, what to do, the error.
func hardeningFailed(doing, name string, err error) diag.Diagnostic {
	title, advice := "The hardening of cluster "+name+" failed", "Mend what the error names and apply again: what was "+
		"done so far is found, and not done twice."
	var step *apply.StepError
	var locked *apply.LockedError
	switch {
	case errors.As(err, &step): // first, because what ended a step may be any of the others, but no longer changes nothing
		advice = adviceAfter(step)
	case errors.As(err, &locked):
		title = "Another apply is at work on cluster " + name
		advice = "Wait until it has ended and apply again; `terraform apply -refresh-only` shows how far it came. A lock " +
			"whose holder was killed is given up by itself. Nothing was changed."
	case errors.Is(err, cluster.ErrNotFound):
		title = "There is no kind cluster " + name
		advice = "Create it first, or correct the name: `kind get clusters` lists what there is."
	case errors.Is(err, cluster.ErrEngineUnavailable):
		title = "The container engine does not answer"
		advice = "Start it, or see with `docker ps` (or podman, nerdctl) why it refuses you. Nothing was changed, and " +
			"nothing is taken out of the state."
	case errors.Is(err, apply.ErrNodeDown):
		title = "A node of cluster " + name + " isn't running"
		advice = "Start its container (`docker start NODE`), or the kubelet in it (`docker exec NODE systemctl start kubelet`), " +
			"and apply again. Nothing was changed."
	case errors.Is(err, apply.ErrAPIUnavailable):
		title = "The Kubernetes API of cluster " + name + " doesn't answer"
		advice = "The cluster's containers run, but an apiserver doesn't: `docker exec NODE crictl ps -a` and its log " +
			"say why. Nothing was changed."
	}
	if role, missing := errors.AsType[*apply.MissingRoleError](err); missing {
		return missingRole(role)
	}
	if ca, lacking := errors.AsType[*apply.ClientCAError](err); lacking {
		return lackingCA(ca)
	}
	detail := strings.Join([]string{
		"While " + doing + " the hardening of kind cluster " + name + ".", advice, "Error: " + err.Error(),
	}, "\n\n")
	return diag.NewAttributeErrorDiagnostic(path.Root("cluster"), title, detail)
}

// adviceAfter says how a step's failure left the cluster, and what to do. What was undone is in the error's text.
func adviceAfter(failure *apply.StepError) string {
	switch {
	case failure.Kept:
		return "This step and those after it can't be undone, only finished, and nothing of what came before was undone: " +
			"mend what the error names and do the same again."
	case failure.UndoErr != nil:
		return "Not everything that was done could be undone. Mend what the error names and apply again, or destroy: either " +
			"first finishes or undoes what is left half done."
	}
	return "Everything that was done is undone: the cluster is as it was before. Mend what the error names and apply again."
}
