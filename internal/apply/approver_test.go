package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

func TestAnApproverThatIsNotAsItWasInstalledHasAProblem(t *testing.T) {
	want := approverAnywhere()
	want.files[programFile] = cluster.File{Data: []byte("program"), Mode: programMode}
	want.files[approverConfig] = cluster.File{Data: []byte("config"), Mode: privateMode}
	want.files[approverCA] = cluster.File{Data: []byte("ca"), Mode: publicMode}
	installed := func() serviceFound {
		f := serviceFound{map[string]string{
			"ActiveState": "active", "UnitFileState": "enabled", "DropInPaths": "", "NeedDaemonReload": "no",
			"ExecMainStartTimestamp": "@1000", "runs": programFile,
		}, map[string]foundFile{approverToken: {0o600, 999, "any"}}}
		for path, file := range want.files {
			digest := sha256.Sum256(file.Data)
			f.files[path] = foundFile{uint32(file.Mode), 999, hex.EncodeToString(digest[:])}
		}
		return f
	}
	change := func(path string, change func(*foundFile)) func(serviceFound) {
		return func(f serviceFound) {
			file := f.files[path]
			change(&file)
			f.files[path] = file
		}
	}
	set := func(property, value string) func(serviceFound) {
		return func(f serviceFound) { f.properties[property] = value }
	}
	tests := map[string]struct {
		change  func(serviceFound)
		problem string
	}{
		"none is there":                    {func(f serviceFound) { clear(f.files) }, "it isn't installed"},
		"the program has gone":             {func(f serviceFound) { delete(f.files, programFile) }, programFile + " is missing"},
		"another program":                  {change(programFile, func(f *foundFile) { f.digest = "x" }), programFile + " is another"},
		"a list with more addresses":       {change(approverConfig, func(f *foundFile) { f.digest = "x" }), approverConfig + " is another"},
		"another unit":                     {change(approverUnitAt, func(f *foundFile) { f.digest = "x" }), approverUnitAt + " is another"},
		"a list that anybody may change":   {change(approverConfig, func(f *foundFile) { f.mode = 0o666 }), "permissions 666, not 600"},
		"a token that anybody may read":    {change(approverToken, func(f *foundFile) { f.mode = 0o644 }), "permissions 644, not 600"},
		"no token":                         {func(f serviceFound) { delete(f.files, approverToken) }, approverToken + " is missing"},
		"a unit that somebody added to":    {set("DropInPaths", "/etc/systemd/system/kubecomm-approver.service.d/a.conf"), "a.conf"},
		"a unit that systemd hasn't read":  {set("NeedDaemonReload", "yes"), "after systemd had read it"},
		"one that won't start by itself":   {set("UnitFileState", "disabled"), "its unit is disabled"},
		"one that was stopped":             {set("ActiveState", "inactive"), "its unit is inactive"},
		"one that ends again and again":    {set("ActiveState", "activating"), "its unit is activating"},
		"a process of a program that went": {set("runs", programFile+" (deleted)"), "it runs " + programFile + " (deleted)"},
		"a process that was there before":  {set("ExecMainStartTimestamp", "@998"), "was changed after it started"},
	}
	require.NoError(t, want.problem(installed()))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := installed()
			test.change(f)
			require.ErrorContains(t, want.problem(f), test.problem)
		})
	}
	t.Run("a program that this build doesn't carry can't be judged", func(t *testing.T) {
		without := want
		without.files = maps.Clone(want.files)
		delete(without.files, programFile)
		require.NoError(t, without.problem(installed()))
	})
}

func TestWhatTheNodeSaysOfAnApproverIsRead(t *testing.T) {
	found, err := parseService("machine=x86_64\nActiveState=active\nDropInPaths=\nruns=/p\n" +
		"file 600 1790000000 abc /etc/kubernetes/kubecomm/approver/token\n")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"machine": "x86_64", "ActiveState": "active", "DropInPaths": "", "runs": "/p"}, found.properties)
	require.Equal(t, map[string]foundFile{approverToken: {0o600, 1790000000, "abc"}}, found.files)
	_, err = parseService("file none\n")
	require.Error(t, err)
}

// The paths are in the unit as well, which is a file of its own so that it can be read as one.
func TestTheUnitNamesThePathsThatTheApproverIsInstalledAt(t *testing.T) {
	lines := slices.Collect(strings.Lines(string(approverUnitText)))
	for _, line := range []string{
		"ExecStart=" + programFile + " approve ${CREDENTIALS_DIRECTORY}/config.json",
		"LoadCredential=config.json:" + approverConfig, "LoadCredential=ca.crt:" + approverCA, "LoadCredential=token:" + approverToken,
		"StateDirectory=" + approverState, "DynamicUser=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict",
	} {
		require.Contains(t, lines, line+"\n", fmt.Sprint(lines))
	}
}
