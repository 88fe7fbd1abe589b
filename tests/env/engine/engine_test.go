package engine

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestTheRuntimeIsMergedIntoDaemonJSONWithoutLosingAKey(t *testing.T) {
	old := `{"log-driver":"local","runtimes":{"nvidia":{"path":"/usr/bin/nv","runtimeArgs":["-x"]}},"default-address-pools":[{"base":"10.1.0.0/16","size":24}]}`
	merged, changed, err := withRuntime([]byte(old), "r", "/lib/r")
	if err != nil || !changed {
		t.Fatalf("changed %v, error %v", changed, err)
	}
	var got struct {
		LogDriver string           `json:"log-driver"`
		Default   string           `json:"default-runtime"`
		Pools     []map[string]any `json:"default-address-pools"`
		Runtimes  map[string]struct {
			Path        string
			RuntimeArgs []string
		}
	}
	if err := json.Unmarshal(merged, &got); err != nil {
		t.Fatal(err)
	}
	if got.LogDriver != "local" || got.Default != "r" || len(got.Pools) != 1 {
		t.Errorf("got %s", merged)
	}
	if nv := got.Runtimes["nvidia"]; nv.Path != "/usr/bin/nv" || len(nv.RuntimeArgs) != 1 || got.Runtimes["r"].Path != "/lib/r" {
		t.Errorf("runtimes: %v", got.Runtimes)
	}
	again, changed, err := withRuntime(merged, "r", "/lib/r")
	if err != nil || changed || string(again) != string(merged) {
		t.Errorf("merging again: changed %v, error %v", changed, err)
	}
}

func TestDaemonJSONIsMadeWhereThereIsNone(t *testing.T) {
	for _, old := range []string{"", " \n"} {
		merged, changed, err := withRuntime([]byte(old), "r", "/lib/r")
		if err != nil || !changed {
			t.Fatalf("changed %v, error %v", changed, err)
		}
		want := "{\n  \"default-runtime\": \"r\",\n  \"runtimes\": {\n    \"r\": {\n      \"path\": \"/lib/r\"\n    }\n  }\n}\n"
		if string(merged) != want {
			t.Errorf("got %s", merged)
		}
	}
}

func TestDaemonJSONIsLeftAloneWhere(t *testing.T) {
	for name, c := range map[string]struct{ old, want string }{
		"it is not JSON":                      {`{"runtimes":`, "it is not a JSON object"},
		"it is a list":                        {`[]`, "it is not a JSON object"},
		"somebody chose another runtime":      {`{"default-runtime":"nvidia"}`, `default-runtime is "nvidia" already`},
		"its runtimes are not what they seem": {`{"runtimes":["x"]}`, "runtimes:"},
	} {
		merged, changed, err := withRuntime([]byte(c.old), "r", "/lib/r")
		if err == nil || !strings.Contains(err.Error(), c.want) || changed || merged != nil {
			t.Errorf("where %s: got %q, %v, error %v", name, merged, changed, err)
		}
	}
}

func TestARuntimeOfTheSameNameAtAnotherPathIsCorrected(t *testing.T) {
	merged, changed, err := withRuntime([]byte(`{"default-runtime":"r","runtimes":{"r":{"path":"/old"}}}`), "r", "/new")
	if err != nil || !changed || !strings.Contains(string(merged), `"/new"`) || strings.Contains(string(merged), "/old") {
		t.Errorf("got %s, %v, %v", merged, changed, err)
	}
}

func TestTheBoundingSetIsReadFromTheStatusText(t *testing.T) {
	status := "Name:\tx\nCapEff:\tffffffffffffffff\nCapBnd:\t000001fffeffffff\nCapAmb:\t0\n"
	set, err := boundingSet(status)
	if err != nil || set != 0x1fffeffffff {
		t.Fatalf("got %x, %v", set, err)
	}
	if set&(1<<capSysResource) != 0 {
		t.Error("CAP_SYS_RESOURCE is seen where it is not")
	}
	full, err := boundingSet("CapBnd:\t000001ffffffffff\n")
	if err != nil || full&(1<<capSysResource) == 0 {
		t.Errorf("CAP_SYS_RESOURCE is not seen where it is: %x, %v", full, err)
	}
	if _, err := boundingSet("Name:\tx\n"); err == nil {
		t.Error("no error for a text without the line")
	}
}

func TestWhatWouldBeDoneDependsOnTheMachine(t *testing.T) {
	debian := machine{linux: true, debian: true, root: true}
	for name, c := range map[string]struct {
		m       machine
		steps   []string
		blocked string
	}{
		"Debian as root, nothing installed": {debian, []string{"apt-get install " + strings.Join(packages, " "), "start dockerd in the background"}, ""},
		"installed, not running":            {machine{linux: true, root: true, dockerd: true}, []string{"start dockerd in the background"}, ""},
		"installed, systemd":                {machine{linux: true, root: true, dockerd: true, systemd: true}, []string{"systemctl start docker"}, ""},
		"another Linux":                     {machine{linux: true, root: true}, nil, "installs it on Debian only"},
		"Debian, not root":                  {machine{linux: true, debian: true}, nil, "install and start Docker"},
		"a Mac":                             {machine{}, nil, "install and start Docker"},
		"an engine elsewhere":               {machine{linux: true, debian: true, root: true, dockerHost: "tcp://h:1"}, nil, "DOCKER_HOST is tcp://h:1"},
	} {
		steps, blocked := plan(c.m)
		if !slices.Equal(steps, c.steps) || (c.blocked == "") != (blocked == "") || !strings.Contains(blocked, c.blocked) {
			t.Errorf("%s: got %q, %q", name, steps, blocked)
		}
	}
}
