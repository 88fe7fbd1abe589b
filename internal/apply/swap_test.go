package apply

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
)

func TestOnlyAnAPIServerThatListensOnEveryAddressIsSwapped(t *testing.T) {
	tests := map[string]string{
		"":                           "",
		", --bind-address=0.0.0.0":   "",
		", --bind-address=::":        "",
		", --bind-address=10.1.2.3":  "--bind-address=10.1.2.3: it must listen on every address",
		", --bind-address=fc00::2":   "--bind-address=fc00::2: it must listen on every address",
		", --bind-address=127.0.0.1": "--bind-address=127.0.0.1: it must listen on every address",
		", --bind-address=lo":        "--bind-address=lo: ParseAddr",
	}
	for argument, refusal := range tests {
		manifest, err := controlplane.ParseManifest(
			[]byte("spec: {containers: [{name: kube-apiserver, command: [kube-apiserver"+argument+"]}]}"), apiserver)
		require.NoError(t, err)
		if err = checkBindAddress(manifest); refusal == "" {
			require.NoError(t, err, argument)
		} else {
			require.ErrorContains(t, err, refusal)
		}
	}
}
