package settings

import "slices"

const (
	swaps    = "each apiserver is replaced in turn, without an outage"
	replaces = "it is replaced on each control plane in turn, and away there for some seconds"
	reloads  = "kubelets take up new certificate files while they run"
	requests = "kubelets take up new certificate files while they run; to and from `csr` they restart, while their pods " +
		"go on, and so does the controller manager"
	restarts = "kubelets restart, while their pods go on"
	rotates  = "each apiserver is replaced twice, without an outage, and kubelets take up new certificate files in between"

	identifies = "apiservers show kubelets the new certificate on their next connections, and end the last of the old " +
		"ones within five minutes; none restarts"

	toAPIServer = "every client's way to the apiserver"
	toMetrics   = "what collects metrics → this component"
	toEtcd      = "apiserver → etcd, and etcd → etcd"
	toKubelet   = "apiserver → kubelet, and other clients' way to the kubelet's API"
)

// Table lists every setting.
func Table() []Setting {
	return slices.Concat(
		of(APIServer, apiserverTable()), documentTable(), kubeletTable(), of(ControllerManager, controllerManagerTable()),
		of(Scheduler, schedulerTable()), of(Etcd, etcdTable()), tunnelTable(), ownTable(),
	)
}

// of makes the settings' flags those of a component.
func of(component Component, table []Setting) []Setting {
	for i := range table {
		if table[i].Flag != "" {
			table[i].Component = component
		}
	}
	return table
}
