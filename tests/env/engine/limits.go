package engine

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// inotifyFile holds how many inotify instances a user may have. Every node's
// systemd, containerd and kubelet have some, all counted together; what finds
// none left fails with `too many open files`.
const inotifyFile = "/proc/sys/fs/inotify/max_user_instances"

// inotifyWanted is enough for three clusters of several nodes at once; 128, the
// kernel's default, is used up by the second.
const inotifyWanted = 1024

// EnsureLimits raises the limits of the machine that several nodes run into.
func EnsureLimits(ctx context.Context, o Options) error {
	return o.Log.Step(ctx, "inotify instances", func(context.Context) (string, error) {
		data, err := os.ReadFile(inotifyFile)
		if err != nil {
			return "", err
		}
		have, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			return "", fmt.Errorf("%s: %w", inotifyFile, err)
		}
		if have >= inotifyWanted {
			return strconv.Itoa(have), nil
		}
		problem := &report.Problem{
			Attempted: fmt.Sprintf("to allow %d inotify instances, of which a user may have %d", inotifyWanted, have),
			Remedy:    fmt.Sprintf("sysctl fs.inotify.max_user_instances=%d", inotifyWanted),
		}
		if o.ReadOnly {
			return "", problem
		}
		if err := os.WriteFile(inotifyFile, []byte(strconv.Itoa(inotifyWanted)), 0o644); err != nil {
			problem.Err = err
			return "", problem
		}
		return fmt.Sprintf("raised from %d to %d", have, inotifyWanted), nil
	})
}
