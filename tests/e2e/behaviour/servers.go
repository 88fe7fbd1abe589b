package behaviour

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// The ports that speak TLS (Kubernetes v1.37.1, cmd/kubeadm/app/constants/constants.go).
const (
	apiserverPort         = 6443
	controllerManagerPort = 10257
	schedulerPort         = 10259
	etcdPort              = 2379
	etcdMetricsPort       = 2381 // which speaks none
)

func serverPairs() []Pair {
	return []Pair{
		profilingPair("apiserver", apiserverPort),
		profilingPair("controller_manager", controllerManagerPort),
		profilingPair("scheduler", schedulerPort),
		addressPair("controller_manager.bind_address", "https", controllerManagerPort, "/healthz",
			Values{First: {"0.0.0.0"}, Second: {"127.0.0.1"}}),
		addressPair("scheduler.bind_address", "https", schedulerPort, "/healthz",
			Values{First: {"0.0.0.0"}, Second: {"127.0.0.1"}}),
		etcdProfilingPair(),
		addressPair("etcd.listen_metrics_urls", "http", etcdMetricsPort, "/health",
			Values{First: {"http://0.0.0.0:2381"}, Second: {"http://127.0.0.1:2381"}}),
	}
}

func profilingPair(group string, port uint16) Pair {
	return Pair{
		Setting: group + ".profiling",
		Shows:   "not even the administrator gets a profile",
		Values:  Values{First: on, Second: off},
		Answers: Answers{
			Before: "profiles: 200 OK, metrics: 200 OK",
			First:  "profiles: 200 OK, metrics: 200 OK",
			Second: "profiles: 404 Not Found, metrics: 200 OK",
		},
		ask: func(ctx context.Context, lab *Lab) (string, error) {
			administrator, err := lab.certified()
			if err != nil {
				return "", err
			}
			return askForProfiles(ctx, lab, port, administrator)
		},
	}
}

// etcdProfilingPair has another stock than the others: etcd profiles itself only if it is told to.
func etcdProfilingPair() Pair {
	return Pair{
		Setting: "etcd.profiling",
		Shows:   "not even an apiserver gets a profile",
		Values:  Values{First: on, Second: off},
		Answers: Answers{
			Before: "profiles: 404 Not Found, metrics: 200 OK",
			First:  "profiles: 200 OK, metrics: 200 OK",
			Second: "profiles: 404 Not Found, metrics: 200 OK",
		},
		ask: func(ctx context.Context, lab *Lab) (string, error) {
			certificate, err := lab.clientOf(ctx, string(settings.Etcd))
			if err != nil {
				return "", err
			}
			return askForProfiles(ctx, lab, etcdPort, &tls.Config{Certificates: certificate})
		},
	}
}

func askForProfiles(ctx context.Context, lab *Lab, port uint16, client *tls.Config) (string, error) {
	var answers together
	for _, page := range []struct{ called, path string }{{"profiles", "/debug/pprof/"}, {"metrics", "/metrics"}} {
		url := onLoopback(port, page.path)
		answer, err := question{from: lab.controlPlane(), url: url, client: client}.status(ctx)
		if err != nil {
			return "", err
		}
		answers.add(page.called, answer)
	}
	return answers.String(), nil
}

// addressPair asks where a server tells how it is, first at every address, then on loopback alone.
func addressPair(setting, scheme string, port uint16, path string, values Values) Pair {
	return Pair{
		Setting: setting,
		Shows:   "other nodes can't connect",
		Values:  values,
		Answers: Answers{
			Before: "another node: " + refused + ", loopback: 200 OK",
			First:  "another node: 200 OK, loopback: 200 OK",
			Second: "another node: " + refused + ", loopback: 200 OK",
		},
		ask: func(ctx context.Context, lab *Lab) (string, error) {
			var answers together
			url := at(lab.controlPlane(), scheme, port, path)
			answer, err := question{from: lab.worker(), url: url}.status(ctx)
			if err != nil {
				return "", err
			}
			answers.add("another node", answer)
			url = fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, port, path)
			if answer, err = (question{from: lab.controlPlane(), url: url}).status(ctx); err != nil {
				return "", err
			}
			answers.add("loopback", answer)
			return answers.String(), nil
		},
	}
}
