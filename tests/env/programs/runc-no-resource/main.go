// Command runc-no-resource runs the real runc after it has taken from a
// container what this machine cannot give: CAP_SYS_RESOURCE, when it is absent
// from the bounding set, and with it the right to lower an OOM score.
//
// Without it `docker run --privileged` fails with "unable to apply caps:
// operation not permitted": the engine asks for every capability by name
// (moby oci/caps, v20.10), and runc cannot set one that the bounding set lacks.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// realRuncVariable overrides where the real runc is, for tests.
const realRuncVariable = "KUBECOMM_REAL_RUNC"

func main() {
	if err := adaptCall(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "runc-no-resource: %v\n", err)
		os.Exit(1)
	}
	path, err := realRunc()
	if err != nil {
		fmt.Fprintf(os.Stderr, "runc-no-resource: %v\n", err)
		os.Exit(1)
	}
	err = syscall.Exec(path, append([]string{"runc"}, os.Args[1:]...), os.Environ())
	fmt.Fprintf(os.Stderr, "runc-no-resource: exec %s: %v\n", path, err)
	os.Exit(1)
}

func realRunc() (string, error) {
	if p := os.Getenv(realRuncVariable); p != "" {
		return p, nil
	}
	for _, p := range []string{"/usr/sbin/runc", "/usr/bin/runc", "/usr/local/sbin/runc", "/usr/local/bin/runc"} {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return exec.LookPath("runc")
}

// adaptCall changes the file that the call names, if it is one that starts a
// process: the bundle's config.json for create, run and restore, the process
// file for exec.
func adaptCall(args []string) error {
	call := parse(args)
	switch call.command {
	case "create", "run", "restore":
		return rewrite(filepath.Join(call.bundle, "config.json"), adaptSpec)
	case "exec":
		if call.process == "" {
			return nil // the process is given by flags and inherits the container's capabilities
		}
		return rewrite(call.process, adaptProcess)
	}
	return nil
}

// rewrite replaces a file's content. It keeps the file itself, so that its
// owner, mode and any open handle stay what they were.
func rewrite(path string, adapt func([]byte) ([]byte, error)) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	adapted, err := adapt(old)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, adapted, 0o600)
}
