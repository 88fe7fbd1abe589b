package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/program"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/image"
)

var (
	older = image.Version{Major: 1, MinorNumber: 34, Patch: 4}
	newer = image.Version{Major: 1, MinorNumber: 37, Patch: 1}
)

func TestVersionsAreTakenOldestFirstAndEachOnce(t *testing.T) {
	chosen, err := choose([]string{"1.37.1", "v1.34.4", "v1.37.1"}, nil)
	require.NoError(t, err)
	assert.Equal(t, []image.Version{older, newer}, chosen)
}

func TestAllThatCanBeBuiltIsTakenWhereNoVersionIsAskedFor(t *testing.T) {
	buildable := []image.Version{newer, older}
	chosen, err := choose(nil, buildable)
	require.NoError(t, err)
	assert.Equal(t, []image.Version{older, newer}, chosen)
	assert.Equal(t, []image.Version{newer, older}, buildable, "the caller's own")
}

func TestAMinorVersionAloneIsRefused(t *testing.T) {
	_, err := choose([]string{"1.36"}, nil)
	assert.ErrorContains(t, err, `"v1.36" is not a version of Kubernetes such as v1.37.1`)
}

func TestExportsAreReadAsAShellReadsThem(t *testing.T) {
	found, err := exports("export A='kindest/node:v1.37.1'\nexport B='it'\\''s=b'\nexport C=''\n")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"A": "kindest/node:v1.37.1", "B": "it's=b", "C": ""}, found)
}

func TestWhatIsNoExportIsRefused(t *testing.T) {
	for _, text := range []string{"A='b'\n", "export A\n", "export A=b\n", "\n"} {
		_, err := exports(text)
		assert.ErrorContains(t, err, "which is no export", "%q", text)
	}
}

func TestTheTableSaysWhatBecameOfEachVersionAndWhy(t *testing.T) {
	passed := row{version: older, outcome: program.Outcome{Verdicts: map[string]string{"a": program.Passed, "b": program.Skipped}}}
	for column, seconds := range map[column]int{created: 31, applied: 22, proved: 140, destroyed: 9} {
		passed.record(column, time.Duration(seconds)*time.Second)
	}
	broken := row{version: newer, err: errors.New("harden it: terraform:\nno")}
	broken.record(created, 40*time.Second)
	var text strings.Builder
	printTable(&text, []row{passed, broken, {version: newer, err: errNotRun}})
	assert.Equal(t, `
Kubernetes  create  apply  passed  failed  skipped  suite  destroy  verdict
v1.34.4     31 s    22 s   1       0       1        140 s  9 s      passed
v1.37.1     40 s    -      -       -       -        -      -        FAILED
v1.37.1     -       -      -       -       -        -      -        not run

v1.37.1: harden it: terraform:
  no

v1.37.1: it was not run, because the run was interrupted before

matrix versions=3 failed=2
`, text.String())
}

func TestNoClusterIsMadeAfterAnInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rows := runUntil(ctx, []image.Version{older, newer})
	assert.Equal(t, 2, failed(rows))
	assert.Equal(t, "not run", rows[1].verdict())
	interrupted := row{err: errors.Join(errInterrupted, errors.New("harden it: killed"))}
	assert.Equal(t, "interrupted", interrupted.verdict())
}
