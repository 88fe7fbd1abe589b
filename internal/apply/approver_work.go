package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/approver"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/helper"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// approverLimit is how long an approver may take until it sees requests.
const approverLimit = 60 * time.Second

// approverTokenLifetime is how long the first token is valid. The approver renews it by itself; a node that is put away
// for months still has a valid one when it comes back.
const approverTokenLifetime = 365 * 24 * time.Hour

// approverPaths are the files that tell how an approver is, and so what an undo brings back.
func approverPaths() []string {
	return []string{approverProgram, approverConfig, approverCA, approverToken, approverUnitAt}
}

// installApproverWork puts an approver on a control plane and starts it.
type installApproverWork struct{ job }

func (w *installApproverWork) phases() []phase {
	return []phase{
		{"keep what is there", w.keep},
		{"write the program and what it needs", w.write},
		{"start it", w.start},
		{"see that it sees requests", w.verify},
	}
}

func (w *installApproverWork) keep(ctx context.Context) error {
	return checkpoint.save(ctx, w.node, approverPaths()...)
}

func (w *installApproverWork) write(ctx context.Context) error {
	machine, err := w.node.Run(ctx, cluster.Command{Args: []string{"uname", "--machine"}})
	if err != nil {
		return err
	}
	files, err := approverFiles(ctx, w.target, w.node, strings.TrimSpace(string(machine)))
	if err != nil {
		return err
	}
	if _, carried := files[approverProgram]; !carried {
		return fmt.Errorf("node %s, whose machine is %s: %w", w.node.Name(), bytes.TrimSpace(machine), helper.ErrNotCarried)
	}
	token, err := w.requestToken(ctx)
	if err != nil {
		return err
	}
	files[approverToken] = cluster.File{Data: token, Mode: privateMode}
	// Who runs the program isn't root, to whom alone a folder that is made with a file would belong.
	args := []string{"sh", "-c", `umask 022 && mkdir -p -- "$1" && chmod 0755 -- "$1"`, "sh", helperFolder}
	if _, err := w.node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("making %s on node %s: %w", helperFolder, w.node.Name(), err)
	}
	for _, path := range approverPaths() {
		if err := w.node.WriteFile(ctx, path, files[path]); err != nil {
			return err
		}
	}
	return nil
}

// requestToken asks for the approver's first token.
func (w *installApproverWork) requestToken(ctx context.Context) ([]byte, error) {
	client, err := realInstance(ctx, w.node).client(ctx, w.target)
	if err != nil {
		return nil, err
	}
	defer client.close()
	seconds := int64(approverTokenLifetime / time.Second)
	accounts := client.CoreV1().ServiceAccounts(approverNamespace)
	answer, err := accounts.CreateToken(ctx, approver.Name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("requesting a token of service account %s/%s: %w", approverNamespace, approver.Name, err)
	}
	return []byte(answer.Status.Token), nil
}

// startApproverScript lets systemd find the unit as it is now, and doesn't wait: how it goes is seen by who waits.
const startApproverScript = `systemctl daemon-reload && systemctl --quiet enable "$1" && systemctl --no-block restart "$1"`

func (w *installApproverWork) start(ctx context.Context) error {
	if _, err := w.node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", startApproverScript, "sh", approverUnit}}); err != nil {
		return fmt.Errorf("starting %s on node %s: %w", approverUnit, w.node.Name(), err)
	}
	return nil
}

func (w *installApproverWork) verify(ctx context.Context) error {
	what := fmt.Sprintf("the approver on node %s to see requests", w.node.Name())
	err := wait.Until(ctx, what, wait.Options{Limit: approverLimit}, func(ctx context.Context) error {
		observed, err := observeApprover(ctx, w.target, w.node)
		return errors.Join(err, observed.Problem)
	})
	if err != nil {
		err = fmt.Errorf("%w\nThe end of its log:\n%s", err, unitLog(ctx, w.node, approverUnit))
	}
	return err
}

// unitLog returns the end of a unit's log, as good as it can be had: it explains another error.
func unitLog(ctx context.Context, node Node, unit string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
	defer cancel()
	output, err := node.Run(ctx, cluster.Command{Args: []string{"journalctl", "--unit", unit, "--lines", "15", "--output", "cat"}})
	if err != nil {
		return "(its log could not be read: " + err.Error() + ")"
	}
	return strings.TrimSpace(string(output))
}

func (w *installApproverWork) undo(ctx context.Context) error { return bringBackApprover(ctx, w.job) }

// removeApproverScript stops the approver and removes all that it ever had.
const removeApproverScript = `systemctl --quiet disable --now "$1" 2>/dev/null
unit=$1; state=$2 folder=$3; shift 3
rm -rf -- "/var/lib/$state" "/var/lib/private/$state" && rm -f -- "$@" || exit
rmdir -- "$folder" 2>/dev/null
systemctl daemon-reload
systemctl reset-failed "$unit" 2>/dev/null
:`

func removeApprover(ctx context.Context, node Node) error {
	args := append([]string{"sh", "-c", removeApproverScript, "sh", approverUnit, approverState, helperFolder}, approverPaths()...)
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("removing %s from node %s: %w", approverUnit, node.Name(), err)
	}
	return nil
}

// bringBackApprover puts back what there was of an approver, and starts it; where there was none, none stays.
func bringBackApprover(ctx context.Context, j job) error {
	err := checkpoint.restore(ctx, j.node, approverPaths()...)
	if errors.Is(err, errNotSaved) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = j.node.ReadFile(ctx, approverUnitAt)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return removeApprover(ctx, j.node)
	case err != nil:
		return err
	}
	// Its account may have been made anew, and its renewed token is gone. Whether it worked before isn't known: that it is
	// started is all that can be done.
	again := &installApproverWork{job: j}
	if token, err := again.requestToken(ctx); err == nil {
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
	return checkpoint.save(ctx, w.node, approverPaths()...)
}

func (w *removeApproverWork) remove(ctx context.Context) error { return removeApprover(ctx, w.node) }

func (w *removeApproverWork) undo(ctx context.Context) error { return bringBackApprover(ctx, w.job) }
