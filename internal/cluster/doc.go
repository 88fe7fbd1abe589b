// Package cluster sees a kind cluster from outside: which nodes it has and at which addresses, running commands and
// keeping files on them, connections opened from within them, and the cluster's kubeconfig. It also creates and
// deletes clusters. It is the only package that knows kind and the container engine.
package cluster
