package apply

import (
	"slices"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// egressFlag names the file that says which of an apiserver's connections go through a tunnel.
const egressFlag = "egress-selector-config-file"

// CheckTunnel refuses what would take somebody else's place: its errors wrap ErrForeignKonnectivity, or are a *PortTakenError.
func CheckTunnel(observed Observation, want settings.Settings) error {
	switch want.Tunnel.Mode {
	case settings.SSH:
		return checkPort(observed, sshPort(want))
	case settings.Konnectivity:
		return checkKonnectivity(observed)
	case settings.NoTunnel:
	}
	return nil
}

// AnyTunnel reports whether there is anything left of a tunnel of kubecomm's.
func (o Observation) AnyTunnel() bool { return o.anyKonnectivity() || o.AnySSH() }

// tunnelMode is what carries apiservers' traffic, if that isn't what should: a tunnel that is no longer whole counts as none.
func (o Observation) tunnelMode(held, should settings.Value) settings.Value {
	declared := settings.TunnelMode(should.String())
	if declared == settings.SSH || declared == settings.Konnectivity {
		other := settings.SSH
		if declared == settings.SSH {
			other = settings.Konnectivity
		}
		switch {
		case o.enters(declared) && o.whole(declared):
			return held
		case o.enters(other):
			return settings.Value{string(other)}
		}
		return settings.Value{string(settings.NoTunnel)}
	}
	for _, node := range o.Nodes {
		if node.APIServer == nil {
			continue
		}
		for _, values := range [][]string{node.APIServer.Running[egressFlag], node.APIServer.Manifest[egressFlag]} {
			switch i := slices.IndexFunc(values, ours); {
			case i >= 0:
				return settings.Value{string(settings.TunnelOf(node.APIServer.Documents[values[i]]))}
			case should != nil && len(values) > 0:
				return settings.Value{"unknown"}
			}
		}
	}
	return held
}

// enters reports whether every apiserver runs, and will, with the file by which it enters a tunnel of that kind.
func (o Observation) enters(mode settings.TunnelMode) bool {
	return !slices.ContainsFunc(o.Nodes, func(node NodeObservation) bool {
		if node.APIServer == nil {
			return false
		}
		running, written := node.APIServer.Running[egressFlag], node.APIServer.Manifest[egressFlag]
		return len(running) != 1 || !ours(running[0]) || !slices.Equal(running, written) ||
			settings.TunnelOf(node.APIServer.Documents[running[0]]) != mode
	})
}

// whole reports whether a tunnel of that kind works from every control plane to every node.
func (o Observation) whole(mode settings.TunnelMode) bool {
	if mode == settings.SSH {
		return o.sshTunnels()
	}
	return o.konnectivityTunnels()
}
