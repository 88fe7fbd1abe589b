// Package cli finds the command that applies configurations in tests:
// Terraform, or OpenTofu.
package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// Options are what Ensure works with.
type Options struct {
	Log *report.Log
	// ReadOnly forbids building OpenTofu.
	ReadOnly bool
	// Built returns the path of an OpenTofu that was built before, or "".
	Built func() (string, error)
	// Build builds OpenTofu and returns its path.
	Build func(context.Context) (string, error)
	// LookPath finds a program on PATH; nil is exec.LookPath.
	LookPath func(string) (string, error)
}

// pathVariable is where terraform-plugin-testing takes the command from
// (v1.16.0, internal/plugintest/environment_variables.go).
const pathVariable = "TF_ACC_TERRAFORM_PATH"

// Ensure returns the path of the command: the one that is named by
// TF_ACC_TERRAFORM_PATH, terraform, tofu, or OpenTofu built from its module.
func Ensure(ctx context.Context, o Options) (path string, err error) {
	lookPath := o.LookPath
	if lookPath == nil {
		lookPath = exec.LookPath
	}
	err = o.Log.Step(ctx, "command line tool", func(ctx context.Context) (string, error) {
		if named := os.Getenv(pathVariable); named != "" {
			if _, err := lookPath(named); err != nil {
				return "", &report.Problem{
					Attempted: "to use the command that " + pathVariable + " names",
					Remedy:    "correct it, or unset it to have terraform or tofu found on PATH",
					Err:       err,
				}
			}
			path = named
			return named, nil
		}
		for _, name := range []string{"terraform", "tofu"} {
			if found, err := lookPath(name); err == nil {
				path = found
				return found, nil
			}
		}
		built, err := o.Built()
		if err != nil {
			return "", err
		}
		if built != "" {
			path = built
			return built + ", built before", nil
		}
		if o.ReadOnly {
			return "", &report.Problem{
				Attempted: "to find terraform or tofu on PATH",
				Remedy:    "install one of them, or run this without KUBECOMM_ENV_INSTALL=0 to have OpenTofu built from its module",
				Err:       errors.New("neither is there"),
			}
		}
		path, err = o.Build(ctx)
		return path, err
	})
	return path, err
}
