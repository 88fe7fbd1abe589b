// Package findings judges what kubecomm observes of a cluster's communication paths and does not change. It is pure.
package findings

import (
	"cmp"
	"slices"
)

// Finding is something that makes a path less safe than it should be.
type Finding struct {
	Path    string // who talks to whom
	Subject string // what was looked at: somebody, or a file or process on a node
	Problem string
}

// The paths that are judged.
const (
	toKubelet           = "anyone → kubelet, by the node proxy or directly"
	fromApiserver       = "apiserver → kubelet"
	toEtcd              = "apiserver → etcd"
	betweenEtcds        = "etcd → etcd"
	fromManager         = "controller manager → apiserver"
	fromScheduler       = "scheduler → apiserver"
	fromKubelet         = "kubelet → apiserver"
	fromAdministrator   = "administrator → apiserver"
	clusterAdminGroup   = "kubeadm:cluster-admins"
	mastersGroup        = "system:masters"
	controllerNamespace = "kube-system"
)

// Sorted returns the findings in an order of their own, each once, so that two looks at the same cluster are alike.
func Sorted(found []Finding) []Finding {
	slices.SortFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Problem, b.Problem))
	})
	return slices.Compact(found)
}
