package findings

import (
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/access"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
)

func TestWhoeverMayGetTheNodeProxyIsFound(t *testing.T) {
	rule := func(resource string, verbs ...string) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{resource}, Verbs: verbs}}
	}
	const collector = "system:controller:generic-garbage-collector"
	roles := map[string][]rbacv1.PolicyRule{
		"cluster-admin": rule("*", "*"), "metrics": rule("nodes/proxy", "get"), "posts": rule("nodes/proxy", "create"),
		"stats": rule("nodes/stats", "*"), collector: rule("*", "get", "list"),
	}
	const path = "anyone → kubelet, by the node proxy or directly"
	problem := func(role string) string {
		return "may get nodes/proxy, by ClusterRole " + role + " and ClusterRoleBinding b, and so run commands in every pod"
	}
	user, group := rbacv1.Subject{Kind: "User", Name: "dave"}, rbacv1.Subject{Kind: "Group", Name: "developers"}
	account := func(namespace, name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
	}
	tests := map[string]struct {
		role, binding string
		subjects      []rbacv1.Subject
		want          []Finding
	}{
		"a user":                 {"metrics", "b", []rbacv1.Subject{user}, []Finding{{path, "User dave", problem("metrics")}}},
		"a group":                {"metrics", "b", []rbacv1.Subject{group}, []Finding{{path, "Group developers", problem("metrics")}}},
		"a service account":      {"metrics", "b", []rbacv1.Subject{account("mon", "itor")}, []Finding{{path, "ServiceAccount mon/itor", problem("metrics")}}},
		"one more administrator": {"cluster-admin", "b", []rbacv1.Subject{user}, []Finding{{path, "User dave", problem("cluster-admin")}}},
		"one who may post only":  {"posts", "b", []rbacv1.Subject{user}, nil},
		"one who may read something else of nodes": {"stats", "b", []rbacv1.Subject{user}, nil},
		"one of a role that isn't there":           {"gone", "b", []rbacv1.Subject{user}, nil},
		"administrators": {"cluster-admin", "b", []rbacv1.Subject{
			{Kind: "Group", Name: "system:masters"}, {Kind: "Group", Name: "kubeadm:cluster-admins"},
		}, nil},
		"a user with the name of an administrators' group": {
			"cluster-admin", "b", []rbacv1.Subject{{Kind: "User", Name: "system:masters"}},
			[]Finding{{path, "User system:masters", problem("cluster-admin")}},
		},
		"the apiserver":                {"metrics", "b", []rbacv1.Subject{{Kind: "User", Name: "apiserver"}}, nil},
		"a controller by its own role": {collector, collector, []rbacv1.Subject{account("kube-system", "generic-garbage-collector")}, nil},
		"a controller by another role": {
			"metrics", "b", []rbacv1.Subject{account("kube-system", "generic-garbage-collector")},
			[]Finding{{path, "ServiceAccount kube-system/generic-garbage-collector", problem("metrics")}},
		},
		"one with a controller's name in another namespace": {
			collector, "b", []rbacv1.Subject{account("default", "generic-garbage-collector")},
			[]Finding{{path, "ServiceAccount default/generic-garbage-collector", problem(collector)}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			policy := &access.Policy{Bindings: []rbacv1.ClusterRoleBinding{{
				ObjectMeta: metav1.ObjectMeta{Name: test.binding},
				RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: test.role}, Subjects: test.subjects,
			}}}
			for role, rules := range roles {
				policy.Roles = append(policy.Roles, rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: role}, Rules: rules})
			}
			require.Equal(t, test.want, NodeProxy(policy, []string{"apiserver"}))
		})
	}
}

func TestWhatElseApiserversMayDoIsFound(t *testing.T) {
	bound := func(binding, role, user string) rbacv1.ClusterRoleBinding {
		return rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: binding}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{Kind: "User", Name: user}},
		}
	}
	policy := &access.Policy{Bindings: []rbacv1.ClusterRoleBinding{
		bound("its own", "kubelets", "apiserver"), bound("more", "cluster-admin", "apiserver"),
		bound("another's", "cluster-admin", "dave"), bound("custom", "any", "custom"),
	}}
	problem := func(role, binding string) string {
		return "may do what ClusterRole " + role + " allows as well, by ClusterRoleBinding " + binding +
			", and so may who has the apiserver's client certificate for kubelets"
	}
	require.Equal(t, []Finding{
		{"apiserver → kubelet", "User apiserver", problem("cluster-admin", "more")},
		{"apiserver → kubelet", "User custom", problem("any", "custom")},
	}, Apiservers(policy, map[string]string{"apiserver": "kubelets", "custom": ""}))
	require.Empty(t, Apiservers(policy, map[string]string{"custom": "any"}))
}

func TestEtcdAndItsClientsMustVerifyEachOther(t *testing.T) {
	etcd := func() controlplane.Flags {
		return controlplane.Flags{
			"client-cert-auth": {"true"}, "trusted-ca-file": {"/ca.crt"}, "listen-client-urls": {"https://127.0.0.1:2379,https://172.18.0.2:2379"},
			"peer-client-cert-auth": {"true"}, "peer-trusted-ca-file": {"/ca.crt"}, "listen-peer-urls": {"https://172.18.0.2:2380"},
			"listen-metrics-urls": {"http://127.0.0.1:2381"},
		}
	}
	client := func() controlplane.Flags {
		return controlplane.Flags{
			"etcd-servers": {"https://127.0.0.1:2379"}, "etcd-cafile": {"/ca.crt"}, "etcd-certfile": {"/c.crt"}, "etcd-keyfile": {"/c.key"},
		}
	}
	judge := map[string]func(string, controlplane.Flags) []Finding{"etcd": Etcd, "kube-apiserver": EtcdClient}
	tests := map[string]struct {
		process string
		change  map[string]string // to nothing for ""
		path    string
		problem string
	}{
		"as kubeadm makes etcd":          {process: "etcd"},
		"as kubeadm makes the apiserver": {process: "kube-apiserver"},
		"clients need no certificate": {
			"etcd", map[string]string{"client-cert-auth": "", "trusted-ca-file": ""}, toEtcd,
			"neither --client-cert-auth nor --trusted-ca-file is set: clients without a certificate are let in",
		},
		"clients need one by one flag only": {
			"etcd", map[string]string{"client-cert-auth": "false"}, toEtcd,
			"--client-cert-auth isn't on: that clients need a certificate hangs on --trusted-ca-file alone",
		},
		"peers need one by one flag only": {
			"etcd", map[string]string{"peer-client-cert-auth": "0"}, betweenEtcds,
			"--peer-client-cert-auth isn't on: that clients need a certificate hangs on --peer-trusted-ca-file alone",
		},
		"no CA for clients": {
			"etcd", map[string]string{"trusted-ca-file": ""}, toEtcd,
			"--trusted-ca-file isn't set: clients are let in with a certificate of any CA that the system trusts",
		},
		"no CA for peers": {
			"etcd", map[string]string{"peer-trusted-ca-file": ""}, betweenEtcds,
			"--peer-trusted-ca-file isn't set: clients are let in with a certificate of any CA that the system trusts",
		},
		"plain text for some": {
			"etcd", map[string]string{"listen-client-urls": "https://127.0.0.1:2379,http://172.18.0.2:2379"}, toEtcd,
			`--listen-client-urls has "http://172.18.0.2:2379", which isn't https`,
		},
		"plain text from the apiserver": {
			"kube-apiserver", map[string]string{"etcd-servers": "http://127.0.0.1:2379"}, toEtcd,
			`--etcd-servers has "http://127.0.0.1:2379", which isn't https`,
		},
		"an apiserver without a CA for etcd": {
			"kube-apiserver", map[string]string{"etcd-cafile": ""}, toEtcd, "--etcd-cafile isn't set: etcd isn't verified by a CA of its own",
		},
		"an apiserver without a certificate": {
			"kube-apiserver", map[string]string{"etcd-certfile": ""}, toEtcd, "--etcd-certfile isn't set: etcd is shown no client certificate",
		},
		"an apiserver without a key": {
			"kube-apiserver", map[string]string{"etcd-keyfile": ""}, toEtcd, "--etcd-keyfile isn't set: etcd is shown no client certificate",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			flags := map[string]controlplane.Flags{"etcd": etcd(), "kube-apiserver": client()}[test.process]
			for flag, value := range test.change {
				flags[flag] = []string{value}
				if value == "" {
					delete(flags, flag)
				}
			}
			var want []Finding
			if test.problem != "" {
				want = []Finding{{test.path, test.process + " on cp", test.problem}}
			}
			require.Equal(t, want, judge[test.process]("cp", flags))
		})
	}
	require.Empty(t, Etcd("cp", nil), "of an etcd that doesn't run here nothing is said")
}

func TestFindingsComeInOneOrderAndOnce(t *testing.T) {
	a, b, c := Finding{"1", "1", "1"}, Finding{"1", "1", "2"}, Finding{"1", "2", "1"}
	require.Equal(t, []Finding{a, b, c}, Sorted([]Finding{c, b, a, b}))
}
