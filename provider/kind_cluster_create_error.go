package provider

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// createDiagnostics explains why a cluster could not be created.
func createDiagnostics(name string, err error) diag.Diagnostics {
	var invalid *cluster.InvalidSpecError
	var failure *cluster.CreateError
	switch {
	case errors.As(err, &invalid):
		return problemDiagnostics(invalid.Problems)
	case errors.Is(err, cluster.ErrExists):
		return diag.Diagnostics{diag.NewAttributeErrorDiagnostic(path.Root("name"), "Kind cluster already exists", fmt.Sprintf(
			"Tried to create a kind cluster %q, but there is one of that name, which was left as it is. To manage it here, "+
				"import it: terraform import kubecomm_kind_cluster.<label> %s. Or choose another name, or delete it: "+
				"kind delete cluster --name %s.\n\n%s", name, name, name, err))}
	case errors.As(err, &failure):
		return diag.Diagnostics{diag.NewErrorDiagnostic("Kind cluster could not be created", explanation(failure))}
	default:
		return diag.Diagnostics{engineDiagnostic("create", name, err)}
	}
}

func explanation(failure *cluster.CreateError) string {
	var text strings.Builder
	fmt.Fprintf(&text, "Creating the kind cluster %q failed after %s, at this step: %s.\n\n%s\n",
		failure.Cluster, failure.Duration(), failure.Step, failure.Reason())
	if len(failure.Evidence) > 0 {
		fmt.Fprintf(&text, "\nThe last lines that explain it:\n  %s\n", strings.Join(failure.Evidence, "\n  "))
	}
	switch {
	case failure.CleanUp != nil:
		fmt.Fprintf(&text, "\nCleaning up failed as well, so nodes may be left. The next apply or destroy deletes them.\n\n%s",
			failure.CleanUp)
	case failure.Remains:
		text.WriteString("\nIts nodes were kept, because keep_on_failure is set. The next apply replaces them.")
	default:
		text.WriteString("\nNothing of it is left. Set keep_on_failure = true to keep the nodes for a look at them.")
	}
	return text.String()
}
