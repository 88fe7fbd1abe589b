package behaviour

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

func kubeletPairs() []Pair {
	return []Pair{
		{
			Setting: "kubelet.anonymous",
			Shows:   "a client without credentials can't read a kubelet's metrics",
			Values:  Values{Before: on, First: off, Second: off},
			Answers: Answers{
				Before: "nobody: 200 OK, the administrator: 200 OK",
				Second: "nobody: 401 Unauthorized, the administrator: 200 OK",
			},
			ask: askAsNobody,
		},
		{
			Setting: "kubelet.webhook_authentication",
			Shows:   "a service account can read a kubelet's metrics by its token",
			Values:  Values{First: off, Second: on},
			Answers: Answers{
				First:  "a collector: 401 Unauthorized, the administrator: 200 OK",
				Second: "a collector: 200 OK, the administrator: 200 OK",
			},
			ask: askAs("a collector", collectors),
		},
		{
			Setting: "kubelet.authorization_mode",
			Shows:   "a client without rights can't read a kubelet's metrics",
			Values:  Values{Before: {"AlwaysAllow"}, First: {"Webhook"}, Second: {"Webhook"}},
			Answers: Answers{
				Before: "a stranger: 200 OK, the administrator: 200 OK",
				Second: "a stranger: 403 Forbidden, the administrator: 200 OK",
			},
			ask: askAs("a stranger", strangers),
		},
		{
			Setting: "kubelet.read_only_port",
			Shows:   "nobody tells of pods over plain HTTP",
			Values:  Values{Before: {fmt.Sprint(readOnlyPort)}, First: {"0"}, Second: {"0"}},
			Answers: Answers{Before: "200 OK", Second: refused},
			ask: func(ctx context.Context, lab *Lab) (string, error) {
				return question{from: lab.controlPlane(), url: at(lab.worker(), "http", readOnlyPort, "/pods")}.status(ctx)
			},
		},
		{
			Setting: "kubelet.debugging_handlers",
			Shows:   "logs and exec work",
			Values:  Values{Before: off, First: on, Second: on},
			Answers: Answers{
				Before: "logs: 405 MethodNotAllowed, exec over WebSocket: " + handlersOff,
				First:  "logs: served, exec over WebSocket: served",
				Second: "logs: served, exec over WebSocket: served",
			},
			ask: useStreams,
		},
	}
}

const (
	readOnlyPort = 10255
	// handlersOff is what a kubelet says that doesn't debug (Kubernetes v1.37.1, pkg/kubelet/server/server.go).
	handlersOff = "Debug endpoints are disabled."
)

func askAsNobody(ctx context.Context, lab *Lab) (string, error) {
	return askForMetrics(ctx, lab, "nobody", "")
}

// askAs asks as a service account of a namespace.
func askAs(called, namespace string) func(context.Context, *Lab) (string, error) {
	return func(ctx context.Context, lab *Lab) (string, error) {
		token, err := lab.newToken(ctx, namespace)
		if err != nil {
			return "", err
		}
		return askForMetrics(ctx, lab, called, token)
	}
}

// askForMetrics asks the worker's kubelet: the client with the token, and the administrator.
func askForMetrics(ctx context.Context, lab *Lab, called, token string) (string, error) {
	administrator, err := lab.certified()
	if err != nil {
		return "", err
	}
	var answers together
	for _, client := range []struct {
		called, token string
		config        *tls.Config
	}{
		{called, token, nil}, {"the administrator", "", administrator},
	} {
		url := at(lab.worker(), "https", kubelet.Port, "/metrics")
		answer, err := question{from: lab.controlPlane(), url: url, token: client.token, client: client.config}.status(ctx)
		if err != nil {
			return "", err
		}
		answers.add(client.called, answer)
	}
	return answers.String(), nil
}

// useStreams goes through the apiserver, which passes on what the kubelet says to one, and its status alone to the other.
func useStreams(ctx context.Context, lab *Lab) (string, error) {
	var answers together
	for _, path := range workload.Paths() {
		if path.Name != "logs" && path.Name != "exec over WebSocket" {
			continue
		}
		err := path.Use(ctx, lab.pod)
		switch {
		case err == nil:
			answers.add(path.Name, served)
		case strings.Contains(err.Error(), handlersOff):
			answers.add(path.Name, handlersOff)
		default:
			answer, err := verdict(err)
			if err != nil {
				return "", err
			}
			answers.add(path.Name, answer)
		}
	}
	return answers.String(), nil
}
