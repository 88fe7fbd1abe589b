package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// konnectivityServerLimit is how long a server may take from its manifest's appearance until it is healthy: its image may have to
// be pulled.
const konnectivityServerLimit = 5 * time.Minute

// konnectivityCertificateLifetime is how long a server's serving certificate is valid: as long as what kubeadm has signed.
const konnectivityCertificateLifetime = 365 * 24 * time.Hour

// installKonnectivityServerWork puts a server on a control plane, or gives one that is there what it lacks.
type installKonnectivityServerWork struct {
	job
	found   KonnectivityServerObservation
	files   map[string]cluster.File // that are to be written
	started bool                    // the manifest is another than before
}

func (w *installKonnectivityServerWork) phases() []phase {
	return []phase{
		{"keep what is there", w.keep},
		{"issue its serving certificate", w.issue},
		{"have the cluster's CA sign who it is at the apiserver", w.sign},
		{"write its files", w.write},
		{"start it", w.start},
		{"see that it is healthy", w.verify},
	}
}

func (w *installKonnectivityServerWork) keep(ctx context.Context) (err error) {
	if w.found, err = observeKonnectivityServer(ctx, w.node); err != nil {
		return err
	}
	w.files = map[string]cluster.File{}
	return checkpoint.save(ctx, w.node, konnectivity.FilePaths()...)
}

// issue keeps a CA that is good, so that agents go on trusting it. It is this control plane's alone: what is stolen on one
// forges no other's server, and no key moves from one to another.
func (w *installKonnectivityServerWork) issue(ctx context.Context) error {
	now := w.options.Now()
	if w.found.caProblem(now) == "" && w.found.servingProblem(w.node.Name(), w.node.Addresses(), now) == "" {
		return nil
	}
	ca, err := w.authority(ctx, now)
	if err != nil {
		return err
	}
	issued, err := ca.IssueServer(konnectivity.ServerName, []string{konnectivity.ServingName}, pki.ServingRequest{
		Node: w.node.Name(), Addresses: w.node.Addresses(), Lifetime: konnectivityCertificateLifetime, Now: now,
	})
	if err != nil {
		return err
	}
	w.give(konnectivity.ServingKey, issued.Key.Reveal(), privateMode)
	w.give(konnectivity.ServingCert, pki.EncodeBundle(issued.Certificate), publicMode)
	return nil
}

func (w *installKonnectivityServerWork) authority(ctx context.Context, now time.Time) (*pki.CA, error) {
	if w.found.caProblem(now) == "" {
		files, err := w.node.ReadFiles(ctx, konnectivity.CACert, konnectivity.CAKey)
		if err != nil {
			return nil, err
		}
		if ca, err := pki.ParseCA(files[konnectivity.CACert].Data, files[konnectivity.CAKey].Data); err == nil {
			return ca, nil
		}
	}
	ca, err := pki.NewServerCA(konnectivity.ServerName, w.node.Name(), now)
	if err != nil {
		return nil, err
	}
	w.give(konnectivity.CAKey, ca.Key.Reveal(), privateMode)
	w.give(konnectivity.CACert, pki.EncodeBundle(ca.Certificate), publicMode)
	return ca, nil
}

func (w *installKonnectivityServerWork) give(path string, data []byte, mode fs.FileMode) {
	w.files[path] = cluster.File{Data: data, Mode: mode}
}

// sign has it be somebody who may ask who an agent is, and nothing else.
func (w *installKonnectivityServerWork) sign(ctx context.Context) error {
	if w.found.clientProblem(w.options.Now()) == "" {
		return nil
	}
	request, err := pki.NewClientRequest(konnectivity.ServerUser)
	if err != nil {
		return err
	}
	signed, err := w.signClient(ctx, "kubecomm:"+konnectivity.ServerName, "Konnectivity's server at the apiserver", request)
	if err != nil {
		return err
	}
	w.give(konnectivity.ClientKey, request.Key.Reveal(), privateMode)
	w.give(konnectivity.ClientCert, pki.EncodeBundle(signed), publicMode)
	return nil
}

func (w *installKonnectivityServerWork) write(ctx context.Context) error {
	admin, err := w.target.Admin(ctx)
	if err != nil {
		return err
	}
	serving, err := currentServing(ctx, w.node)
	if err != nil {
		return err
	}
	// By the node's own address, connections are sent to a trial while the apiserver is replaced; by a loopback address, they
	// would find nobody.
	port, err := strconv.ParseUint(realInstance(ctx, w.node).port, 10, 16)
	if err != nil {
		return fmt.Errorf("the port of the %s on node %s: %w", apiserver, w.node.Name(), err)
	}
	at := netip.AddrPortFrom(serving.Dialled.Addr(), uint16(port))
	w.give(konnectivity.ClusterCA, admin.CAData, publicMode)
	w.give(konnectivity.Kubeconfig, konnectivity.KubeconfigOf(at, serverName), privateMode)
	for _, path := range konnectivity.FilePaths() {
		file, has := w.files[path]
		if !has || sameFile(file, w.found.Files[path]) {
			continue
		}
		if err := w.node.WriteFile(ctx, path, file); err != nil {
			return err
		}
	}
	// Whoever changed a key's permissions, and nothing else, has it put right.
	args := append([]string{"chmod", "0600", "--"}, konnectivityKeys()...)
	if _, err := w.node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("protecting the keys of %s on node %s: %w", konnectivity.ServerName, w.node.Name(), err)
	}
	return nil
}

func sameFile(a, b cluster.File) bool { return a.Mode == b.Mode && bytes.Equal(a.Data, b.Data) }

// start gives the kubelet the manifest, from which it starts the server, or another in its place.
func (w *installKonnectivityServerWork) start(ctx context.Context) error {
	minor, err := w.minor(ctx)
	if err != nil {
		return err
	}
	now, err := observeKonnectivityServer(ctx, w.node)
	if err != nil {
		return err
	}
	options := konnectivityOptions(w.options.Settings, minor)
	manifest, err := konnectivity.ServerManifest(options, w.node.Name(), now.manifestFiles()...)
	if err != nil {
		return err
	}
	if w.started = !bytes.Equal(manifest, now.Files[konnectivity.Manifest].Data); !w.started {
		return nil
	}
	return w.node.WriteFile(ctx, konnectivity.Manifest, cluster.File{Data: manifest, Mode: privateMode})
}

// minor asks the API for the cluster's version.
func (j job) minor(ctx context.Context) (minor uint, err error) {
	err = askAPI(ctx, j.target, j.node, func(_ context.Context, client apiClient) (err error) {
		minor, err = readMinor(client)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("asking the apiserver on node %s for its version: %w", j.node.Name(), err)
	}
	return minor, nil
}

func (w *installKonnectivityServerWork) verify(ctx context.Context) error {
	what := fmt.Sprintf("%s on node %s to be healthy", konnectivity.ServerName, w.node.Name())
	err := wait.Until(ctx, what, wait.Options{Limit: konnectivityServerLimit, Every: time.Second}, func(ctx context.Context) error {
		if w.started {
			if err := checkStarted(ctx, w.node); err != nil {
				return err
			}
		}
		return askKonnectivityServer(ctx, w.node)
	})
	if err != nil {
		err = fmt.Errorf("%w\nThe end of its log:\n%s", err, lastLog(ctx, instance{node: w.node, container: konnectivity.ServerName}))
	}
	return err
}

// checkStarted returns nil once a server runs that was started from the manifest that is there, and not from one before it.
func checkStarted(ctx context.Context, node Node) error {
	output, err := runUnlessAbsent(ctx, node, startsScript, konnectivity.Manifest, konnectivity.ServerName)
	if err != nil {
		return fmt.Errorf("looking for %s on node %s: %w", konnectivity.ServerName, node.Name(), err)
	}
	since, list, _ := bytes.Cut(output, []byte("\n"))
	var known containerList
	if err := json.Unmarshal(list, &known); err != nil {
		return fmt.Errorf("listing the containers of %s on node %s: %w", konnectivity.ServerName, node.Name(), err)
	}
	for _, container := range known.Containers {
		if container.State == "CONTAINER_RUNNING" && container.CreatedAt > string(since) { // see checkNotEnded
			return nil
		}
	}
	return errors.New("the kubelet hasn't started it yet")
}

// undo puts back what there was, whose server the kubelet then starts again, or ends one where there was none.
func (w *installKonnectivityServerWork) undo(ctx context.Context) error {
	return bringBackKonnectivityServer(ctx, w.job)
}

func bringBackKonnectivityServer(ctx context.Context, j job) error {
	err := checkpoint.restore(ctx, j.node, konnectivity.FilePaths()...)
	if errors.Is(err, errNotSaved) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = j.node.ReadFile(ctx, konnectivity.Manifest)
	if errors.Is(err, fs.ErrNotExist) {
		return removeKonnectivityServer(ctx, j)
	}
	return err
}

// removeKonnectivityServerScript removes the manifest, ends the container rather than wait for the kubelet to do so, and then
// removes what it had.
const removeKonnectivityServerScript = findScript + `rm -f -- "$1"
id=$(find_container "$2")
[ -z "$id" ] || crictl --timeout 30s stop --timeout 1 "$id" >/dev/null 2>&1 || :
shift 2
rm -rf -- "$@"`

func removeKonnectivityServer(ctx context.Context, j job) error {
	node := j.node
	args := []string{
		"sh", "-c", removeKonnectivityServerScript, "sh", konnectivity.Manifest, konnectivity.ServerName,
		konnectivity.FilesFolder, konnectivity.SocketFolder,
	}
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("removing %s from node %s: %w", konnectivity.ServerName, node.Name(), err)
	}
	// By then nobody renews it, if it had one.
	lease := konnectivity.LeaseName(node.Name())
	what := fmt.Sprintf("the apiserver on node %s to remove lease %s", node.Name(), lease)
	return wait.Until(ctx, what, wait.Options{Limit: apiLimit, Every: time.Second}, func(ctx context.Context) error {
		return withAPI(ctx, j.target, node, func(client apiClient) error {
			return ignoreNotFound(client.CoordinationV1().Leases(konnectivity.Namespace).Delete(ctx, lease, metav1.DeleteOptions{}))
		})
	})
}

type removeKonnectivityServerWork struct{ job }

func (w *removeKonnectivityServerWork) phases() []phase {
	return []phase{{"keep what is there", w.keep}, {"stop and remove it", w.remove}}
}

func (w *removeKonnectivityServerWork) keep(ctx context.Context) error {
	return checkpoint.save(ctx, w.node, konnectivity.FilePaths()...)
}

func (w *removeKonnectivityServerWork) remove(ctx context.Context) error {
	return removeKonnectivityServer(ctx, w.job)
}

func (w *removeKonnectivityServerWork) undo(ctx context.Context) error {
	return bringBackKonnectivityServer(ctx, w.job)
}
