package apply

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// reloadLimit is how long a kubelet may take to serve new certificate files. It watches them, and looks every minute
// besides (Kubernetes v1.37.1, staging/src/k8s.io/apiserver/pkg/server/dynamiccertificates). Where it has to be restarted for
// that, see showsByName, it is within this time as well.
const reloadLimit = 90 * time.Second

// servingWork gives a kubelet another serving certificate.
type servingWork struct {
	job
	obtain   func(context.Context, job) (*pki.ServingCertificate, error)
	roots    []*x509.Certificate // that it must be of
	observed ServingObservation
	issued   *pki.ServingCertificate
}

func (w *servingWork) phases() []phase {
	return []phase{
		{"issue the certificate and keep the previous one", w.issue},
		{"stage the key and the certificate", w.stage},
		{"put the key and the certificate in place", w.install},
		{"see what the kubelet serves", w.verify},
	}
}

func (w *servingWork) issue(ctx context.Context) (err error) {
	if w.roots, err = trustedCAs(ctx, w.job); err != nil {
		return err
	}
	if w.observed, err = currentServing(ctx, w.node); err != nil {
		return err
	}
	if w.issued, err = w.obtain(ctx, w.job); err != nil {
		return err
	}
	return keep(ctx, w.node, w.observed.Files.CertFile, w.observed.Files.KeyFile)
}

// The staged files go with the checkpoint, so that a crash leaves no key behind for long.
const (
	stagedKey         = string(checkpoint) + "/staged.key"
	stagedCertificate = string(checkpoint) + "/staged.crt"
)

func (w *servingWork) stage(ctx context.Context) error {
	return stagePair(ctx, w.node, w.issued.Key, w.issued.Chain()...)
}

func stagePair(ctx context.Context, node Node, key pki.PrivateKey, chain ...*x509.Certificate) error {
	if err := node.WriteFile(ctx, stagedKey, cluster.File{Data: key.Reveal(), Mode: privateMode}); err != nil {
		return err
	}
	return node.WriteFile(ctx, stagedCertificate, cluster.File{Data: pki.EncodeBundle(chain...), Mode: publicMode})
}

// installPairScript puts both files in place in next to no time, and runs to its end whatever becomes of who started it:
// while only one of the two is new they don't match. A kubelet that runs then keeps what it serves and tries again, but
// one that starts then could not.
const installPairScript = `set -e
trap 'rm -f -- "$2.kubecomm" "$4.kubecomm"' EXIT
cp --preserve=mode -- "$1" "$2.kubecomm"
cp --preserve=mode -- "$3" "$4.kubecomm"
sync -- "$2.kubecomm" "$4.kubecomm"
mv -f -- "$2.kubecomm" "$2"
mv -f -- "$4.kubecomm" "$4"
rm -f -- "$1" "$3"`

func (w *servingWork) install(ctx context.Context) error {
	return installPair(ctx, w.node, w.observed.Files.KeyFile, w.observed.Files.CertFile)
}

func installPair(ctx context.Context, node Node, keyFile, certFile string) error {
	args := []string{
		"setsid", "--wait", "sh", "-c", installPairScript, "sh", stagedKey, keyFile, stagedCertificate, certFile,
	}
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("replacing %s and %s on node %s: %w", keyFile, certFile, node.Name(), err)
	}
	return nil
}

// verify judges the certificate as the apiserver will.
func (w *servingWork) verify(ctx context.Context) error {
	if w.observed.Files.Requests {
		return nil // it doesn't serve from files yet; the step that has it do so looks
	}
	chain, err := waitServing(ctx, w.target, w.node, w.observed, w.issued.Certificate)
	if err != nil {
		return err
	}
	if err := pki.VerifyServing(chain, w.roots, w.observed.Dialled.Addr(), w.options.Now()); err != nil {
		return fmt.Errorf("the certificate that the kubelet of node %s now serves at %s can't be verified: %w",
			w.node.Name(), w.observed.Dialled, err)
	}
	return nil
}

func (w *servingWork) undo(ctx context.Context) error { return undoServing(ctx, w.job, takeBack) }

// restoreServingWork puts back the files that the kubelet served from before kubecomm.
type restoreServingWork struct {
	job
	observed ServingObservation
	saved    bool
}

func (w *restoreServingWork) phases() []phase {
	return []phase{{"put back the files", w.restore}, {"see what the kubelet serves", w.verify}}
}

func (w *restoreServingWork) restore(ctx context.Context) (err error) {
	if w.observed, err = currentServing(ctx, w.node); err != nil {
		return err
	}
	if err := w.forgetRequested(ctx); err != nil {
		return err
	}
	files := []string{w.observed.Files.KeyFile, w.observed.Files.CertFile}
	if err := checkpoint.save(ctx, w.node, files...); err != nil {
		return err
	}
	err = baseline.restore(ctx, w.node, files...)
	if errors.Is(err, errNotSaved) {
		return nil // a node without saved files joined later and was never changed
	}
	w.saved = err == nil
	return err
}

// forgetRequested takes away what a kubelet requested that doesn't any more, if the step that had it stop didn't.
func (w *restoreServingWork) forgetRequested(ctx context.Context) error {
	_, err := baseline.read(ctx, w.node, requestedRecord)
	if errors.Is(err, fs.ErrNotExist) || err == nil && w.observed.Files.Requests {
		return nil
	}
	if err == nil {
		err = keepRequested(ctx, w.node)
	}
	if err != nil {
		return err
	}
	return forgetRequested(ctx, w.node)
}

func (w *restoreServingWork) verify(ctx context.Context) error {
	if !w.saved || w.observed.Files.Requests {
		return nil
	}
	return waitServingFile(ctx, w.target, w.node, w.observed)
}

// undo leaves the baseline as it is, which the phases don't touch.
func (w *restoreServingWork) undo(ctx context.Context) error {
	err := restoreRequested(ctx, w.node, checkpoint)
	if err == nil {
		err = rollBack(ctx, w.node, string(baseline)+requestedRecord)
	}
	if err != nil && !errors.Is(err, errNotSaved) {
		return err
	}
	return undoServing(ctx, w.job, rollBack)
}

func undoServing(ctx context.Context, j job, back func(context.Context, Node, ...string) error) error {
	observed, err := currentServing(ctx, j.node)
	if err != nil {
		return err
	}
	if err := back(ctx, j.node, observed.Files.KeyFile, observed.Files.CertFile); err != nil || observed.Files.Requests {
		return err
	}
	return waitServingFile(ctx, j.target, j.node, observed)
}

func currentServing(ctx context.Context, node Node) (ServingObservation, error) {
	config, process, err := readKubelet(ctx, node)
	if err != nil {
		return ServingObservation{}, err
	}
	return servingOf(node, config.current, process)
}

// waitServingFile waits until the kubelet serves what is in its file.
func waitServingFile(ctx context.Context, target Target, node Node, observed ServingObservation) error {
	file, err := node.ReadFile(ctx, observed.Files.CertFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there was none; a kubelet makes its own at the next start
	}
	if err != nil {
		return err
	}
	certificates, err := pki.ParseBundle(file.Data)
	if err != nil {
		return fmt.Errorf("the original %s of node %s: %w", observed.Files.CertFile, node.Name(), err)
	}
	_, err = waitServing(ctx, target, node, observed, certificates[0])
	return err
}

// waitServing waits until the kubelet serves the certificate, and returns the chain that it serves then.
func waitServing(
	ctx context.Context, target Target, node Node, observed ServingObservation, want *x509.Certificate,
) ([]*x509.Certificate, error) {
	what := fmt.Sprintf("the kubelet of node %s to serve certificate %s", node.Name(), pki.Fingerprint(want))
	var chain []*x509.Certificate
	restarted := false
	err := wait.Until(ctx, what, wait.Options{Limit: reloadLimit}, func(ctx context.Context) error {
		answer := askKubelet(ctx, target, observed.Dialled)
		chain = answer.chain
		switch {
		case answer.chainProblem != nil:
			return answer.chainProblem
		case chain[0].Equal(want):
			return nil
		case !restarted && showsByName(ctx, target, node, observed.Dialled, want):
			if err := restartKubelet(ctx, node); err != nil {
				return wait.Final(err)
			}
			restarted = true
		}
		return fmt.Errorf("it serves %s", pki.Fingerprint(chain[0]))
	})
	if err == nil && restarted {
		err = waitRestarted(ctx, target, node)
	}
	return chain, err
}

// showsByName reports whether the kubelet shows the certificate to a client that names the server it means. Before Kubernetes
// 1.36, it shows others what it had when it started (Kubernetes v1.35.4, pkg/kubelet/server/server.go, ListenAndServeTLS with
// files; crypto/tls, Config.GetCertificate), and so it does apiservers, which dial addresses.
func showsByName(ctx context.Context, target Target, node Node, address netip.AddrPort, want *x509.Certificate) bool {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	conn, err := connectTLS(ctx, target, address, node.Name())
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].Equal(want)
}

// waitRestarted waits until the node is ready again.
func waitRestarted(ctx context.Context, target Target, node Node) error {
	what := fmt.Sprintf("the kubelet of node %s to be ready after its restart", node.Name())
	return wait.Until(ctx, what, wait.Options{Limit: restartLimit}, func(ctx context.Context) error {
		_, process, err := readKubelet(ctx, node)
		if err != nil {
			return err
		}
		return checkNodeReady(ctx, target, node, process.start)
	})
}
