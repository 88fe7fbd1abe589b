package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

const (
	manifestFolder  = "/etc/kubernetes/manifests"
	manifestFile    = manifestFolder + "/" + apiserver + ".yaml"
	kubeletCAFlag   = "kubelet-certificate-authority"
	pkiFolder       = "/etc/kubernetes/pki/kubecomm" // the apiserver mounts its parent
	issuerCertFile  = pkiFolder + "/kubelet-serving-ca.crt"
	issuerKeyFile   = pkiFolder + "/kubelet-serving-ca.key"
	ownIssuerFile   = pkiFolder + "/kubelet-serving-own-ca.crt"
	stateFolder     = "/etc/kubernetes/kubecomm"
	journalFile     = stateFolder + "/journal"
	swapFolder      = stateFolder + "/swap"
	trialFile       = manifestFolder + "/" + TrialName + ".yaml"
	nextStaging     = swapFolder + "/next.yaml"     // what the swap is to install
	previousStaging = swapFolder + "/previous.yaml" // what to go back to; while it is there, a swap is under way
	trialStaging    = swapFolder + "/trial.yaml"
)

// bundleFile names the file that apiservers verify kubelets with after its content. A process that was started with the
// name has therefore loaded the content, and another content needs another process: apiservers before 1.36 never
// reload the file (feature gate ClientsAllowCARotation).
func bundleFile(bundle []byte) string { return contentFile(bundleName, "crt", bundle) }

// bundleName begins the names of such files.
const bundleName = "kubelet-ca"

// documentFile names a file that settings become in the same way. It may be that apiservers reload such a file; the name
// tells nevertheless what runs.
func documentFile(document settings.Document) string {
	return contentFile(document.Name, document.Extension, document.Data)
}

func contentFile(name, extension string, content []byte) string {
	digest := sha256.Sum256(content)
	return path.Join(pkiFolder, name+"-"+hex.EncodeToString(digest[:6])+"."+extension)
}

// asNamed reports whether a file of kubecomm's has the content that it is named after.
func asNamed(file string, content []byte) bool {
	name, extension := path.Base(file), strings.TrimPrefix(path.Ext(file), ".")
	cut := strings.LastIndex(name, "-")
	return cut > 0 && contentFile(name[:cut], extension, content) == file
}

// manifestOf is where kubeadm puts a component's manifest (Kubernetes v1.37.1, cmd/kubeadm/app/constants/constants.go).
func manifestOf(component settings.Component) string {
	return manifestFolder + "/" + string(component) + ".yaml"
}

// ours reports whether a file is one that only kubecomm can have put there.
func ours(file string) bool { return strings.HasPrefix(file, pkiFolder+"/") }
