package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// Where the runtime for machines without CAP_SYS_RESOURCE lives, and its name
// in Docker's configuration.
const (
	runtimeName = "runc-no-resource"
	runtimePath = "/usr/local/lib/kubecomm/runc-no-resource"
	daemonJSON  = "/etc/docker/daemon.json"
)

// EnsureRuntime makes privileged containers, and so kind, work on a machine
// whose capability bounding set lacks CAP_SYS_RESOURCE. It does nothing on any
// other.
func EnsureRuntime(ctx context.Context, o Options) error {
	// A daemon elsewhere, as Docker Desktop's or the host's of this container,
	// has capabilities of its own.
	if pid := runningDaemon(); pid == 0 || !lacksSysResource(pid) {
		return nil
	}
	return o.Log.Step(ctx, "container runtime for a machine without CAP_SYS_RESOURCE", func(ctx context.Context) (string, error) {
		fail := func(err error) error {
			return &report.Problem{
				Attempted: "to make privileged containers work on a machine whose capability bounding set lacks CAP_SYS_RESOURCE",
				Remedy:    "name " + runtimePath + " as a runtime and as default-runtime in " + daemonJSON + ", and send dockerd SIGHUP",
				Err:       err,
			}
		}
		used, err := command.Output(ctx, o.Runner, "docker", "info", "--format", "{{.DefaultRuntime}}")
		if err != nil {
			return "", fail(err)
		}
		if o.ReadOnly {
			if used != runtimeName {
				return "", fail(fmt.Errorf("the default runtime is %q, and KUBECOMM_ENV_INSTALL=0 forbids changing it", used))
			}
			return used + " is in place", nil
		}
		if used != runtimeName {
			undo, err := o.Exclusive(ctx)
			if err != nil {
				return "", err
			}
			defer undo()
		}
		built, err := buildRuntime(ctx, o)
		if err != nil {
			return "", fail(err)
		}
		old, err := os.ReadFile(daemonJSON)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fail(err)
		}
		merged, changed, err := withRuntime(old, runtimeName, runtimePath)
		if err != nil {
			return "", fail(fmt.Errorf("%s: %w", daemonJSON, err))
		}
		if changed {
			if err := writeAtomically(daemonJSON, merged, 0o644); err != nil {
				return "", fail(err)
			}
		}
		if used != runtimeName {
			if err := reload(ctx, o.Runner); err != nil {
				return "", fail(err)
			}
			changed = true
		}
		if !built && !changed {
			return "in place", nil
		}
		return runtimePath + " is the default runtime", nil
	})
}

// buildRuntime compiles the runtime where its source changed. The stamp is the
// source itself, kept beside the program.
func buildRuntime(ctx context.Context, o Options) (bool, error) {
	dir := filepath.Join(o.Source, "programs", runtimeName)
	source, err := concatenate(dir)
	if err != nil {
		return false, err
	}
	stamp := runtimePath + ".source"
	if was, err := os.ReadFile(stamp); err == nil && string(was) == source {
		if _, err := os.Stat(runtimePath); err == nil {
			return false, nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(runtimePath), 0o755); err != nil {
		return false, err
	}
	next := runtimePath + ".next"
	_, err = o.Runner.Run(ctx, command.Cmd{
		Args: []string{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", next, "."},
		Dir:  dir, Env: []string{"CGO_ENABLED=0"},
	})
	if err != nil {
		return false, err
	}
	if err := os.Rename(next, runtimePath); err != nil {
		return false, err
	}
	return true, writeAtomically(stamp, []byte(source), 0o644)
}

func concatenate(dir string) (string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		b.Write(content)
	}
	return b.String(), nil
}

// reload makes a running dockerd take up its configuration: runtimes and the
// default runtime are among what SIGHUP reloads (dockerd(8)).
func reload(ctx context.Context, r command.Runner) error {
	pid := runningDaemon()
	if pid == 0 {
		return errors.New("no process id of a running dockerd in " + pidFile)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return fmt.Errorf("SIGHUP to dockerd (%d): %w", pid, err)
	}
	var used string
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var err error
		if used, err = command.Output(ctx, r, "docker", "info", "--format", "{{.DefaultRuntime}}"); err == nil && used == runtimeName {
			return nil
		}
	}
	return fmt.Errorf("dockerd's default runtime is still %q 15 s after SIGHUP", used)
}

func writeAtomically(path string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	next := path + ".next"
	if err := os.WriteFile(next, content, mode); err != nil {
		return err
	}
	return os.Rename(next, path)
}
