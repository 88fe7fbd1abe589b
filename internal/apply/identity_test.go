package apply

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/access"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// named is a certificate for a user and groups, good for a year from planTime.
func named(t *testing.T, user string, groups ...string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: user, Organization: groups},
		NotBefore: planTime, NotAfter: planTime.Add(365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate
}

func bound(name, role, user string, labels map[string]string) rbacv1.ClusterRoleBinding {
	binding := newBinding(name, identity{user: user, role: role})
	binding.ObjectMeta = metav1.ObjectMeta{Name: name, Labels: labels}
	return *binding
}

func TestApiserversBecomeWhoTheyAreDeclaredToBeAtKubelets(t *testing.T) {
	byUs := map[string]string{managedLabel: managedBy}
	kubeadms := bound(kubeadmClientBinding, kubeletAPIAdminRole, kubeadmClientUser, nil)
	kubeadmsByUs := bound(kubeadmClientBinding, kubeletAPIAdminRole, kubeadmClientUser, byUs)
	custom := bound(customClient, "streams", customClient, byUs)
	admin := named(t, kubeadmClientUser, "kubeadm:cluster-admins")
	narrow, renewed, ours := named(t, kubeadmClientUser), named(t, kubeadmClientUser), named(t, customClient)
	type bindings = []rbacv1.ClusterRoleBinding
	toAdmin := settings.Settings{KubeletClient: settings.KubeletAPIAdmin}
	toCustom := settings.Settings{KubeletClient: settings.CustomIdentity, KubeletClientRole: "streams"}
	tests := map[string]struct {
		client   KubeletClientObservation
		bindings bindings // nil if the API can't be asked
		want     settings.Settings
		at       time.Time
		steps    []Kind
		reason   string
		shown    string // in place of what is declared; empty if that
		restore  []Kind
	}{
		"a cluster of before 1.36 gets rights first": {
			client: KubeletClientObservation{Certificate: admin}, bindings: bindings{}, want: toAdmin,
			steps:  []Kind{BindKubeletClient, IssueKubeletClient},
			reason: "at kubelets it is CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins, to be CN=kube-apiserver-kubelet-client",
			shown:  "cluster_admin",
		},
		"an upgraded cluster has the rights": {
			client: KubeletClientObservation{Certificate: admin}, bindings: bindings{kubeadms}, want: toAdmin,
			steps: []Kind{IssueKubeletClient}, shown: "cluster_admin",
		},
		"a cluster of 1.36 needs nothing": {
			client: KubeletClientObservation{Certificate: narrow}, bindings: bindings{kubeadms}, want: toAdmin,
		},
		"what kubecomm made goes with a destroy": {
			client: KubeletClientObservation{Certificate: narrow, Original: admin}, bindings: bindings{kubeadmsByUs}, want: toAdmin,
			restore: []Kind{RestoreKubeletClient, UnbindKubeletClient},
		},
		"a binding that kubecomm made anew stays if the original needs it": {
			client: KubeletClientObservation{Certificate: narrow}, bindings: bindings{kubeadmsByUs}, want: toAdmin,
		},
		"a binding that was deleted is made again": {
			client: KubeletClientObservation{Certificate: narrow}, bindings: bindings{}, want: toAdmin,
			steps: []Kind{BindKubeletClient}, shown: "unbound",
			reason: "nothing binds ClusterRole system:kubelet-api-admin to kube-apiserver-kubelet-client",
		},
		"of bindings that can't be asked for nothing is said": {
			client: KubeletClientObservation{Certificate: narrow}, want: toAdmin,
		},
		"an expired certificate is replaced": {
			client:   KubeletClientObservation{Certificate: narrow, Problem: errors.New("expired")},
			bindings: bindings{kubeadms}, want: toAdmin, steps: []Kind{IssueKubeletClient}, shown: "refused",
			reason: "kubelets refuse what it shows them: expired",
		},
		"a stranger is replaced": {
			client: KubeletClientObservation{Certificate: named(t, "stranger")}, bindings: bindings{kubeadms}, want: toAdmin,
			steps: []Kind{IssueKubeletClient}, shown: "unknown",
		},
		"a member of any group is replaced": {
			client:   KubeletClientObservation{Certificate: named(t, kubeadmClientUser, "developers")},
			bindings: bindings{kubeadms}, want: toAdmin, steps: []Kind{IssueKubeletClient}, shown: "unknown",
		},
		"a custom identity leaves kubeadm's binding alone": {
			client: KubeletClientObservation{Certificate: narrow}, bindings: bindings{kubeadms}, want: toCustom,
			steps: []Kind{BindKubeletClient, IssueKubeletClient}, shown: "kubelet_api_admin",
		},
		"a custom identity needs no binding of kubecomm's for another": {
			client: KubeletClientObservation{Certificate: ours, Original: admin}, bindings: bindings{kubeadmsByUs, custom}, want: toCustom,
			steps: []Kind{UnbindKubeletClient}, restore: []Kind{RestoreKubeletClient, UnbindKubeletClient},
		},
		"a custom identity with another role gets the declared one": {
			client: KubeletClientObservation{Certificate: ours, Original: admin}, want: toCustom,
			bindings: bindings{bound(customClient, "view", customClient, byUs)}, steps: []Kind{BindKubeletClient},
			restore: []Kind{RestoreKubeletClient, UnbindKubeletClient},
		},
		"an identity that is declared no longer goes, and then its binding": {
			client: KubeletClientObservation{Certificate: ours, Original: admin}, bindings: bindings{custom},
			steps: []Kind{RestoreKubeletClient, UnbindKubeletClient}, shown: "custom",
			restore: []Kind{RestoreKubeletClient, UnbindKubeletClient},
		},
		"nothing is done to a cluster that was never changed": {
			client: KubeletClientObservation{Certificate: admin}, bindings: bindings{},
		},
		"what kubeadm renewed stays until a destroy": {
			client: KubeletClientObservation{Certificate: renewed, Original: narrow}, bindings: bindings{kubeadms},
			restore: []Kind{RestoreKubeletClient},
		},
		"an original that has expired stays away, and the binding stays": {
			client: KubeletClientObservation{Certificate: narrow, Original: admin}, bindings: bindings{kubeadmsByUs},
			at: admin.NotAfter.Add(time.Hour),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := stock()
			o.Nodes[0].APIServer.Client = test.client
			if !test.at.IsZero() {
				o.Time = test.at
			}
			if test.bindings != nil {
				o.Policy = &access.Policy{Bindings: test.bindings}
			}
			steps := Plan(o, test.want)
			require.Equal(t, test.steps, kindsOf(steps, BindKubeletClient, IssueKubeletClient, RestoreKubeletClient, UnbindKubeletClient))
			if test.reason != "" {
				require.Contains(t, describe(steps), test.reason)
			}
			require.Equal(t, test.restore, kindsOf(PlanRestore(o), RestoreKubeletClient, UnbindKubeletClient))
			held := settings.Value{string(test.want.KubeletClient)}
			if test.want.KubeletClient == "" {
				held = nil
			}
			want := held
			if test.shown != "" {
				want = settings.Value{test.shown}
			}
			setting := declarable(t, settings.NameKubeletClient)
			require.Equal(t, want, o.Value(setting, held, held))
		})
	}
}

func kindsOf(steps []Step, kinds ...Kind) []Kind {
	var found []Kind
	for _, step := range steps {
		for _, kind := range kinds {
			if step.Kind == kind {
				found = append(found, kind)
			}
		}
	}
	return found
}

func declarable(t *testing.T, name string) settings.Setting {
	t.Helper()
	for _, setting := range settings.Declarable() {
		if setting.Name == name {
			return setting
		}
	}
	t.Fatalf("no setting %s", name)
	return settings.Setting{}
}

func TestTheRoleOfACustomIdentityShowsAsItIsBound(t *testing.T) {
	ours := KubeletClientObservation{Certificate: named(t, customClient), Original: named(t, kubeadmClientUser)}
	byUs := map[string]string{managedLabel: managedBy}
	streams, view := settings.Value{"streams"}, settings.Value{"view"}
	tests := map[string]struct {
		client   KubeletClientObservation
		bindings []rbacv1.ClusterRoleBinding
		held     settings.Value
		want     settings.Value
	}{
		"bound as declared":                 {ours, []rbacv1.ClusterRoleBinding{bound(customClient, "streams", customClient, byUs)}, streams, streams},
		"bound otherwise":                   {ours, []rbacv1.ClusterRoleBinding{bound(customClient, "view", customClient, byUs)}, streams, view},
		"bound to somebody else":            {ours, []rbacv1.ClusterRoleBinding{bound(customClient, "streams", "x", byUs)}, streams, nil},
		"not bound any more":                {ours, nil, streams, nil},
		"left over":                         {ours, []rbacv1.ClusterRoleBinding{bound(customClient, "view", customClient, byUs)}, nil, view},
		"left over, but not of kubecomm's":  {ours, []rbacv1.ClusterRoleBinding{bound(customClient, "view", customClient, nil)}, nil, nil},
		"still needed, though not declared": {KubeletClientObservation{Certificate: ours.Certificate}, []rbacv1.ClusterRoleBinding{bound(customClient, "view", customClient, byUs)}, nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := stock()
			o.Nodes[0].APIServer.Client = test.client
			o.Policy = &access.Policy{Bindings: test.bindings}
			require.Equal(t, test.want, o.Value(declarable(t, settings.NameKubeletClientRole), test.held, test.held))
		})
	}
}

func TestAClusterRoleMustAllowWhatAnApiserverHasToDo(t *testing.T) {
	rule := func(resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{resource}, Verbs: verbs}
	}
	tests := map[string]struct {
		rules  []rbacv1.PolicyRule // nil if there is no such role
		refuse string
	}{
		"it allows both":       {[]rbacv1.PolicyRule{rule("nodes/proxy", "get"), rule("nodes/proxy", "create")}, ""},
		"it allows everything": {[]rbacv1.PolicyRule{rule("*", "*")}, ""},
		"it isn't there":       {nil, `cluster dev has no ClusterRole "streams"`},
		"it allows to read":    {[]rbacv1.PolicyRule{rule("nodes/proxy", "get")}, "doesn't allow create on nodes/proxy"},
		"it allows other things": {
			[]rbacv1.PolicyRule{rule("nodes", "*"), rule("nodes/log", "*")}, "doesn't allow get and create on nodes/proxy",
		},
	}
	want := settings.Settings{KubeletClient: settings.CustomIdentity, KubeletClientRole: "streams"}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := Observation{Policy: &access.Policy{}}
			if test.rules != nil {
				o.Policy.Roles = []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "streams"}, Rules: test.rules}}
			}
			err := CheckRole("dev", o, want)
			if test.refuse == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.refuse)
			_, missing := errors.AsType[*MissingRoleError](err)
			require.True(t, missing)
			require.NoError(t, CheckRole("dev", Observation{}, want), "of a cluster whose API can't be asked nothing is said")
		})
	}
}
