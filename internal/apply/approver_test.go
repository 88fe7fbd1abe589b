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
	want := map[string]cluster.File{
		approverProgram: {Data: []byte("program"), Mode: programMode}, approverUnitAt: {Data: approverUnitText, Mode: publicMode},
		approverConfig: {Data: []byte("config"), Mode: privateMode}, approverCA: {Data: []byte("ca"), Mode: publicMode},
	}
	type found struct {
		properties map[string]string
		files      map[string]foundFile
	}
	installed := func() found {
		f := found{map[string]string{
			"ActiveState": "active", "UnitFileState": "enabled", "DropInPaths": "", "NeedDaemonReload": "no",
			"ExecMainStartTimestamp": "@1000", "runs": approverProgram,
		}, map[string]foundFile{approverToken: {0o600, 999, "any"}}}
		for path, file := range want {
			digest := sha256.Sum256(file.Data)
			f.files[path] = foundFile{uint32(file.Mode), 999, hex.EncodeToString(digest[:])}
		}
		return f
	}
	change := func(path string, change func(*foundFile)) func(found) {
		return func(f found) {
			file := f.files[path]
			change(&file)
			f.files[path] = file
		}
	}
	set := func(property, value string) func(found) { return func(f found) { f.properties[property] = value } }
	tests := map[string]struct {
		change  func(found)
		problem string
	}{
		"none is there":                    {func(f found) { clear(f.files) }, "it isn't installed"},
		"the program has gone":             {func(f found) { delete(f.files, approverProgram) }, approverProgram + " is missing"},
		"another program":                  {change(approverProgram, func(f *foundFile) { f.digest = "x" }), approverProgram + " is another"},
		"a list with more addresses":       {change(approverConfig, func(f *foundFile) { f.digest = "x" }), approverConfig + " is another"},
		"another unit":                     {change(approverUnitAt, func(f *foundFile) { f.digest = "x" }), approverUnitAt + " is another"},
		"a list that anybody may change":   {change(approverConfig, func(f *foundFile) { f.mode = 0o666 }), "permissions 666, not 600"},
		"a token that anybody may read":    {change(approverToken, func(f *foundFile) { f.mode = 0o644 }), "permissions 644, not 600"},
		"no token":                         {func(f found) { delete(f.files, approverToken) }, approverToken + " is missing"},
		"a unit that somebody added to":    {set("DropInPaths", "/etc/systemd/system/kubecomm-approver.service.d/a.conf"), "a.conf"},
		"a unit that systemd hasn't read":  {set("NeedDaemonReload", "yes"), "after systemd had read it"},
		"one that won't start by itself":   {set("UnitFileState", "disabled"), "its unit is disabled"},
		"one that was stopped":             {set("ActiveState", "inactive"), "its unit is inactive"},
		"one that ends again and again":    {set("ActiveState", "activating"), "its unit is activating"},
		"a process of a program that went": {set("runs", approverProgram+" (deleted)"), "it runs " + approverProgram + " (deleted)"},
		"a process that was there before":  {set("ExecMainStartTimestamp", "@998"), "was changed after it started"},
	}
	require.NoError(t, approverProblem(installed().properties, installed().files, want))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := installed()
			test.change(f)
			require.ErrorContains(t, approverProblem(f.properties, f.files, want), test.problem)
		})
	}
	t.Run("a program that this build doesn't carry can't be judged", func(t *testing.T) {
		f, without := installed(), maps.Clone(want)
		delete(without, approverProgram)
		require.NoError(t, approverProblem(f.properties, f.files, without))
	})
}

func TestWhatTheNodeSaysOfAnApproverIsRead(t *testing.T) {
	properties, files, err := parseApprover("machine=x86_64\nActiveState=active\nDropInPaths=\nruns=/p\n" +
		"file 600 1790000000 abc /etc/kubernetes/kubecomm/approver/token\n")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"machine": "x86_64", "ActiveState": "active", "DropInPaths": "", "runs": "/p"}, properties)
	require.Equal(t, map[string]foundFile{approverToken: {0o600, 1790000000, "abc"}}, files)
	_, _, err = parseApprover("file none\n")
	require.Error(t, err)
}

// The paths are in the unit as well, which is a file of its own so that it can be read as one.
func TestTheUnitNamesThePathsThatTheApproverIsInstalledAt(t *testing.T) {
	lines := slices.Collect(strings.Lines(string(approverUnitText)))
	for _, line := range []string{
		"ExecStart=" + approverProgram + " approve ${CREDENTIALS_DIRECTORY}/config.json",
		"LoadCredential=config.json:" + approverConfig, "LoadCredential=ca.crt:" + approverCA, "LoadCredential=token:" + approverToken,
		"StateDirectory=" + approverState, "DynamicUser=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict",
	} {
		require.Contains(t, lines, line+"\n", fmt.Sprint(lines))
	}
}
