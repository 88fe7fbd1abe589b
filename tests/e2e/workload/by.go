package workload

import (
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// By is the same pod, reached by another way to the API.
func (p Pod) By(config *rest.Config) (Pod, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return Pod{}, err
	}
	p.config, p.client = config, client
	return p, nil
}
