package image

import (
	"fmt"
	"path/filepath"
)

// AgnhostImage is upstream's test workload server under the name that
// Kubernetes' own tests use (kubernetes v1.37.1, test/utils/image/manifest.go).
const AgnhostImage = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"

// Konnectivity's images, at the version that sources/konnectivity pins.
const (
	KonnectivityServerImage = "registry.k8s.io/kas-network-proxy/proxy-server:v0.36.0"
	KonnectivityAgentImage  = "registry.k8s.io/kas-network-proxy/proxy-agent:v0.36.0"
)

// kubectlImage is upstream's, of the newest Kubernetes here, whatever version nodes run.
func kubectlImage(newest Version) string { return "registry.k8s.io/kubectl:" + newest.String() }

// agnhostSpec puts a shell beside agnhost, as upstream's image does.
func agnhostSpec(p pieces, scratch string) (Spec, error) {
	return oneProgram(scratch, "agnhost", filepath.Join(p.parts["agnhost"], "agnhost"), Spec{
		Ref: AgnhostImage, Cmd: []string{"pause"}, Layers: []string{filepath.Join(p.root, shellTar)},
	})
}

func konnectivitySpec(p pieces, scratch, role, ref string) (Spec, error) {
	return oneProgram(scratch, "proxy-"+role, filepath.Join(p.parts["konnectivity"], role), Spec{Ref: ref})
}

// kubectlSpec has kubectl where upstream's image has it, and no shell either (kubernetes v1.37.1, build/server-image/kubectl).
func kubectlSpec(kubernetes, scratch, ref string) (Spec, error) {
	return oneProgram(scratch, "bin/kubectl", filepath.Join(kubernetes, "kubectl"), Spec{Ref: ref})
}

// balancerSpec is the program under the name that kind calls.
func balancerSpec(p pieces, scratch, ref string) (Spec, error) {
	s, err := oneProgram(scratch, "usr/local/bin/envoy", filepath.Join(p.own, "balancer"), Spec{
		Ref: ref, Layers: []string{filepath.Join(p.root, shellTar)},
	})
	s.Entrypoint = nil
	return s, err
}

func oneProgram(scratch, name, program string, s Spec) (Spec, error) {
	layer := filepath.Join(scratch, "program-"+filepath.Base(name)+".tar")
	if err := writeLayer(layer, map[string]string{name: program}); err != nil {
		return s, fmt.Errorf("image %s: %w", s.Ref, err)
	}
	s.Entrypoint = []string{"/" + name}
	s.Env = []string{searchPath}
	s.Layers = append(s.Layers, layer)
	return s, nil
}
