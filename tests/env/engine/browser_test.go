package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// apt is a package manager that installs what it is asked for into a folder.
type apt struct {
	dir       string
	installed []string
}

func (a *apt) Run(_ context.Context, c command.Cmd) (string, error) {
	if !slices.Contains(c.Args, "install") {
		return "", nil
	}
	name := c.Args[len(c.Args)-1]
	a.installed = append(a.installed, name)
	return "", os.WriteFile(filepath.Join(a.dir, name), []byte("#!/bin/sh\n"), 0o755)
}

func TestABrowserIsInstalledOnlyWhere(t *testing.T) {
	debian := machine{linux: true, debian: true, root: true}
	for name, c := range map[string]struct {
		m        machine
		has      string // a browser that is there
		readOnly bool
		installs bool
		problem  string
		note     string
	}{
		"Debian has none":              {m: debian, installs: true, note: browserPackage + " installed"},
		"there is one already":         {m: debian, has: "chromium", note: "chromium"},
		"nothing may be changed":       {m: debian, readOnly: true, problem: "apt-get install " + browserPackage},
		"the machine is somebody's":    {m: machine{linux: true, debian: true}, note: "passed over: none of chromium, "},
		"the machine isn't a Debian":   {m: machine{linux: true, root: true}, note: "passed over: none of chromium, "},
		"it is theirs and to be read":  {m: machine{linux: true, debian: true}, readOnly: true, note: "passed over: none of chromium, "},
		"there is one and it's a read": {m: debian, has: "google-chrome", readOnly: true, note: "google-chrome"},
	} {
		manager := &apt{dir: t.TempDir()}
		t.Setenv("PATH", manager.dir)
		if c.has != "" {
			if err := os.WriteFile(filepath.Join(manager.dir, c.has), []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		var said strings.Builder
		o := Options{
			Runner: manager, Log: report.NewLog(&said, time.Now), ReadOnly: c.readOnly,
			Exclusive: func(context.Context) (func(), error) { return func() {}, nil },
		}
		err := ensureBrowser(t.Context(), o, c.m)
		if problem, ok := errors.AsType[*report.Problem](err); (c.problem != "") != ok || ok && !strings.Contains(problem.Remedy, c.problem) {
			t.Errorf("where %s: error %v, want %q", name, err, c.problem)
		}
		if got := slices.Equal(manager.installed, []string{browserPackage}); got != c.installs {
			t.Errorf("where %s: installed %q", name, manager.installed)
		}
		if !strings.Contains(said.String(), c.note) {
			t.Errorf("where %s: said %s, want %s", name, said.String(), c.note)
		}
	}
}
