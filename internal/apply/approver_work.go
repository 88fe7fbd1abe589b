package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/approver"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// approverLimit is how long an approver may take until it sees requests.
const approverLimit = 60 * time.Second

// firstTokenLifetime is how long the first token of a program is valid. It renews it by itself; a node that is put away for
// months still has a valid one when it comes back.
const firstTokenLifetime = 365 * 24 * time.Hour

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
	return checkpoint.save(ctx, w.node, approverAnywhere().paths()...)
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
	token, err := w.requestToken(ctx, approver.Name)
	if err != nil {
		return err
	}
	found, err := findService(ctx, w.node, wanted)
	if err != nil {
		return err
	}
	wanted.files[approverToken] = cluster.File{Data: token, Mode: privateMode}
	return wanted.write(ctx, w.node, found)
}

// requestToken asks for the first token of a program, which is a service account of its own.
func (j job) requestToken(ctx context.Context, account string) ([]byte, error) {
	client, err := realInstance(ctx, j.node).client(ctx, j.target)
	if err != nil {
		return nil, err
	}
	defer client.close()
	seconds := int64(firstTokenLifetime / time.Second)
	accounts := client.CoreV1().ServiceAccounts(metav1.NamespaceSystem)
	answer, err := accounts.CreateToken(ctx, account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("requesting a token of service account %s/%s: %w", metav1.NamespaceSystem, account, err)
	}
	return []byte(answer.Status.Token), nil
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

func (w *installApproverWork) undo(ctx context.Context) error { return bringBackApprover(ctx, w.job) }

// bringBackApprover puts back what there was of an approver, and starts it; where there was none, none stays.
func bringBackApprover(ctx context.Context, j job) error {
	err := checkpoint.restore(ctx, j.node, approverAnywhere().paths()...)
	if errors.Is(err, errNotSaved) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = j.node.ReadFile(ctx, approverUnitAt)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return approverAnywhere().remove(ctx, j.node)
	case err != nil:
		return err
	}
	// Its account may have been made anew, and its renewed token is gone. Whether it worked before isn't known: that it is
	// started is all that can be done.
	again := &installApproverWork{job: j}
	if token, err := j.requestToken(ctx, approver.Name); err == nil {
		if err := j.node.WriteFile(ctx, approverToken, cluster.File{Data: token, Mode: privateMode}); err != nil {
			return err
		}
	}
	return again.start(ctx)
}

// removeApproverWork ends an approver.
type removeApproverWork struct{ job }

func (w *removeApproverWork) phases() []phase {
	return []phase{{"keep what is there", w.keep}, {"stop and remove it", w.remove}}
}

func (w *removeApproverWork) keep(ctx context.Context) error {
	return checkpoint.save(ctx, w.node, approverAnywhere().paths()...)
}

func (w *removeApproverWork) remove(ctx context.Context) error {
	return approverAnywhere().remove(ctx, w.node)
}

func (w *removeApproverWork) undo(ctx context.Context) error { return bringBackApprover(ctx, w.job) }
