package findings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
)

// Etcd judges whether etcd and its clients verify each other, by the flags of etcd's process; nil if none runs here.
func Etcd(node string, flags controlplane.Flags) []Finding {
	if flags == nil {
		return nil
	}
	subject := "etcd on " + node
	check := func(path, auth, ca, listen string) []Finding {
		return toFindings(path, subject, append(unverified(flags, auth, ca), notHTTPS(flags, listen)...))
	}
	return slices.Concat(
		check(toEtcd, "client-cert-auth", "trusted-ca-file", "listen-client-urls"),
		check(betweenEtcds, "peer-client-cert-auth", "peer-trusted-ca-file", "listen-peer-urls"),
	)
}

// unverified judges two flags either of which makes etcd insist on a client certificate (etcd client/pkg v3.6.13,
// transport/listener.go, ServerConfig).
func unverified(flags controlplane.Flags, auth, ca string) []string {
	authValue, _ := flags.Get(auth)
	caValue, _ := flags.Get(ca)
	switch {
	case !on(authValue) && caValue == "":
		return []string{fmt.Sprintf("neither --%s nor --%s is set: clients without a certificate are let in", auth, ca)}
	case !on(authValue):
		return []string{fmt.Sprintf("--%s isn't on: that clients need a certificate hangs on --%s alone", auth, ca)}
	case caValue == "":
		return []string{fmt.Sprintf("--%s isn't set: clients are let in with a certificate of any CA that the system trusts", ca)}
	}
	return nil
}

// EtcdClient judges how an apiserver connects to etcd, by the flags of its process.
func EtcdClient(node string, flags controlplane.Flags) []Finding {
	problems := notHTTPS(flags, "etcd-servers")
	for name, otherwise := range map[string]string{
		"etcd-cafile":   "etcd isn't verified by a CA of its own",
		"etcd-certfile": "etcd is shown no client certificate",
		"etcd-keyfile":  "etcd is shown no client certificate",
	} {
		if value, _ := flags.Get(name); value == "" {
			problems = append(problems, fmt.Sprintf("--%s isn't set: %s", name, otherwise))
		}
	}
	return toFindings(toEtcd, "kube-apiserver on "+node, problems)
}

func on(value string) bool {
	is, err := strconv.ParseBool(value)
	return err == nil && is
}

func notHTTPS(flags controlplane.Flags, name string) []string {
	var problems []string
	for address := range strings.SplitSeq(strings.Join(flags[name], ","), ",") {
		if !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "unixs://") {
			problems = append(problems, fmt.Sprintf("--%s has %q, which isn't https", name, address))
		}
	}
	return problems
}

func toFindings(path, subject string, problems []string) []Finding {
	var found []Finding
	for _, problem := range problems {
		found = append(found, Finding{path, subject, problem})
	}
	return found
}
