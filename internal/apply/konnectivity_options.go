package apply

import "github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/konnectivity"

// OtherServer returns what a server of the tunnel was found with in place of what is wanted, of something that options say;
// false if none has another, or none was found.
func (o Observation) OtherServer(of func(konnectivity.Options) string, want string) (string, bool) {
	for _, node := range o.Nodes {
		manifest, there := node.KonnectivityServer.Files[konnectivity.Manifest]
		if !there {
			continue
		}
		found, err := konnectivity.ReadServer(manifest.Data)
		if err == nil && of(found) != want {
			return of(found), true
		}
	}
	return "", false
}

// OtherAgents does the same with agents.
func (o Observation) OtherAgents(of func(konnectivity.Options) string, want string) (string, bool) {
	for _, set := range o.Konnectivity.Found.DaemonSets {
		if found, ok := konnectivity.ReadAgents(set); ok && of(found) != want {
			return of(found), true
		}
	}
	return "", false
}
