package apply

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func managed(t *testing.T, name string) settings.Setting {
	t.Helper()
	for _, setting := range settings.Managed() {
		if setting.Name == name {
			return setting
		}
	}
	t.Fatalf("no setting %s", name)
	return settings.Setting{}
}

// What the attribute of a setting shows, and that whatever it shows as drift is mended by a step.
func TestASettingShowsWhatANodeHasInPlaceOfWhatItShouldHave(t *testing.T) {
	floor := func(version string) kubelet.Fields {
		return kubelet.Fields{"tlsMinVersion": []byte(`"` + version + `"`)}
	}
	none := kubelet.Fields{}
	flag := func(version string) controlplane.Flags { return controlplane.Flags{"tls-min-version": {version}} }
	off := controlplane.Flags{}
	const old, now = "VersionTLS12", "VersionTLS13"
	tests := map[string]struct {
		held     settings.Value
		kubelets []KubeletObservation // of the worker and others
		servers  []ComponentObservation
		want     settings.Value
	}{
		"declared, and every kubelet has it": {
			held: settings.Value{now}, want: settings.Value{now},
			kubelets: []KubeletObservation{{File: floor(now), Running: floor(now), Baseline: none}, {File: floor(now), Running: floor(now)}},
		},
		"declared, and the second kubelet runs with another value": {
			held: settings.Value{now}, want: settings.Value{old},
			kubelets: []KubeletObservation{{File: floor(now), Running: floor(now)}, {File: floor(now), Running: floor(old)}},
		},
		"declared, and a kubelet runs without": {
			held: settings.Value{now}, want: nil,
			kubelets: []KubeletObservation{{File: none, Running: none, Baseline: none}},
		},
		"declared, and a kubelet would not have it after its next start": {
			held: settings.Value{now}, want: settings.Value{old},
			kubelets: []KubeletObservation{{File: floor(old), Running: floor(now), Stale: true}},
		},
		"declared, and a kubelet can't be asked, but its file has it": {
			held: settings.Value{now}, want: settings.Value{now}, kubelets: []KubeletObservation{{File: floor(now)}},
		},
		"not declared, and a kubelet is as it was": {
			kubelets: []KubeletObservation{{File: floor(old), Running: floor(old), Baseline: floor(old)}},
		},
		"not declared, and a kubelet that had none runs with its default": {
			kubelets: []KubeletObservation{{File: none, Running: floor(old), Baseline: none}},
		},
		"not declared, and a kubelet was never changed by kubecomm": {
			kubelets: []KubeletObservation{{File: floor(now), Running: floor(now)}},
		},
		"not declared, and a kubelet that had none was given one": {
			want: settings.Value{now}, kubelets: []KubeletObservation{{File: floor(now), Running: floor(now), Baseline: none}},
		},
		"not declared, and a kubelet's file was edited": {
			want: settings.Value{now}, kubelets: []KubeletObservation{{File: floor(now), Running: none, Baseline: none, Stale: true}},
		},
		"not declared, and a kubelet has another value than it had": {
			want: settings.Value{now}, kubelets: []KubeletObservation{{File: floor(now), Running: floor(now), Baseline: floor(old)}},
		},
		"declared, and every apiserver has it": {
			held: settings.Value{now}, want: settings.Value{now},
			servers: []ComponentObservation{{Running: flag(now), Manifest: flag(now), Baseline: off}, {Running: flag(now), Manifest: flag(now)}},
		},
		"declared, and the second apiserver runs without": {
			held: settings.Value{now}, want: nil,
			servers: []ComponentObservation{{Running: flag(now), Manifest: flag(now)}, {Running: off, Manifest: off}},
		},
		"declared, and an apiserver's manifest was edited": {
			held: settings.Value{now}, want: settings.Value{old},
			servers: []ComponentObservation{{Running: flag(now), Manifest: flag(old)}},
		},
		"not declared, and an apiserver is as it was": {
			servers: []ComponentObservation{{Running: flag(old), Manifest: flag(old), Baseline: flag(old)}},
		},
		"not declared, and an apiserver was never changed by kubecomm": {
			servers: []ComponentObservation{{Running: flag(old), Manifest: flag(old)}},
		},
		"not declared, and an apiserver that had none was given one": {
			want: settings.Value{now}, servers: []ComponentObservation{{Running: flag(now), Manifest: flag(now), Baseline: off}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			setting, observed := managed(t, "kubelet.tls_min_version"), hardened(t)
			worker, server := observed.Nodes[1], observed.Nodes[0]
			if test.servers != nil {
				setting = managed(t, "apiserver.tls_min_version")
			}
			observed.Nodes = nil
			for _, part := range test.kubelets {
				worker.Kubelet = part
				observed.Nodes = append(observed.Nodes, worker)
			}
			for _, part := range test.servers {
				server.APIServer = &APIServerObservation{ComponentObservation: part}
				observed.Nodes = append(observed.Nodes, server)
			}
			found := observed.Value(setting, test.held, nil)
			require.Equal(t, test.want, found)
			if slices.Equal(found, test.held) {
				return
			}
			want := settings.Defaults()
			if test.held != nil {
				want.Declare(setting, test.held)
			}
			require.Contains(t, describe(Plan(observed, want)), setting.Flag+setting.Field)
		})
	}
}

func TestAnObservationOfSomeNodesTellsOfThoseAlone(t *testing.T) {
	setting, observed := managed(t, "kubelet.tls_min_version"), hardened(t)
	fields := kubelet.Fields{"tlsMinVersion": []byte(`"VersionTLS12"`)}
	observed.Nodes[1].Kubelet = KubeletObservation{File: fields, Running: fields, Baseline: kubelet.Fields{}}
	worker := func(name string) bool { return name == "dev-worker" }
	others := func(name string) bool { return !worker(name) }
	require.Equal(t, settings.Value{"VersionTLS12"}, observed.On(worker).Value(setting, nil, nil))
	require.Nil(t, observed.On(others).Value(setting, nil, nil))
	require.Len(t, observed.Nodes, 2, "the whole stays as it is")
}

// A demand is met by more lists than one, and none of those is drift: the attribute, which is left out, stays null.
func TestAListThatHasWhatAProfileDemandsIsNoDrift(t *testing.T) {
	setting := managed(t, "apiserver.admission_plugins")
	said := settings.Baseline.Says(setting)
	for name, test := range map[string]struct {
		before, now string // "" for no flag
		known       bool   // what was there before
		want        settings.Value
	}{
		"as it was":                               {"NodeRestriction,AlwaysPullImages", "NodeRestriction,AlwaysPullImages", true, nil},
		"never changed by kubecomm":               {"NodeRestriction", "NodeRestriction", false, nil},
		"completed by kubecomm":                   {"AlwaysPullImages", "AlwaysPullImages,NodeRestriction", true, nil},
		"still to be completed":                   {"AlwaysPullImages", "AlwaysPullImages", true, settings.Value{"AlwaysPullImages"}},
		"still to be completed, and never looked": {"PodNodeSelector", "PodNodeSelector", false, settings.Value{"PodNodeSelector"}},
		"changed since":                           {"NodeRestriction", "NodeRestriction,PodNodeSelector", true, settings.Value{"NodeRestriction", "PodNodeSelector"}},
		"lost since":                              {"NodeRestriction", "", true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			observed := hardened(t)
			hadPlugins(test.before, test.now)(&observed)
			if !test.known {
				observed.Nodes[0].APIServer.Baseline = nil
			}
			require.Equal(t, test.want, observed.Value(setting, nil, said))
			want := settings.Defaults()
			want.Declare(setting, said)
			if test.want != nil || test.now == "" {
				require.Contains(t, describe(Plan(observed, want)), setting.Flag)
			} else {
				require.Empty(t, Plan(observed, want))
			}
		})
	}
}
