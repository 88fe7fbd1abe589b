// Package engine makes sure that a container engine answers: the one that is
// there, or Debian's, installed and started.
package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// Options are what Ensure works with.
type Options struct {
	Runner command.Runner
	Log    *report.Log
	// ReadOnly forbids any change to the machine.
	ReadOnly bool
	// Source is the folder of this program, for the programs that it builds.
	Source string
	// Exclusive waits until no other run changes the engine, and keeps others
	// waiting until it is undone.
	Exclusive func(context.Context) (undo func(), err error)
	// BeforeStart runs before a daemon is started that may bring clusters of an
	// earlier run back up.
	BeforeStart func(context.Context) error
}

// packages are what an engine needs on Debian. debootstrap and nftables serve
// the node image and the isolation; asking for them here costs one run of apt.
var packages = []string{"docker.io", "iptables", "iproute2", "procps", "nftables", "debootstrap"}

// Ensure makes the engine answer. Where nothing may be changed it returns what
// it would have done, as an error.
func Ensure(ctx context.Context, o Options) error {
	return o.Log.Step(ctx, "container engine", func(ctx context.Context) (string, error) {
		version, err := Answers(ctx, o.Runner)
		if err == nil {
			return "Docker " + version + " answers", nil
		}
		return start(ctx, o, err)
	})
}

// Answers returns the engine's version, quickly even where the daemon hangs.
func Answers(ctx context.Context, r command.Runner) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return command.Output(ctx, r, "docker", "version", "--format", "{{.Server.Version}}")
}

func start(ctx context.Context, o Options, unanswered error) (string, error) {
	m := look()
	steps, blocked := plan(m)
	attempted := "to reach a container engine with `docker version`"
	if blocked != "" {
		return "", &report.Problem{Attempted: attempted, Remedy: blocked, Err: unanswered}
	}
	if o.ReadOnly {
		return "", &report.Problem{
			Attempted: attempted,
			Remedy:    "start Docker, or unset KUBECOMM_ENV_INSTALL=0 to let this program: " + strings.Join(steps, "; "),
			Err:       unanswered,
		}
	}
	undo, err := o.Exclusive(ctx)
	if err != nil {
		return "", err
	}
	defer undo()
	if version, err := Answers(ctx, o.Runner); err == nil {
		return "Docker " + version + " answers, started by another run", nil
	}
	if !m.dockerd {
		if err := o.Log.Step(ctx, "install "+strings.Join(packages, " "), func(ctx context.Context) (string, error) {
			return "", install(ctx, o.Runner, packages...)
		}); err != nil {
			return "", err
		}
	}
	if err := o.BeforeStart(ctx); err != nil {
		return "", err
	}
	if err := StartDaemon(ctx, o.Runner); err != nil {
		return "", err
	}
	version, err := Answers(ctx, o.Runner)
	if err != nil {
		return "", &report.Problem{Attempted: attempted + " after it was started", Remedy: "see " + LogFile, Err: err}
	}
	return "Docker " + version + " started, log in " + LogFile, nil
}

// Install makes sure that the named programs' Debian packages are there.
// programs maps a program to the package that brings it.
func Install(ctx context.Context, o Options, programs map[string]string) error {
	var missing []string
	for program, pkg := range programs {
		if _, err := lookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	m := look()
	if o.ReadOnly || !m.debian || !m.root {
		return &report.Problem{
			Attempted: "to find the programs that the node image is built with",
			Remedy:    "install " + strings.Join(missing, " ") + " (this program does it on Debian as root, unless KUBECOMM_ENV_INSTALL=0)",
			Err:       errors.New("missing: " + strings.Join(missing, " ")),
		}
	}
	return o.Log.Step(ctx, "install "+strings.Join(missing, " "), func(ctx context.Context) (string, error) {
		undo, err := o.Exclusive(ctx)
		if err != nil {
			return "", err
		}
		defer undo()
		return "", install(ctx, o.Runner, missing...)
	})
}

func install(ctx context.Context, r command.Runner, names ...string) error {
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	fail := func(err error) error {
		return &report.Problem{
			Attempted: "to install " + strings.Join(names, " ") + " with apt",
			Remedy:    "run `apt-get update && apt-get install " + strings.Join(names, " ") + "` by hand and see what is in its way",
			Err:       err,
		}
	}
	// A dpkg that was killed half way refuses to work until it is told to go on.
	if _, err := r.Run(ctx, command.Cmd{Args: []string{"dpkg", "--configure", "-a"}, Env: env}); err != nil {
		return fail(err)
	}
	// A repository of the machine's owner that is out of order must not stop
	// Debian's own: the install says so if the packages are not to be had.
	_, updated := r.Run(ctx, command.Cmd{Args: []string{"apt-get", "update", "-qq", "-o", "DPkg::Lock::Timeout=120"}, Env: env})
	args := []string{"apt-get", "install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Options::=--force-confold"}
	if _, err := r.Run(ctx, command.Cmd{Args: append(args, names...), Env: env}); err != nil {
		return fail(errors.Join(err, updated))
	}
	return nil
}

// plan says what would make an engine answer on m, or what a person must do
// where this program can not.
func plan(m machine) (steps []string, blocked string) {
	if m.dockerHost != "" {
		return nil, fmt.Sprintf("DOCKER_HOST is %s: start the engine there, or unset it", m.dockerHost)
	}
	if !m.linux || !m.root {
		return nil, "install and start Docker (https://docs.docker.com/engine/install/), and make sure that `docker version` answers for this user"
	}
	if !m.dockerd {
		if !m.debian {
			return nil, "install and start Docker (https://docs.docker.com/engine/install/); this program installs it on Debian only"
		}
		steps = append(steps, "apt-get install "+strings.Join(packages, " "))
	}
	if m.systemd {
		return append(steps, "systemctl start docker"), ""
	}
	return append(steps, "start dockerd in the background"), ""
}

func fileContains(path, text string) bool {
	b, err := os.ReadFile(path)
	return err == nil && strings.Contains(string(b), text)
}
