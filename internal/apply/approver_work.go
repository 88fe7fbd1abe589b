package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// approverLimit is how long an approver may take until it sees requests.
const approverLimit = 60 * time.Second

// installApproverWork puts an approver on a control plane and starts it.
type installApproverWork struct {
	job
	machine string
}

func (w *installApproverWork) phases() []phase {
	return []phase{
		{"keep what is there", w.keep},
		{"write the program and what it needs", w.write},
		{"start it", w.start},
		{"see that it sees requests", w.verify},
	}
}

func (w *installApproverWork) keep(ctx context.Context) error {
	return approverAnywhere().keep(ctx, w.node)
}

func (w *installApproverWork) write(ctx context.Context) error {
	var err error
	if w.machine, err = machineOf(ctx, w.node); err != nil {
		return err
	}
	wanted, err := approverService(ctx, w.target, w.node, w.machine)
	if err == nil {
		err = wanted.carried(w.node)
	}
	if err != nil {
		return err
	}
	token, err := w.requestToken(ctx, wanted.account)
	if err != nil {
		return err
	}
	found, err := findService(ctx, w.node, wanted)
	if err != nil {
		return err
	}
	if err := wanted.writeToken(ctx, w.node, token); err != nil {
		return err
	}
	return wanted.write(ctx, w.node, found)
}

func (w *installApproverWork) start(ctx context.Context) error {
	return approverAnywhere().start(ctx, w.node)
}

func (w *installApproverWork) verify(ctx context.Context) error {
	what := fmt.Sprintf("the approver on node %s to see requests", w.node.Name())
	err := wait.Until(ctx, what, wait.Options{Limit: approverLimit}, func(ctx context.Context) error {
		observed, err := observeApprover(ctx, w.target, w.node, w.machine)
		return errors.Join(err, observed.Problem)
	})
	if err != nil {
		err = fmt.Errorf("%w\nThe end of its log:\n%s", err, unitLog(ctx, w.node, approverUnit))
	}
	return err
}

func (w *installApproverWork) undo(ctx context.Context) error {
	return approverAnywhere().bringBack(ctx, w.job)
}
