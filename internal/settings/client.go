package settings

import "errors"

// ClientIdentity is who apiservers are at kubelets.
type ClientIdentity string

// The identities.
const (
	// KubeadmIdentity is whatever it was before kubecomm.
	KubeadmIdentity ClientIdentity = "kubeadm"
	// KubeletAPIAdmin is a user who may use the kubelets' API, and nothing else.
	KubeletAPIAdmin ClientIdentity = "kubelet_api_admin"
	// CustomIdentity is a user who may do what a ClusterRole of the cluster's owner allows.
	CustomIdentity ClientIdentity = "custom"
)

// CheckTogether refuses settings that stand for nothing without each other. Unlike Check, it must be given all values.
func CheckTogether(effective map[string]Value) []Problem {
	problems := checkIdentity(effective)
	if effective[NameKubeletCAs] != nil && effective[NameVerifyKubelets].String() != "true" {
		problems = append(problems, Problem{NameKubeletCAs, errors.New(
			"it would have no effect without verify_kubelets = true; set that, or leave this out")})
	}
	return problems
}

func checkIdentity(effective map[string]Value) []Problem {
	custom := ClientIdentity(effective[NameKubeletClient].String()) == CustomIdentity
	named := effective[NameKubeletClientRole] != nil
	switch {
	case custom && !named:
		return []Problem{{NameKubeletClient, errors.New(
			"a custom identity has no rights by itself; set kubelet_client_cluster_role to the ClusterRole that it gets")}}
	case named && !custom:
		return []Problem{{NameKubeletClientRole, errors.New(
			"it would have no effect; set kubelet_client_identity = \"" + string(CustomIdentity) + "\" with it, or leave it out")}}
	}
	return nil
}

func checkNotEmpty(value Value, _ func(string) Value) error {
	if value.String() == "" {
		return errors.New("it is empty; leave it out, or name one")
	}
	return nil
}
