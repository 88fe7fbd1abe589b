package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// firstTokenLifetime is how long the first token of a program is valid. It renews it by itself; a node that is put away for
// months still has a valid one when it comes back.
const firstTokenLifetime = 365 * 24 * time.Hour

// requestToken asks for the first token of a service account.
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

func (s service) writeToken(ctx context.Context, node Node, token []byte) error {
	return node.WriteFile(ctx, s.token, cluster.File{Data: token, Mode: privateMode})
}

// keptPaths are all that there may be of it while it is worked on.
func (s service) keptPaths() []string { return append(s.paths(), s.pending...) }

func (s service) keep(ctx context.Context, node Node) error {
	return checkpoint.save(ctx, node, s.keptPaths()...)
}

// bringBack puts back what was kept of it, and starts it; where there was none, none stays. Whether it worked before isn't
// known: that it is started is all that can be done.
func (s service) bringBack(ctx context.Context, j job) error {
	err := checkpoint.restore(ctx, j.node, s.keptPaths()...)
	if errors.Is(err, errNotSaved) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = j.node.ReadFile(ctx, unitFolder+s.unit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.remove(ctx, j.node)
	case err != nil:
		return err
	}
	if s.account != "" {
		// The account may have been made anew, and the token that it renewed is gone. While the API gives none, the old one may do.
		if token, err := j.requestToken(ctx, s.account); err == nil {
			if err := s.writeToken(ctx, j.node, token); err != nil {
				return err
			}
		}
	}
	if s.socket != "" {
		if err := s.stopListening(ctx, j.node); err != nil {
			return err
		}
	}
	return s.start(ctx, j.node)
}

// removeServiceWork ends a service.
type removeServiceWork struct {
	job
	service service
}

func (w *removeServiceWork) phases() []phase {
	return []phase{{"keep what is there", w.keep}, {"stop and remove it", w.remove}}
}

func (w *removeServiceWork) keep(ctx context.Context) error { return w.service.keep(ctx, w.node) }

func (w *removeServiceWork) remove(ctx context.Context) error { return w.service.remove(ctx, w.node) }

func (w *removeServiceWork) undo(ctx context.Context) error { return w.service.bringBack(ctx, w.job) }
