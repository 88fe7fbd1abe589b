package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
)

const nodeImageName = "kindest/node"

// images makes sure of what a cluster of the version needs, saying what it does, and returns what tests/env then tells.
func (l *leg) images(ctx context.Context) (map[string]string, error) {
	ensure := l.environment()
	ensure.Stdout = os.Stdout
	if _, err := (command.Exec{}).Run(ctx, ensure); err != nil {
		return nil, err
	}
	printed, err := command.Exec{}.Run(ctx, l.environment("print"))
	if err != nil {
		return nil, err
	}
	found, err := exports(printed)
	for _, needed := range []string{"KUBECOMM_NODE_IMAGE", "KUBECOMM_KUBECTL_IMAGE", "KUBECOMM_CLI"} {
		if err == nil && found[needed] == "" {
			err = fmt.Errorf("%s doesn't tell %s", environment, needed)
		}
	}
	return found, err
}

// environment is a call of tests/env for the version. Interrupted, it stops what it builds.
func (l *leg) environment(args ...string) command.Cmd {
	return command.Cmd{
		Args: append([]string{"go", "run", environment}, args...), Grace: 20 * time.Second,
		Env: []string{"NODE_IMAGE=" + nodeImageName + ":" + l.version.String()},
	}
}

// exports reads what tests/env prints for a shell.
func exports(text string) (map[string]string, error) {
	found := map[string]string{}
	for line := range strings.Lines(text) {
		assigned, isExport := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "export ")
		name, value, isAssigned := strings.Cut(assigned, "=")
		value, opens := strings.CutPrefix(value, "'")
		value, closes := strings.CutSuffix(value, "'")
		if !isExport || !isAssigned || !opens || !closes {
			return nil, fmt.Errorf("%s printed %q, which is no export", environment, line)
		}
		found[name] = strings.ReplaceAll(value, `'\''`, "'")
	}
	return found, nil
}
