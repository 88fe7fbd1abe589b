package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

const bundle = `{"ociVersion":"1.0.2","process":{"args":["sh"],"capabilities":{
	"bounding":["CAP_CHOWN","CAP_SYS_RESOURCE","CAP_SYS_ADMIN"],
	"effective":["CAP_SYS_RESOURCE"],"permitted":["CAP_CHOWN"],"inheritable":null},
	"oomScoreAdj":-500,"rlimits":[{"type":"RLIMIT_NOFILE","hard":18446744073709551615,"soft":1024}]},
	"linux":{"resources":{"memory":{"limit":9223372036854775807}}}}`

func TestABundleLosesTheCapabilityFromEverySetAndKeepsAllElse(t *testing.T) {
	out, err := adaptSpec([]byte(bundle))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"ociVersion":"1.0.2","process":{"args":["sh"],"capabilities":{
		"bounding":["CAP_CHOWN","CAP_SYS_ADMIN"],
		"effective":[],"permitted":["CAP_CHOWN"],"inheritable":null},
		"oomScoreAdj":0,"rlimits":[{"type":"RLIMIT_NOFILE","hard":18446744073709551615,"soft":1024}]},
		"linux":{"resources":{"memory":{"limit":9223372036854775807}}}}`
	got, err := decode(out)
	if err != nil {
		t.Fatal(err)
	}
	expected, err := decode([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, expected) {
		t.Errorf("got  %s\nwant %s", out, want)
	}
}

func TestAnOOMScoreThatNeedsNoCapabilityIsKept(t *testing.T) {
	for score, want := range map[string]string{"1000": "1000", "0": "0", "-1": "0", "-999": "0"} {
		out, err := adaptProcess([]byte(`{"oomScoreAdj":` + score + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(out); got != `{"oomScoreAdj":`+want+`}` {
			t.Errorf("from %s got %s, want %s", score, got, want)
		}
	}
}

func TestAProcessWithoutCapabilitiesIsLeftAsItIs(t *testing.T) {
	out, err := adaptProcess([]byte(`{"args":["id"],"user":{"uid":0}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(out), `{"args":["id"],"user":{"uid":0}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheCommandLineOfTheEngineIsUnderstood(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want call
	}{
		"create with the bundle as a flag": {
			[]string{"--root", "/run/runc", "--log", "/l.json", "--log-format", "json", "--systemd-cgroup", "create", "--bundle", "/b", "--pid-file", "/p", "id"},
			call{"create", "/b", ""},
		},
		"create with values after an equals sign": {[]string{"--log=/l", "create", "--bundle=/b", "id"}, call{"create", "/b", ""}},
		"run without a bundle uses the folder":    {[]string{"run", "-d", "id"}, call{"run", ".", ""}},
		"exec with a process file":                {[]string{"--root", "r", "exec", "--process", "/tmp/p", "--detach", "--pid-file", "/x", "id"}, call{"exec", ".", "/tmp/p"}},
		"exec whose container command has flags":  {[]string{"exec", "-t", "id", "sh", "-p", "/etc/passwd"}, call{"exec", ".", ""}},
		"state, which starts nothing":             {[]string{"--root", "r", "state", "id"}, call{"state", ".", ""}},
		"no command":                              {[]string{"--version"}, call{"", ".", ""}},
	} {
		if got := parse(c.args); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestCreateRewritesTheBundleAndStateDoesNot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, []byte(bundle), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := adaptCall([]string{"state", "--bundle", dir, "id"}); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != bundle {
		t.Error("state changed the bundle")
	}
	if err := adaptCall([]string{"create", "--bundle", dir, "id"}); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(path)
	var doc struct {
		Process struct{ OOMScoreAdj int }
	}
	if err := json.Unmarshal(b, &doc); err != nil || doc.Process.OOMScoreAdj != 0 {
		t.Errorf("the bundle was not adapted: %v %s", err, b)
	}
}

func TestABundleThatIsNotJSONIsNamedInTheError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := adaptCall([]string{"create", "--bundle", dir, "id"})
	if err == nil || err.Error() != path+": unexpected EOF" {
		t.Errorf("got %v", err)
	}
}
