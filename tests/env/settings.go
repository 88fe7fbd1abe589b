package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// settings are what the environment says.
type settings struct {
	readOnly  bool
	nodeImage string
	cacheDir  string
	// module is the folder of the repository, source that of this program.
	module, source string
}

func settingsFrom(ctx context.Context, getenv func(string) string) (settings, error) {
	gomod, err := command.Output(ctx, command.Exec{}, "go", "env", "GOMOD")
	if err == nil && (gomod == "" || gomod == os.DevNull) {
		err = errors.New("the working directory belongs to no Go module")
	}
	if err != nil {
		return settings{}, &report.Problem{
			Attempted: "to find this repository",
			Remedy:    "run `go run ./tests/env` in the repository's root",
			Err:       err,
		}
	}
	s := settings{
		readOnly:  getenv("KUBECOMM_ENV_INSTALL") == "0",
		nodeImage: getenv("NODE_IMAGE"),
		cacheDir:  getenv("KUBECOMM_CACHE"),
		module:    filepath.Dir(gomod),
	}
	s.source = filepath.Join(s.module, "tests", "env")
	if s.cacheDir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return s, &report.Problem{Attempted: "to find the user's cache folder", Remedy: "set KUBECOMM_CACHE to a folder", Err: err}
		}
		s.cacheDir = filepath.Join(base, "kubecomm")
	}
	// Commands run in other folders than this.
	s.cacheDir, err = filepath.Abs(s.cacheDir)
	return s, err
}
