package behaviour

import (
	"context"
	"crypto/tls"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func tlsPairs() []Pair {
	return []Pair{
		floorPair("apiserver", "VersionTLS13"), suitesPair("apiserver"), curvesPair("apiserver"),
		floorPair("kubelet", "VersionTLS13"), suitesPair("kubelet"), curvesPair("kubelet"),
		floorPair("controller_manager", "VersionTLS13"), suitesPair("controller_manager"),
		floorPair("scheduler", "VersionTLS13"), suitesPair("scheduler"),
		floorPair("etcd", "TLS1.3"),
	}
}

// servers are where the control plane finds those that speak TLS, by the settings' group.
var servers = map[string]func(*Lab) string{
	"apiserver":          func(lab *Lab) string { return at(lab.controlPlane(), "https", apiserverPort, "/livez") },
	"kubelet":            func(lab *Lab) string { return at(lab.worker(), "https", kubelet.Port, "/healthz") },
	"controller_manager": func(*Lab) string { return onLoopback(controllerManagerPort, "/healthz") },
	"scheduler":          func(*Lab) string { return onLoopback(schedulerPort, "/healthz") },
	"etcd":               func(*Lab) string { return onLoopback(etcdPort, "/health") },
}

// How servers refuse a client with whom they have nothing in common, as crypto/tls words their alerts.
const (
	versionRefused   = "remote error: tls: protocol version not supported"
	handshakeRefused = "remote error: tls: handshake failure"
)

// served is that a server answered a request, whatever it said.
const served = "served"

// offer is a client by what it offers.
type offer struct {
	called string
	limit  func(*tls.Config)
}

// greet asks a server as each of the clients.
func greet(group string, clients ...offer) func(context.Context, *Lab) (string, error) {
	return func(ctx context.Context, lab *Lab) (string, error) {
		certificate, err := lab.clientOf(ctx, group)
		if err != nil {
			return "", err
		}
		var answers together
		for _, client := range clients {
			config := &tls.Config{Certificates: certificate}
			client.limit(config)
			answer, err := question{from: lab.controlPlane(), url: servers[group](lab), client: config}.status(ctx)
			if err != nil {
				return "", err
			}
			if !strings.HasPrefix(answer, "remote error") && answer != refused {
				answer = served
			}
			answers.add(client.called, answer)
		}
		return answers.String(), nil
	}
}

// clientOf is the certificate without which etcd talks to nobody, and none for other servers.
func (l *Lab) clientOf(ctx context.Context, group string) ([]tls.Certificate, error) {
	if group != string(settings.Etcd) {
		return nil, nil
	}
	const certFile, keyFile = "/etc/kubernetes/pki/apiserver-etcd-client.crt", "/etc/kubernetes/pki/apiserver-etcd-client.key"
	files, err := l.controlPlane().ReadFiles(ctx, certFile, keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(files[certFile].Data, files[keyFile].Data)
	return []tls.Certificate{pair}, err
}

func floorPair(group, floor string) Pair {
	return Pair{
		Setting: group + ".tls_min_version",
		Shows:   "a client that speaks no more than TLS 1.2 is refused",
		Values:  Values{First: {floor}},
		Answers: Answers{
			Before: "TLS 1.2: " + served + ", TLS 1.3: " + served,
			First:  "TLS 1.2: " + versionRefused + ", TLS 1.3: " + served,
			Second: "TLS 1.2: " + served + ", TLS 1.3: " + served,
		},
		ask: greet(group,
			offer{"TLS 1.2", func(config *tls.Config) { config.MaxVersion = tls.VersionTLS12 }},
			offer{"TLS 1.3", func(config *tls.Config) { config.MinVersion = tls.VersionTLS13 }},
		),
	}
}

// suitesPair has suites in pairs, for certificates of either kind of key.
func suitesPair(group string) Pair {
	with := func(suites ...uint16) func(*tls.Config) {
		return func(config *tls.Config) { config.MaxVersion, config.CipherSuites = tls.VersionTLS12, suites }
	}
	return Pair{
		Setting: group + ".tls_cipher_suites",
		Shows:   "a client that offers other cipher suites only is refused",
		Values: Values{Second: {
			"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		}},
		Answers: Answers{
			Before: "AES 128: " + served + ", AES 256: " + served,
			Second: "AES 128: " + served + ", AES 256: " + handshakeRefused,
		},
		ask: greet(group,
			offer{"AES 128", with(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)},
			offer{"AES 256", with(tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)},
		),
	}
}

func curvesPair(group string) Pair {
	with := func(curve tls.CurveID) func(*tls.Config) {
		return func(config *tls.Config) { config.CurvePreferences = []tls.CurveID{curve} }
	}
	return Pair{
		Setting: group + ".tls_curve_preferences",
		Shows:   "a client that offers other key exchange mechanisms only is refused",
		Values:  Values{Second: {tls.X25519MLKEM768.String(), tls.X25519.String()}},
		Answers: Answers{
			Before: "X25519: " + served + ", CurveP384: " + served,
			Second: "X25519: " + served + ", CurveP384: " + handshakeRefused,
		},
		ask: greet(group, offer{"X25519", with(tls.X25519)}, offer{"CurveP384", with(tls.CurveP384)}),
	}
}
