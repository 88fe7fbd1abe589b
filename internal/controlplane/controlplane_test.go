package controlplane

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:embed testdata/kube-apiserver.yaml
var kubeadmManifest []byte

const flag = "kubelet-certificate-authority"

func parse(t *testing.T, data []byte) *Manifest {
	t.Helper()
	m, err := ParseManifest(data, "kube-apiserver")
	require.NoError(t, err)
	return m
}

func bytesOf(t *testing.T, m *Manifest) []byte {
	t.Helper()
	data, err := m.Bytes()
	require.NoError(t, err)
	return data
}

func TestAManifestOfKubeadmIsWrittenBackUnchanged(t *testing.T) {
	require.Equal(t, string(kubeadmManifest), string(bytesOf(t, parse(t, kubeadmManifest))))
}

func TestSettingAFlagChangesNothingElse(t *testing.T) {
	m := parse(t, kubeadmManifest)
	m.SetFlag(flag, "/a.crt")
	lines := strings.Split(string(kubeadmManifest), "\n")
	var want []string
	for _, line := range lines {
		want = append(want, line)
		if strings.Contains(line, "--tls-private-key-file=") {
			want = append(want, "    - --"+flag+"=/a.crt")
		}
	}
	require.Equal(t, strings.Join(want, "\n"), string(bytesOf(t, m)))
}

func TestAFlagIsReplacedWhereItStands(t *testing.T) {
	tests := map[string]struct{ before, after []string }{
		"written with an equals sign": {[]string{"--x=1", "--a=1", "--y=2"}, []string{"--x=1", "--a=new", "--y=2"}},
		"written as two arguments":    {[]string{"--x=1", "--a", "1", "--y=2"}, []string{"--x=1", "--a=new", "--y=2"}},
		"given twice":                 {[]string{"--a=1", "--x=1", "--a=2"}, []string{"--a=new", "--x=1"}},
		"without a value":             {[]string{"--a", "--x=1"}, []string{"--a=new", "--x=1"}},
		"not given":                   {[]string{"--x=1", "--ab=2"}, []string{"--x=1", "--ab=2", "--a=new"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := parse(t, []byte("spec: {containers: [{name: kube-apiserver, command: [kube-apiserver, "+
				strings.Join(test.before, ", ")+"]}]}"))
			m.SetFlag("a", "new")
			var got []string
			for _, node := range m.command.Content[1:] {
				got = append(got, node.Value)
			}
			require.Equal(t, test.after, got)
			value, given := m.Flags().Get("a")
			require.True(t, given)
			require.Equal(t, "new", value)
		})
	}
}

func TestWhatIsNoManifestOfTheComponentIsRefused(t *testing.T) {
	tests := map[string]string{
		"":         "is empty",
		"{":        "reading the manifest",
		"spec: {}": "has no spec.containers",
		"spec: {containers: [{name: etcd, command: [etcd]}]}": "no container named kube-apiserver",
		"spec: {containers: [{name: kube-apiserver}]}":        "neither command nor args",
	}
	for text, refusal := range tests {
		_, err := ParseManifest([]byte(text), "kube-apiserver")
		require.ErrorContains(t, err, refusal)
	}
}

func TestRebaseGivesTheWantedFlagsAndGoesBackToWhatWasThereBefore(t *testing.T) {
	set := func(data []byte, name string, values ...string) []byte {
		m := parse(t, data)
		m.SetFlag(name, values...)
		return bytesOf(t, m)
	}
	managed := []string{flag, "tls-min-version"}
	ours := Flags{flag: {"/ours.crt"}, "tls-min-version": {"VersionTLS13"}}
	// The original has a comment and quotes that a YAML encoder would write otherwise.
	odd := []byte("# by hand\nspec:\n    containers:\n      - name: \"kube-apiserver\"\n        command: [kube-apiserver, --x=1]\n")
	withOwn := set(kubeadmManifest, flag, "/own.crt")
	both := func(data []byte) []byte { return set(set(data, flag, "/ours.crt"), "tls-min-version", "VersionTLS13") }
	tests := map[string]struct {
		original, current []byte
		want              Flags
		result            []byte
	}{
		"several flags are set at once":                        {kubeadmManifest, kubeadmManifest, ours, both(kubeadmManifest)},
		"a flag has several values":                            {odd, odd, Flags{flag: {"a", "b"}}, set(odd, flag, "a", "b")},
		"what is right already is left as it was written":      {odd, odd, nil, odd},
		"a flag is added to one that was added before":         {odd, set(odd, "tls-min-version", "VersionTLS13"), ours, both(odd)},
		"our flags alone were added: back byte for byte":       {odd, both(odd), nil, odd},
		"one of our flags goes, the other stays":               {odd, both(odd), Flags{flag: {"/ours.crt"}}, set(odd, flag, "/ours.crt")},
		"our flag replaced another value: back byte for byte":  {withOwn, both(withOwn), Flags{flag: {"/own.crt"}}, withOwn},
		"somebody removed our flag already: nothing to do":     {kubeadmManifest, kubeadmManifest, nil, kubeadmManifest},
		"somebody removed ours where another was: that's back": {withOwn, kubeadmManifest, Flags{flag: {"/own.crt"}}, withOwn},
		"somebody changed another flag since: that stays": {
			kubeadmManifest, both(set(kubeadmManifest, "v", "4")), nil, set(kubeadmManifest, "v", "4"),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Rebase(test.original, test.current, "kube-apiserver", managed, test.want)
			require.NoError(t, err)
			require.Equal(t, string(test.result), string(got))
		})
	}
}

func TestACommandLineIsReadAsTheProcessGotIt(t *testing.T) {
	flags := ParseCommandLine([]byte("kube-apiserver\x00--a=1\x00--b\x00two words\x00--c\x00--a=2\x00--d=x=y\x00"))
	for name, want := range map[string]string{"a": "2", "b": "two words", "c": "true", "d": "x=y"} {
		got, given := flags.Get(name)
		require.True(t, given, name)
		require.Equal(t, want, got, name)
	}
	_, given := flags.Get("e")
	require.False(t, given)
	require.Equal(t, []string{"1", "2"}, flags["a"])
	require.Empty(t, ParseCommandLine(nil))
}

func TestATrialCollidesWithTheComponentInNothing(t *testing.T) {
	m := parse(t, kubeadmManifest)
	m.Trial(Trial{Pod: "kube-apiserver-next-1", Container: "kube-apiserver-next", Port: 7443, Flags: Flags{
		"secure-port": {"7443"}, "endpoint-reconciler-type": {"none"},
	}})
	trial, err := ParseManifest(bytesOf(t, m), "kube-apiserver-next")
	require.NoError(t, err)
	for flag, want := range map[string]string{
		"secure-port": "7443", "endpoint-reconciler-type": "none", "advertise-address": "172.18.0.2",
	} {
		got, _ := trial.Flags().Get(flag)
		require.Equal(t, want, got, flag)
	}
	text := string(bytesOf(t, trial))
	for _, collision := range []string{"containerPort", "probe-port", "component:", "name: kube-apiserver\n", "advertise-address.endpoint"} {
		require.Contains(t, string(kubeadmManifest), collision)
		require.NotContains(t, text, collision)
	}
	require.Contains(t, text, "        port: 7443\n")
}
