// Package kubelet reads the kubelet's configuration, as far as it decides which certificate a kubelet serves. It is
// pure: it is given bytes and returns values.
package kubelet

import (
	"errors"
	"fmt"

	"sigs.k8s.io/yaml"
)

// ConfigFile is where kubeadm writes the kubelet's configuration (Kubernetes v1.37.1,
// cmd/kubeadm/app/constants/constants.go).
const ConfigFile = "/var/lib/kubelet/config.yaml"

// Port is the port of the kubelet's authenticated API unless its configuration says otherwise.
const Port = 10250

// The files that a kubelet makes for itself when no serving certificate is configured (Kubernetes v1.37.1,
// cmd/kubelet/app/server.go, InitializeTLS).
const (
	defaultCertFile = "/var/lib/kubelet/pki/kubelet.crt"
	defaultKeyFile  = "/var/lib/kubelet/pki/kubelet.key"
)

// reloadGate makes the kubelet watch its serving certificate's files; on by default since Kubernetes 1.31.
const reloadGate = "ReloadKubeletServerCertificateFile"

// BootstrapField is the field by which a kubelet requests its serving certificate from the cluster, and serves no other.
const BootstrapField = "serverTLSBootstrap"

// Folder is where a kubelet keeps the certificates that it was given. Current is the symbolic link there to the one that
// it serves, with its key, if it requested it; the others' names begin like it and end in a time (Kubernetes v1.37.1,
// staging/src/k8s.io/client-go/util/certificate/certificate_store.go, pkg/kubelet/certificate/kubelet.go).
const (
	Folder    = "/var/lib/kubelet/pki"
	Requested = "kubelet-server-"
	Current   = Folder + "/" + Requested + "current.pem"
)

// ErrNoReload says that the kubelet would only take up new certificate files after a restart.
var ErrNoReload = errors.New("the feature gate " + reloadGate + " is off: the kubelet would not take up new " +
	"certificate files")

// Serving says from where a kubelet takes its serving certificate.
type Serving struct {
	CertFile string
	KeyFile  string
	Port     uint16
	// Requests says that it requests its certificate from the cluster, and the files are not what it serves.
	Requests bool
}

// ParseServing reads a kubelet's configuration file. It returns ErrNoReload, wrapped, where replacing the
// files would have no effect.
func ParseServing(config []byte) (Serving, error) {
	// The type of the kubelet's own library is not used: its strict decoding would refuse the fields of a newer kubelet.
	var fields struct {
		TLSCertFile        string          `json:"tlsCertFile"`
		TLSPrivateKeyFile  string          `json:"tlsPrivateKeyFile"`
		ServerTLSBootstrap bool            `json:"serverTLSBootstrap"`
		Port               uint16          `json:"port"`
		FeatureGates       map[string]bool `json:"featureGates"`
	}
	if err := yaml.Unmarshal(config, &fields); err != nil {
		return Serving{}, fmt.Errorf("the kubelet's configuration is not valid YAML: %w", err)
	}
	serving := Serving{CertFile: fields.TLSCertFile, KeyFile: fields.TLSPrivateKeyFile, Port: fields.Port,
		Requests: fields.ServerTLSBootstrap}
	if serving.CertFile == "" {
		serving.CertFile, serving.KeyFile = defaultCertFile, defaultKeyFile
	}
	if serving.Port == 0 {
		serving.Port = Port
	}
	if on, given := fields.FeatureGates[reloadGate]; given && !on {
		return serving, ErrNoReload
	}
	return serving, nil
}
