package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// observe opens the cluster by its name and looks at it.
func (r *hardening) observe(ctx context.Context, name string) (apply.Observation, error) {
	opened, err := r.engine.Open(ctx, name)
	if err != nil {
		return apply.Observation{}, err
	}
	return apply.Observe(ctx, apply.On(opened), r.clock.Now())
}

// apply brings the cluster to what the model declares and fills the model with what is there then.
func (r *hardening) apply(ctx context.Context, doing string, model *hardeningModel) diag.Diagnostics {
	want, _, diags := model.declared(ctx)
	if diags.HasError() {
		return diags
	}
	name := model.Cluster.ValueString()
	opened, err := r.engine.Open(ctx, name)
	if err != nil {
		return append(diags, hardeningFailed(doing, name, err))
	}
	options := r.options(ctx)
	options.Settings = want
	observed, err := apply.Apply(ctx, apply.On(opened), options)
	if err != nil {
		return append(diags, hardeningFailed(doing, name, err))
	}
	return append(diags, model.observe(ctx, observed)...)
}

func (r *hardening) options(ctx context.Context) apply.Options {
	return apply.Options{Now: r.clock.Now, Progress: func(p apply.Progress) { logProgress(ctx, p) }}
}

func logProgress(ctx context.Context, p apply.Progress) {
	fields := map[string]any{"cluster": p.Cluster, "elapsed": p.Elapsed.Round(time.Millisecond).String()}
	if p.Number == 0 {
		fields["note"] = p.Note
		tflog.Warn(ctx, string(p.Event), fields)
		return
	}
	fields["step"] = fmt.Sprintf("%d of %d", p.Number, p.Of)
	fields["node"] = p.Step.Node
	fields["what"] = string(p.Step.Kind)
	fields["reason"] = p.Step.Reason
	if p.Phase != "" {
		fields["phase"] = p.Phase
	}
	tflog.Info(ctx, "step "+string(p.Event), fields)
}

// hardeningFailed turns an error of the domain into a diagnostic: what was attempted, what to do, the error.
func hardeningFailed(doing, name string, err error) diag.Diagnostic {
	title, advice := "The hardening of cluster "+name+" failed", "Mend what the error names and apply again: what was "+
		"done so far is found, and not done twice."
	var step *apply.StepError
	var locked *apply.LockedError
	switch {
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
	case errors.As(err, &step) && step.UndoErr == nil && !step.Kept:
		advice = "Everything that was done is undone: the cluster is as it was before. Mend what the error names and apply " +
			"again."
	case errors.As(err, &step):
	case errors.Is(err, apply.ErrNodeDown):
		title = "A node of cluster " + name + " isn't running"
		advice = "Start its container (`docker start NODE`) and apply again. Nothing was changed."
	case errors.Is(err, apply.ErrAPIUnavailable):
		title = "The Kubernetes API of cluster " + name + " doesn't answer"
		advice = "The cluster's containers run, but an apiserver doesn't: `docker exec NODE crictl ps -a` and its log " +
			"say why. Nothing was changed."
	}
	detail := strings.Join([]string{
		"While " + doing + " the hardening of kind cluster " + name + ".", advice, "Error: " + err.Error(),
	}, "\n\n")
	return diag.NewAttributeErrorDiagnostic(path.Root("cluster"), title, detail)
}
