package apply

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/access"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/findings"
)

func TestKubeconfigsLeaveTheNodeWithoutTheirKeys(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	const block = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
	pair := write("pair.pem", block+"-----BEGIN EC PRIVATE KEY-----\nSECRET\n-----END EC PRIVATE KEY-----\n")
	inline := write("inline", "users:\n- user:\n    client-certificate-data: Yw==\n    client-key-data: SECRET\n    token: SECRET\n")
	apart := write("apart", "users:\n- user:\n    client-certificate: "+pair+"\n    client-key: \""+pair+"\"\n")
	empty := write("empty", "")
	output, err := exec.CommandContext(t.Context(), "sh", "-c", kubeconfigsScript, "sh", inline, folder+"/missing", apart, empty).Output()
	require.NoError(t, err)
	var files []findings.Kubeconfig
	for line := range strings.Lines(string(output)) {
		for _, field := range strings.Fields(line)[1:] {
			text, _ := base64.StdEncoding.DecodeString(field)
			require.NotContains(t, string(text), "SECRET")
		}
		file, whole := parseKubeconfigLine(strings.Fields(line))
		require.True(t, whole, line)
		files = append(files, file)
	}
	require.Equal(t, []findings.Kubeconfig{
		{File: inline, Data: []byte("users:\n- user:\n    client-certificate-data: Yw==\n")},
		{
			File: apart, ClientCertificate: []byte(strings.TrimSpace(block) + "\n"),
			Data: []byte("users:\n- user:\n    client-certificate: " + pair + "\n    client-key: \"" + pair + "\"\n"),
		},
		{File: empty},
	}, trimmed(files))
	_, whole := parseKubeconfigLine([]string{"/a", "-", "-"})
	require.False(t, whole)
}

// trimmed ends texts in one way, whichever way the shell did.
func trimmed(files []findings.Kubeconfig) []findings.Kubeconfig {
	end := func(data []byte) []byte {
		if data == nil {
			return nil
		}
		return []byte(strings.TrimSpace(string(data)) + "\n")
	}
	for i := range files {
		files[i].Data, files[i].ClientCertificate = end(files[i].Data), end(files[i].ClientCertificate)
	}
	return files
}

func TestAnObservationFindsWhatItCanSay(t *testing.T) {
	o := stock()
	o.Nodes[0].APIServer.Running = controlplane.Flags{
		"etcd-servers": {"https://127.0.0.1:2379"}, "etcd-cafile": {"a"}, "etcd-certfile": {"b"}, "etcd-keyfile": {"c"},
	}
	require.Empty(t, o.Findings(), "of what could not be looked at nothing is said")
	o.Nodes[0].APIServer.Client.Certificate = named(t, "apiserver")
	o.Policy = &access.Policy{
		Roles: []rbacv1.ClusterRole{{
			ObjectMeta: metav1.ObjectMeta{Name: "r"},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes/proxy"}, Verbs: []string{"get"}}},
		}},
		Bindings: []rbacv1.ClusterRoleBinding{
			bound("1", "r", "apiserver", nil), bound("2", kubeletAPIAdminRole, kubeadmClientUser, nil),
			bound(customClient, "r", customClient, nil),
		},
	}
	require.Empty(t, o.Findings(), "apiservers must be able to")
	o.Policy.Bindings = append(o.Policy.Bindings, bound("4", "r", "dave", nil), bound("5", "r", kubeadmClientUser, nil))
	delete(o.Nodes[0].APIServer.Running, "etcd-cafile")
	found := o.Findings()
	require.Len(t, found, 3)
	require.Equal(t, "User dave", found[0].Subject)
	require.Equal(t, "kube-apiserver on dev-control-plane", found[1].Subject)
	require.Equal(t, "User "+kubeadmClientUser, found[2].Subject)
}
