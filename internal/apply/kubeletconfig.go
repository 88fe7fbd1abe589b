package apply

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// restartLimit is how long a kubelet may take from its restart until its node is ready.
const restartLimit = 90 * time.Second

// signerLimit is how long the controller manager may go on with a CA that was replaced. It watches the files, and looks
// every minute besides (Kubernetes v1.37.1, staging/src/k8s.io/apiserver/pkg/server/dynamiccertificates).
const signerLimit = 90 * time.Second

// kubeletWork gives a kubelet the declared configuration, or the one that it had before kubecomm.
type kubeletWork struct {
	job
	next     cluster.File
	declared kubelet.Fields
	roots    []*x509.Certificate // by which its serving certificate is to be verified; none if it is no matter
	before   bool                // it requested its serving certificate
	after    bool                // it is to
	first    bool                // it is to be given a first one
}

func (w *kubeletWork) phases() []phase {
	return []phase{
		{"keep the kubelet's configuration", w.prepare},
		{"see that what it requests is signed", w.request},
		{"write the kubelet's configuration", w.write},
		{"restart the kubelet", w.restart},
		{"see that the kubelet works with it", w.verify},
	}
}

func (w *kubeletWork) prepare(ctx context.Context) error {
	config, err := readKept(ctx, w.node, kubelet.ConfigFile)
	if err != nil {
		return err
	}
	if !w.restore {
		w.declared = declaredFields(w.options.Settings, w.node.Name())
	}
	managed := managedFields(w.declared)
	later := !config.saved && w.observed.Kubelet.Baseline != nil
	if later {
		data := config.current.Data
		config.original.Data, err = kubelet.Rebase(data, data, managed, w.observed.Kubelet.Baseline)
		if err != nil {
			return fmt.Errorf("%s on node %s: %w", kubelet.ConfigFile, w.node.Name(), err)
		}
	}
	before, err := kubelet.ParseFields(config.original.Data)
	if err != nil {
		return err
	}
	desired := desiredFields(KubeletObservation{Baseline: before}, w.declared)
	data, err := kubelet.Rebase(config.original.Data, config.current.Data, managed, desired)
	if err != nil {
		return fmt.Errorf("%s on node %s: %w", kubelet.ConfigFile, w.node.Name(), err)
	}
	w.next = cluster.File{Data: data, Mode: config.current.Mode}
	if err := w.prepareServing(ctx, config); err != nil {
		return err
	}
	if later {
		return keepOriginal(ctx, w.node, kubelet.ConfigFile, config.original)
	}
	return keep(ctx, w.node, kubelet.ConfigFile)
}

// prepareServing finds out where the kubelet takes its serving certificate from, and will.
func (w *kubeletWork) prepareServing(ctx context.Context, config keptFile) error {
	is, err := kubelet.ParseServing(config.current.Data)
	if err != nil {
		return err
	}
	will, err := kubelet.ParseServing(w.next.Data)
	if err != nil {
		return err
	}
	w.before, w.after = is.Requests, will.Requests
	if !w.restore && w.options.Settings.ServingSource != "" {
		if w.roots, err = trustedCAs(ctx, w.job); err != nil {
			return err
		}
	}
	leaf := w.observed.Serving.Leaf()
	w.first = !w.restore && asksFor(w.options.Settings) &&
		(requestReason(w.observed) != "" || !pki.SignedBy(leaf, w.roots[:1]))
	if !w.before && !w.after {
		return nil
	}
	return keepRequested(ctx, w.node)
}

// request gets the first certificate from who will give the kubelet all others.
func (w *kubeletWork) request(ctx context.Context) error {
	if !w.first {
		return nil
	}
	what := fmt.Sprintf("the CA for kubelet serving certificates to sign one for node %s", w.node.Name())
	return wait.Until(ctx, what, wait.Options{Limit: signerLimit, Every: time.Second}, func(ctx context.Context) error {
		request, signed, err := w.requestServing(ctx)
		if err != nil {
			return wait.Final(err)
		}
		if !pki.SignedBy(signed, w.roots[:1]) { // others are trusted besides
			return fmt.Errorf("it was signed by %s, which is another or its predecessor", signed.Issuer)
		}
		return stageRequested(ctx, w.node, request, signed)
	})
}

// write puts the first certificate in place before the configuration that has the kubelet look for it, and takes those
// that were requested away after the one that has it look elsewhere: whenever it starts, it finds one. The files that the
// configuration names come before it too: those that it named before stay as they are, and are removed in the end, see
// finish.
func (w *kubeletWork) write(ctx context.Context) error {
	if w.first {
		if err := recordRequested(ctx, w.node, baseline); err != nil {
			return err
		}
		if err := placeRequested(ctx, w.node); err != nil {
			return err
		}
	}
	for _, document := range w.documents() {
		file := cluster.File{Data: document.Data, Mode: documentMode}
		if err := w.node.WriteFile(ctx, documentFile(document), file); err != nil {
			return err
		}
	}
	if err := w.node.WriteFile(ctx, kubelet.ConfigFile, w.next); err != nil {
		return err
	}
	if w.after {
		return nil
	}
	return forgetRequested(ctx, w.node)
}

// forgetRequested takes away what a kubelet has requested since kubecomm had it do so. Where it never had, nothing is.
func forgetRequested(ctx context.Context, node Node) error {
	err := restoreRequested(ctx, node, baseline)
	if errors.Is(err, errNotSaved) {
		return nil
	}
	if err != nil {
		return err
	}
	return node.Remove(ctx, string(baseline)+requestedRecord)
}

// documents are the files that are wanted; in a restore, none.
func (w *kubeletWork) documents() map[string]settings.Document {
	if w.restore {
		return nil
	}
	return w.options.Settings.KubeletDocumentsOn(w.node.Name())
}

func (w *kubeletWork) restart(ctx context.Context) error { return restartKubelet(ctx, w.node) }

func restartKubelet(ctx context.Context, node Node) error {
	if _, err := node.Run(ctx, cluster.Command{Args: []string{"systemctl", "restart", "kubelet"}}); err != nil {
		return fmt.Errorf("restarting the kubelet of node %s: %w", node.Name(), err)
	}
	return nil
}

func (w *kubeletWork) verify(ctx context.Context) error {
	err := w.waitWorking(ctx)
	if err != nil {
		err = fmt.Errorf("%w\nThe end of its log:\n%s", err, lastKubeletLog(ctx, w.node))
	}
	return err
}

func (w *kubeletWork) waitWorking(ctx context.Context) error {
	what := fmt.Sprintf("the kubelet of node %s to work with its new configuration", w.node.Name())
	return wait.Until(ctx, what, wait.Options{Limit: restartLimit}, func(ctx context.Context) error {
		if err := checkUnit(ctx, w.node); err != nil {
			return err
		}
		config, process, err := readKubelet(ctx, w.node)
		if err != nil {
			return err
		}
		if process.stale {
			return errors.New("it hasn't restarted yet")
		}
		observed, err := servingOf(w.node, config.current, process)
		if err != nil {
			return err
		}
		answer := askKubelet(ctx, w.target, observed.Dialled)
		if answer.configProblem != nil {
			return answer.configProblem
		}
		for name := range w.declared {
			if !answer.config.Equal(w.declared, name) {
				return fmt.Errorf("it runs with %s", fieldText(answer.config, name))
			}
		}
		if w.roots != nil {
			err := pki.VerifyServing(answer.chain, w.roots, observed.Dialled.Addr(), w.options.Now())
			if err != nil {
				return fmt.Errorf("the certificate that it serves at %s can't be verified: %w", observed.Dialled, err)
			}
		}
		return checkNodeReady(ctx, w.target, w.node, process.start)
	})
}

// unitScript prints how the kubelet's last run ended, and whether it runs.
const unitScript = `for property in Result ActiveState; do systemctl show --property $property --value kubelet; done`

// checkUnit finds what no waiting mends: a kubelet that ends as soon as it is started, or that somebody stopped.
func checkUnit(ctx context.Context, node Node) error {
	output, err := node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", unitScript}})
	if err != nil {
		return err
	}
	switch result, state, _ := strings.Cut(strings.TrimSpace(string(output)), "\n"); {
	case state == "inactive" || state == "failed":
		return wait.Final(fmt.Errorf("the kubelet doesn't run on node %s", node.Name()))
	case result != "success":
		return wait.Final(fmt.Errorf("it ends as soon as it is started: %s", result))
	}
	return nil
}

// checkNodeReady asks the first control plane's apiserver for what the kubelet has said of its node since it started, in
// seconds since 1970.
func checkNodeReady(ctx context.Context, target Target, node Node, start int64) error {
	client, err := realInstance(ctx, target.controlPlanes()[0]).client(ctx, target)
	if err != nil {
		return err
	}
	defer client.close()
	found, err := client.CoreV1().Nodes().Get(ctx, node.Name(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range found.Status.Conditions {
		switch {
		case condition.Type != corev1.NodeReady:
		case condition.LastHeartbeatTime.Unix() < start:
			return errors.New("it hasn't said yet how its node is")
		case condition.Status != corev1.ConditionTrue:
			return fmt.Errorf("the node is not ready: %s: %s", condition.Reason, condition.Message)
		}
	}
	return nil
}

// kubeletLogScript prints what the kubelet itself wrote; systemd tells of its unit under another name.
const kubeletLogScript = complaintScript + `journalctl _SYSTEMD_UNIT=kubelet.service --lines 300 --output cat | complaints`

func lastKubeletLog(ctx context.Context, node Node) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
	defer cancel()
	output, err := node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", kubeletLogScript}})
	if err != nil {
		return "(its log could not be read: " + err.Error() + ")"
	}
	return strings.TrimSpace(string(output))
}

// undo restarts the kubelet only where its file was changed.
func (w *kubeletWork) undo(ctx context.Context) error {
	previous, err := checkpoint.read(ctx, w.node, kubelet.ConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	current, err := w.node.ReadFile(ctx, kubelet.ConfigFile)
	if err != nil {
		return err
	}
	// Whenever the kubelet starts, it finds the certificate that its configuration has it look for.
	steps := []func() error{
		func() error { return w.undoRequested(ctx) },
		func() error { return takeBack(ctx, w.node, kubelet.ConfigFile) },
	}
	if !w.before {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	if string(current.Data) == string(previous.Data) && !w.first {
		return nil
	}
	w.declared, w.roots = nil, nil
	if err := w.restart(ctx); err != nil {
		return err
	}
	return w.waitWorking(ctx)
}

func (w *kubeletWork) undoRequested(ctx context.Context) error {
	err := restoreRequested(ctx, w.node, checkpoint)
	if errors.Is(err, errNotSaved) {
		return nil // it never requested any
	}
	if err != nil {
		return err
	}
	return rollBack(ctx, w.node, string(baseline)+requestedRecord)
}
