package behaviour

import "context"

// The ports that speak TLS (Kubernetes v1.37.1, cmd/kubeadm/app/constants/constants.go).
const (
	apiserverPort         = 6443
	controllerManagerPort = 10257
	schedulerPort         = 10259
	etcdPort              = 2379
)

func serverPairs() []Pair {
	return []Pair{
		profilingPair("apiserver", apiserverPort),
		profilingPair("controller_manager", controllerManagerPort),
		profilingPair("scheduler", schedulerPort),
		addressPair("controller_manager", controllerManagerPort),
		addressPair("scheduler", schedulerPort),
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
			var answers together
			for _, page := range []struct{ called, path string }{{"profiles", "/debug/pprof/"}, {"metrics", "/metrics"}} {
				url := onLoopback(port, page.path)
				answer, err := question{from: lab.controlPlane(), url: url, client: administrator}.status(ctx)
				if err != nil {
					return "", err
				}
				answers.add(page.called, answer)
			}
			return answers.String(), nil
		},
	}
}

func addressPair(group string, port uint16) Pair {
	return Pair{
		Setting: group + ".bind_address",
		Shows:   "other nodes can't connect",
		Values:  Values{First: {"0.0.0.0"}, Second: {"127.0.0.1"}},
		Answers: Answers{
			Before: "another node: " + refused + ", loopback: 200 OK",
			First:  "another node: 200 OK, loopback: 200 OK",
			Second: "another node: " + refused + ", loopback: 200 OK",
		},
		ask: func(ctx context.Context, lab *Lab) (string, error) {
			var answers together
			url := at(lab.controlPlane(), "https", port, "/healthz")
			answer, err := question{from: lab.worker(), url: url}.status(ctx)
			if err != nil {
				return "", err
			}
			answers.add("another node", answer)
			url = onLoopback(port, "/healthz")
			if answer, err = (question{from: lab.controlPlane(), url: url}).status(ctx); err != nil {
				return "", err
			}
			answers.add("loopback", answer)
			return answers.String(), nil
		},
	}
}
