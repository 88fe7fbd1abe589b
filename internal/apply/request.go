package apply

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// A kubelet that requests its serving certificate has none until that is signed, and apiservers can't reach it. So it is
// given a first one before it starts to, which was requested in its name: that shows as well, before anything is changed
// on the node, that what it will request is approved and signed.

// requestReason says why a node's kubelet must be given a first certificate; empty if it need not.
func requestReason(node NodeObservation) string {
	leaf := node.Serving.Leaf()
	switch {
	case !node.Serving.Files.Requests || !isTrue(node.Kubelet.Running.Value(kubelet.BootstrapField)):
		return "it is to request its serving certificate"
	case node.Serving.Problem != nil:
		return "the serving certificate that it got is refused: " + node.Serving.Problem.Error()
	case leaf == nil:
		return "it serves none"
	case !pki.NamesOnly(leaf, node.Name, node.Addresses):
		return "the serving certificate that it got names what the node isn't"
	}
	return ""
}

func isTrue(value json.RawMessage) bool { return string(value) == "true" }

// requestServing requests a serving certificate as the node's kubelet would, and has nobody but the approver approve it.
func (j job) requestServing(ctx context.Context) (*pki.SigningRequest, *x509.Certificate, error) {
	request, err := pki.NewServingRequest(j.node.Name(), j.node.Addresses())
	if err != nil {
		return nil, nil, err
	}
	first := realInstance(ctx, j.target.controlPlanes()[0])
	user := pki.NodeUser(j.node.Name())
	asKubelet, err := first.clientAs(ctx, j.target, rest.ImpersonationConfig{
		UserName: user, Groups: []string{pki.NodeGroup, "system:authenticated"},
	})
	if err != nil {
		return nil, nil, err
	}
	defer asKubelet.close()
	client, err := first.client(ctx, j.target)
	if err != nil {
		return nil, nil, err
	}
	defer client.close()
	created, err := asKubelet.CertificatesV1().CertificateSigningRequests().Create(ctx, &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "csr-kubecomm-", Labels: map[string]string{managedLabel: managedBy}},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: request.CSR, SignerName: certificatesv1.KubeletServingSignerName,
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("creating a CertificateSigningRequest as %s: %w", user, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
		defer cancel()
		// Or the cluster does, an hour later.
		_ = client.CertificatesV1().CertificateSigningRequests().Delete(ctx, created.Name, metav1.DeleteOptions{})
	}()
	signed, err := waitSigned(ctx, client, created.Name, request)
	if err != nil {
		err = errors.Join(err, whyNotApproved(ctx, client, created))
	}
	return request, signed, err
}

// waitSigned waits until a request was approved and signed.
func waitSigned(ctx context.Context, client apiClient, name string, request *pki.SigningRequest) (*x509.Certificate, error) {
	var signed *x509.Certificate
	what := "the controller manager to sign CertificateSigningRequest " + name
	err := wait.Until(ctx, what, wait.Options{Limit: signLimit}, func(ctx context.Context) error {
		found, err := client.CertificatesV1().CertificateSigningRequests().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		approved := false
		for _, condition := range found.Status.Conditions {
			approved = approved || condition.Type == certificatesv1.CertificateApproved
			if condition.Type == certificatesv1.CertificateFailed || condition.Type == certificatesv1.CertificateDenied {
				return wait.Final(fmt.Errorf("%s: %s", condition.Reason, condition.Message))
			}
		}
		switch {
		case !approved:
			return errors.New("it isn't approved yet")
		case len(found.Status.Certificate) == 0:
			return errors.New("it is approved, and not signed yet")
		}
		if signed, err = request.Accept(found.Status.Certificate); err != nil {
			return wait.Final(err)
		}
		return nil
	})
	return signed, err
}

// whyNotApproved is what events tell of a request.
func whyNotApproved(ctx context.Context, client apiClient, request *certificatesv1.CertificateSigningRequest) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
	defer cancel()
	events, err := client.EventsV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"regarding.uid": string(request.UID)}.String(),
	})
	if err != nil {
		return nil
	}
	var told error
	for _, event := range events.Items {
		told = errors.Join(told, fmt.Errorf("%s: %s", event.Reason, event.Note))
	}
	return told
}

const (
	stagedRequested = string(checkpoint) + "/staged.pem"
	firstRequested  = kubelet.Folder + "/" + kubelet.Requested + "kubecomm.pem"
	// What a snapshot knows of the requested certificates: where the link led to, and which there were.
	requestedRecord = "/" + kubelet.Requested + "record"
)

// linkScript makes a symbolic link lead elsewhere, with no time in between at which it isn't there.
const linkScript = `lead() { ln -sfn -- "$1" "$2.kubecomm" && mv -fT -- "$2.kubecomm" "$2"; }
`

// recordRequestedScript notes, once, where the link leads to and which certificates there are.
const recordRequestedScript = `set -e
record=$1 link=$2 folder=$3 prefix=$4
[ ! -e "$record" ] || exit 0
[ -h "$link" ] || [ ! -e "$link" ] || { echo "$link is no symbolic link, so that the kubelet could not renew it" >&2; exit 1; }
mkdir -p -- "$(dirname -- "$record")"
{ readlink -- "$link" || echo; find "$folder" -maxdepth 1 -name "$prefix*.pem" -printf '%f\n'; } >"$record.new"
mv -f -- "$record.new" "$record"`

// placeRequestedScript puts a first certificate in place.
const placeRequestedScript = linkScript + `set -e
umask 077
new=${2%.pem}.new.pem
cp -- "$1" "$new"
sync -- "$new"
mv -f -- "$new" "$2"
lead "$2" "$3"
rm -f -- "$1"`

// restoreRequestedScript goes back to what was noted; a certificate that is gone comes from a copy. What was requested
// since goes.
const restoreRequestedScript = linkScript + `set -e
record=$1 copy=$2 link=$3 folder=$4 prefix=$5
[ -e "$record" ] || exit 45
rm -f -- "$link.kubecomm"
target=$(head -n 1 -- "$record")
if [ -n "$target" ]; then
  [ -e "$target" ] || [ ! -e "$copy" ] || cp -a -- "$copy" "$target"
  lead "$target" "$link"
else
  rm -f -- "$link"
fi
find "$folder" -maxdepth 1 -type f -name "$prefix*.pem" -printf '%f\n' | while read -r name; do
  sed 1d -- "$record" | grep -qxF -e "$name" || rm -f -- "$folder/$name"
done`

// keepRequested notes what a kubelet has requested, to undo the step and as the baseline.
func keepRequested(ctx context.Context, node Node) error {
	if err := checkpoint.save(ctx, node, kubelet.Current, string(baseline)+requestedRecord); err != nil {
		return err
	}
	return recordRequested(ctx, node, checkpoint)
}

func recordRequested(ctx context.Context, node Node, s snapshot) error {
	args := []string{
		"sh", "-c", recordRequestedScript, "sh", string(s) + requestedRecord, kubelet.Current, kubelet.Folder, kubelet.Requested,
	}
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("noting what the kubelet of node %s has requested: %w", node.Name(), err)
	}
	return nil
}

// stageRequested brings the first certificate to the node, with its key.
func stageRequested(ctx context.Context, node Node, request *pki.SigningRequest, signed *x509.Certificate) error {
	data := append(pki.EncodeBundle(signed), request.Key.Reveal()...)
	return node.WriteFile(ctx, stagedRequested, cluster.File{Data: data, Mode: privateMode})
}

func placeRequested(ctx context.Context, node Node) error {
	args := []string{"sh", "-c", placeRequestedScript, "sh", stagedRequested, firstRequested, kubelet.Current}
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("putting %s in place on node %s: %w", kubelet.Current, node.Name(), err)
	}
	return nil
}

// restoreRequested goes back to what a snapshot knows. It returns errNotSaved, wrapped, if that is nothing.
func restoreRequested(ctx context.Context, node Node, s snapshot) error {
	args := []string{
		"sh", "-c", restoreRequestedScript, "sh", string(s) + requestedRecord, string(s) + kubelet.Current,
		kubelet.Current, kubelet.Folder, kubelet.Requested,
	}
	_, err := node.Run(ctx, cluster.Command{Args: args})
	if failure, ok := errors.AsType[*cluster.CommandError](err); ok && failure.Code == notSavedStatus {
		err = errNotSaved
	}
	if err != nil {
		return fmt.Errorf("putting back what the kubelet of node %s had requested: %w", node.Name(), err)
	}
	return nil
}

// asksFor reports whether the settings have kubelets request their serving certificates.
func asksFor(want settings.Settings) bool { return want.ServingSource == settings.CSR }
