package main

import (
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/image"
)

func TestTheExportsSurviveAShell(t *testing.T) {
	e := environment{images: image.Refs{Node: "kindest/node:v1.37.1", Agnhost: "a b'c$HOME"}, cli: "/bin/terraform"}
	script := e.exports() + `printf '%s\n' "$KUBECOMM_NODE_IMAGE" "$KUBECOMM_AGNHOST_IMAGE" "$KUBECOMM_CLI" "$TF_ACC_TERRAFORM_PATH"`
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := "kindest/node:v1.37.1\na b'c$HOME\n/bin/terraform\n/bin/terraform\n"
	if string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestWhatThisProgramDoesNotMakeIsLeftAsItsOwnerSetIt(t *testing.T) {
	script := environment{images: image.Refs{Node: "n"}, cli: "/bin/terraform"}.exports() + `printf %s "$KUBECOMM_PYTHON_IMAGE"`
	shell := exec.CommandContext(t.Context(), "sh", "-c", script)
	shell.Env = []string{"KUBECOMM_PYTHON_IMAGE=somebody/python:1"}
	if out, err := shell.Output(); err != nil || string(out) != "somebody/python:1" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestAnUnknownCommandIsAUsageError(t *testing.T) {
	for _, args := range [][]string{{"destroy"}, {"print", "more"}} {
		if err := run(t.Context(), args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%v: got %v", args, err)
		}
	}
}

func TestTheSettingsComeFromTheEnvironment(t *testing.T) {
	values := map[string]string{"KUBECOMM_ENV_INSTALL": "0", "NODE_IMAGE": "kindest/node:v1.35.4", "KUBECOMM_CACHE": "/var/cache/k"}
	s, err := settingsFrom(t.Context(), func(name string) string { return values[name] })
	if err != nil {
		t.Fatal(err)
	}
	if !s.readOnly || s.nodeImage != "kindest/node:v1.35.4" || s.cacheDir != "/var/cache/k" || !strings.HasSuffix(s.source, "tests/env") {
		t.Errorf("got %+v", s)
	}
	s, err = settingsFrom(t.Context(), func(string) string { return "" })
	if err != nil || s.readOnly || !strings.HasSuffix(s.cacheDir, "/kubecomm") {
		t.Errorf("defaults: %+v, %v", s, err)
	}
}
