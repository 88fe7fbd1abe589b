package konnectivity

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// ReadServer returns what a manifest has a server run with, of the options that are servers'. It returns an error for what is
// no manifest of a server.
func ReadServer(manifest []byte) (Options, error) {
	var pod corev1.Pod
	if err := yaml.Unmarshal(manifest, &pod); err != nil {
		return Options{}, fmt.Errorf("the manifest of %s: %w", ServerName, err)
	}
	for _, container := range pod.Spec.Containers {
		if container.Name == ServerName {
			return Options{Images: Images{Server: container.Image}, Keepalive: keepaliveIn(container)}, nil
		}
	}
	return Options{}, fmt.Errorf("the manifest of %s has no container of that name", ServerName)
}

// ReadAgents returns what a DaemonSet has its agents run with, of the options that are agents'. It returns false if it has no
// agents.
func ReadAgents(set *appsv1.DaemonSet) (Options, bool) {
	if set == nil || len(set.Spec.Template.Spec.Containers) == 0 {
		return Options{}, false
	}
	container := set.Spec.Template.Spec.Containers[0]
	options := Options{Images: Images{Agent: container.Image}, Keepalive: keepaliveIn(container), ServerCount: PerServer}
	if container.Name == EveryServer {
		options.ServerCount = Leases
	}
	all := strings.Split(argument(container, identifiersFlag), "&")
	// What comes up to the node's address isn't a declaration's, see identifiers.
	i := slices.IndexFunc(all, func(text string) bool { return strings.HasSuffix(text, nodesAddress) })
	options.Identifiers = all[i+1:]
	return options, true
}

// keepaliveIn returns 0 for one that is no duration.
func keepaliveIn(container corev1.Container) time.Duration {
	length, err := time.ParseDuration(argument(container, keepaliveFlag))
	if err != nil {
		return 0
	}
	return length
}

func argument(container corev1.Container, flag string) string {
	for _, text := range container.Args {
		if value, is := strings.CutPrefix(text, flag+"="); is {
			return value
		}
	}
	return ""
}
