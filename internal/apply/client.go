package apply

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// loadTime is how long an apiserver may keep what it has read of its client certificate's files (Kubernetes v1.37.1,
// staging/src/k8s.io/client-go/transport/transport.go, cachingCertificateLoader), with as much again for slow machines.
const loadTime = 2 * time.Second

// acceptLimit is how long kubelets may take to let a new identity in. They remember for 30 s that they refused one
// (Kubernetes v1.37.1, pkg/kubelet/apis/config/v1beta1/defaults.go).
const acceptLimit = 60 * time.Second

// clientWork is what changing an apiserver's client certificate for kubelets has in common, whichever way.
type clientWork struct {
	job
	files   clientFiles
	reached map[string]bool // the nodes whose kubelets the apiserver reached before
}

// keep finds out where the files are and which kubelets the apiserver reaches, and keeps the files. A kubelet that it
// can't reach now may be one whose serving certificate it refuses until a later step.
func (w *clientWork) keep(ctx context.Context) error {
	flags, err := realInstance(ctx, w.node).listenerFlags(ctx)
	if err != nil {
		return err
	}
	files, given := clientFilesOf(flags)
	if !given {
		return fmt.Errorf("the %s on node %s: %w", apiserver, w.node.Name(), errNoClientCertificate)
	}
	w.files = files
	w.reached = map[string]bool{}
	// No other connections than for this are opened here: they would be of an identity that is about to go.
	before := w.ofEveryKubelet(ctx, func(ctx context.Context, client apiClient, _ instance, peer Node) error {
		return checkExec(ctx, client, peer.Name())
	})
	for node, err := range before {
		w.reached[node] = err == nil
	}
	return keep(ctx, w.node, w.files.key, w.files.cert)
}

// ofEveryKubelet has the apiserver do something with every kubelet, and returns by node what went wrong.
func (w *clientWork) ofEveryKubelet(
	ctx context.Context, do func(context.Context, apiClient, instance, Node) error,
) map[string]error {
	server := realInstance(ctx, w.node)
	client, err := server.client(ctx, w.target)
	if err == nil {
		defer client.close()
	}
	errs := make([]error, len(w.target.Nodes))
	var group errgroup.Group
	for i, peer := range w.target.Nodes {
		group.Go(func() error {
			if errs[i] = err; err == nil {
				errs[i] = do(ctx, client, server, peer)
			}
			return nil
		})
	}
	_ = group.Wait()
	found := map[string]error{}
	for i, peer := range w.target.Nodes {
		found[peer.Name()] = errs[i]
	}
	return found
}

// waitReaches waits until the apiserver reaches, with what is in the files, every kubelet that it reached before.
// Connections that it opened earlier it may use for up to five minutes more, which are none of this wait's: a command is
// never run on one.
func (w *clientWork) waitReaches(ctx context.Context) error {
	what := fmt.Sprintf("the apiserver of node %s to reach kubelets with its new certificate", w.node.Name())
	begun := time.Now()
	return wait.Until(ctx, what, wait.Options{Limit: acceptLimit, Every: time.Second}, func(ctx context.Context) error {
		if time.Since(begun) < loadTime {
			return errors.New("it may not have read the files yet")
		}
		var problems error
		for node, err := range w.ofEveryKubelet(ctx, checkReach) {
			if w.reached[node] {
				problems = errors.Join(problems, err)
			}
		}
		return problems
	})
}

// undo leaves the apiserver with what it had, and takes as long as it needs to see that it works.
func (w *clientWork) undo(ctx context.Context) error {
	if w.files.cert == "" {
		return nil
	}
	if err := recordConnections(ctx, w.target, w.node); err != nil {
		return err
	}
	if err := takeBack(ctx, w.node, w.files.key, w.files.cert); err != nil {
		return err
	}
	return w.waitReaches(ctx)
}

// issueClientWork gives an apiserver a client certificate that names the declared user alone.
type issueClientWork struct {
	clientWork
	request *pki.SigningRequest
	issued  *x509.Certificate
}

func (w *issueClientWork) phases() []phase {
	return []phase{
		{"keep the certificate and its key", w.keep},
		{"have the cluster's CA sign another", w.issue},
		{"show it to every kubelet", w.prove},
		{"stage the key and the certificate", w.stage},
		{"put the key and the certificate in place", w.install},
		{"see that the apiserver reaches kubelets with it", w.waitReaches},
	}
}

// issue asks the cluster to sign, where the CA's key could as well be read from the node: the key that can make anyone of
// anybody then never leaves the control plane, and what it signed is on record with who asked for it.
func (w *issueClientWork) issue(ctx context.Context) (err error) {
	if w.request, err = pki.NewClientRequest(declaredIdentity(w.options.Settings).user); err != nil {
		return err
	}
	w.issued, err = w.signClient(ctx, customClient, "The apiserver's identity at kubelets", w.request)
	return err
}

// prove has every kubelet judge the new identity before the apiserver has it: whether it may read logs, and run
// commands, of a pod that isn't there, which is all the same to who is allowed.
func (w *issueClientWork) prove(ctx context.Context) error {
	pair, err := tls.X509KeyPair(pki.EncodeBundle(w.issued), w.request.Key.Reveal())
	if err != nil {
		return errors.New("the signed certificate isn't of the key that was made for it")
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, peer := range w.target.Nodes {
		group.Go(func() error {
			if document, declared := w.options.Settings.KubeletDocumentsOn(peer.Name())[settings.KubeletClientCAField]; declared &&
				!accepts(document, w.issued) {
				return fmt.Errorf("%s, which the cluster signs with, isn't among the CAs that the kubelet of node %s is to know "+
					"clients by: add it to %s", w.issued.Issuer, peer.Name(), settings.NameKubeletClientCA)
			}
			serving, err := currentServing(ctx, peer)
			if err != nil {
				return err
			}
			what := fmt.Sprintf("the kubelet of node %s to let CN=%s in", peer.Name(), w.issued.Subject.CommonName)
			return wait.Until(ctx, what, wait.Options{Limit: acceptLimit, Every: time.Second}, func(ctx context.Context) error {
				return errors.Join(
					tryKubelet(ctx, w.node, serving.Dialled, pair, http.MethodGet, "/containerLogs/kube-system/kubecomm/kubecomm"),
					tryKubelet(ctx, w.node, serving.Dialled, pair, http.MethodPost, "/exec/kube-system/kubecomm/kubecomm?command=true&output=1"),
				)
			})
		})
	}
	return group.Wait()
}

func (w *issueClientWork) stage(ctx context.Context) error {
	return stagePair(ctx, w.node, w.request.Key, w.issued)
}

// install exchanges both files in next to no time. An apiserver that reads them in between fails to connect, for a
// second at most.
func (w *issueClientWork) install(ctx context.Context) error {
	if err := recordConnections(ctx, w.target, w.node); err != nil {
		return err
	}
	return installPair(ctx, w.node, w.files.key, w.files.cert)
}

// restoreClientWork puts back the certificate that an apiserver had before kubecomm.
type restoreClientWork struct{ clientWork }

func (w *restoreClientWork) phases() []phase {
	return []phase{
		{"keep the certificate and its key", w.keep},
		{"put back the files", w.putBack},
		{"see that the apiserver reaches kubelets with them", w.waitReaches},
		{"forget what they were", w.forget},
	}
}

func (w *restoreClientWork) putBack(ctx context.Context) error {
	if err := recordConnections(ctx, w.target, w.node); err != nil {
		return err
	}
	return baseline.restore(ctx, w.node, w.files.key, w.files.cert)
}

// forget gives up the baseline, so that a certificate that is renewed from now on is nothing of kubecomm's.
func (w *restoreClientWork) forget(ctx context.Context) error {
	for _, file := range []string{w.files.key, w.files.cert} {
		if err := w.node.Remove(ctx, string(baseline)+file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
