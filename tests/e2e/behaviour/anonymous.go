package behaviour

import "context"

func anonymousPairs() []Pair {
	const joining = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
	return []Pair{{
		Setting: "apiserver.anonymous_paths",
		Shows:   "a client without credentials can ask how the apiserver is, and nothing else",
		Values:  Values{Second: {"/livez", "/readyz", "/healthz", joining}},
		Answers: Answers{
			Before: "livez: 200 OK, version: 200 OK",
			Second: "livez: 200 OK, version: 401 Unauthorized",
		},
		ask: func(ctx context.Context, lab *Lab) (string, error) {
			var answers together
			for _, page := range []string{"livez", "version"} {
				url := at(lab.controlPlane(), "https", apiserverPort, "/"+page)
				answer, err := question{from: lab.worker(), url: url}.status(ctx)
				if err != nil {
					return "", err
				}
				answers.add(page, answer)
			}
			return answers.String(), nil
		},
	}}
}
