package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// command runs the engine's client, for what kind's library has no call for, and returns its standard output.
func (e *Engine) command(ctx context.Context, args ...string) (string, error) {
	client, err := e.client(ctx)
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, client, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second // the client may leave children that hold its output open
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return "", cause
		}
		return "", fmt.Errorf("%s %s: %w: %s", client, args[0], err, Redact(strings.TrimSpace(stderr.String())))
	}
	return stdout.String(), nil
}

// client is the engine's program, chosen as the kind command does: by KIND_EXPERIMENTAL_PROVIDER, or else the first there
// is, by what it calls itself, because `docker` may be podman under another name. Upstream: kind v0.33.0,
// pkg/internal/runtime/runtime.go, and IsAvailable in pkg/cluster/internal/providers/{docker,nerdctl,podman}/util.go,
// which are internal to it.
func (e *Engine) client(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	switch name := os.Getenv("KIND_EXPERIMENTAL_PROVIDER"); name {
	case "docker", "podman", "nerdctl", "finch", "nerdctl.lima":
		return name, nil
	}
	if name, known := e.found.Load().(string); known {
		return name, nil
	}
	for _, candidate := range []struct{ client, banner string }{
		{"docker", "Docker version"}, {"nerdctl", "nerdctl version"}, {"finch", "finch version"},
		{"podman", "podman version"},
	} {
		output, err := exec.CommandContext(ctx, candidate.client, "-v").Output()
		if err == nil && strings.HasPrefix(string(output), candidate.banner) {
			e.found.Store(candidate.client)
			return candidate.client, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return "", fmt.Errorf("%w: neither docker, nerdctl, finch nor podman was found", ErrEngineUnavailable)
}
