package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/example"
)

// stopLimit is how long an interrupted CLI may take: the provider undoes a step that it is in the middle of.
const stopLimit = 3 * time.Minute

// terraform is the CLI in a copy of the example, with the provider that was built last, whatever is installed.
type terraform struct {
	cli     string
	folder  string // of the copy
	output  io.Writer
	results string // a folder for what the provider logs
}

// configuration takes the provider from a folder. Nothing has to be installed then, nor initialised.
const configuration = `provider_installation {
  dev_overrides {
    "kubecomm/kubecomm" = %q
  }
  direct {}
}
`

const configurationFile = "cli.tfrc"

// prepare fills the folder.
func (t *terraform) prepare(name, nodeImage string) error {
	builds, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	return errors.Join(
		example.Copy(filepath.Join("examples", "quickstart"), t.folder, name, nodeImage),
		os.WriteFile(filepath.Join(t.folder, configurationFile), fmt.Appendf(nil, configuration, builds), 0o600),
	)
}

func (t *terraform) run(ctx context.Context, args ...string) error {
	trace, err := filepath.Abs(filepath.Join(t.results, "trace.log"))
	if err != nil {
		return err
	}
	_, err = command.Exec{}.Run(ctx, command.Cmd{
		Args: append([]string{t.cli}, args...), Dir: t.folder, Stdout: t.output, Grace: stopLimit,
		Env: []string{
			"TF_CLI_CONFIG_FILE=" + configurationFile, "TF_CLI_ARGS=-no-color", "TF_INPUT=0", "TF_IN_AUTOMATION=1",
			"CHECKPOINT_DISABLE=1", "TF_LOG_PROVIDER=TRACE", "TF_LOG_PATH=" + trace,
		},
	})
	return err
}

func (t *terraform) apply(ctx context.Context, flags ...string) error {
	return t.run(ctx, append([]string{"apply", "-auto-approve"}, flags...)...)
}

func (t *terraform) destroy(ctx context.Context, flags ...string) error {
	return t.run(ctx, append([]string{"destroy", "-auto-approve"}, flags...)...)
}

// changesPlanned is the exit code of a plan that isn't empty.
const changesPlanned = 2

func (t *terraform) nothingToDo(ctx context.Context) error {
	err := t.run(ctx, "plan", "-detailed-exitcode")
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ended.ExitCode() == changesPlanned {
		return errors.New("a plan right after the apply isn't empty")
	}
	return err
}
