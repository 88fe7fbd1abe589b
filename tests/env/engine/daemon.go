package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// Where the daemon that this program starts writes.
const (
	LogFile = "/var/log/kubecomm-dockerd.log"
	pidFile = "/var/run/docker.pid"
)

// startLimit bounds the wait for a started daemon: it restores networks and
// containers of an earlier run first.
const startLimit = 90 * time.Second

// StartDaemon starts dockerd so that it outlives this program, and waits until
// it answers.
func StartDaemon(ctx context.Context, r command.Runner) error {
	fail := func(err error) error {
		return &report.Problem{
			Attempted: "to start dockerd",
			Remedy:    "read the end of " + LogFile + ", start dockerd by hand, then run this again",
			Err:       errors.Join(err, errors.New(lastLines(LogFile))),
		}
	}
	if look().systemd {
		if _, err := r.Run(ctx, command.Cmd{Args: []string{"systemctl", "start", "docker"}}); err != nil {
			return fail(err)
		}
		return waitForDaemon(ctx, r, nil, fail)
	}
	if pid := runningDaemon(); pid != 0 {
		// Somebody's daemon is up and not answering yet: it may be starting.
		return waitForDaemon(ctx, r, nil, fail)
	}
	removeStale()
	exited, err := spawn()
	if err != nil {
		return fail(err)
	}
	return waitForDaemon(ctx, r, exited, fail)
}

// spawn starts dockerd in a session of its own: neither the end of this
// program, nor of make, nor Ctrl-C reaches it.
func spawn() (exited <-chan error, err error) {
	path, err := lookPath("dockerd")
	if err != nil {
		return nil, err
	}
	logs, err := os.OpenFile(LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	defer logs.Close()
	cmd := exec.Command(path)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = logs, logs
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return ended, nil
}

func waitForDaemon(ctx context.Context, r command.Runner, exited <-chan error, fail func(error) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("dockerd did not answer within %s", startLimit))
	defer cancel()
	for {
		_, err := Answers(ctx, r)
		if err == nil {
			return nil
		}
		select {
		case ended := <-exited:
			return fail(fmt.Errorf("dockerd ended: %w", ended))
		case <-ctx.Done():
			return fail(errors.Join(context.Cause(ctx), err))
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// runningDaemon returns the process id of a live dockerd, or 0.
func runningDaemon() int {
	raw, err := os.ReadFile(pidFile)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0
	}
	// Another process can have the number by now.
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || strings.TrimSpace(string(name)) != "dockerd" {
		return 0
	}
	return pid
}

// removeStale takes away what a daemon leaves behind that was killed, or that
// ran before a restart of the machine: dockerd refuses to start while the
// number in its pid file belongs to any live process (moby pkg/pidfile, v20.10),
// and the same goes for the containerd that it starts.
func removeStale() {
	for _, p := range []string{pidFile, "/var/run/docker/containerd/containerd.pid"} {
		raw, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(raw)))
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		want := strings.TrimSuffix(filepath.Base(p), ".pid")
		if strings.TrimSpace(string(name)) != want {
			os.Remove(p)
		}
	}
}

func lastLines(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "its log can not be read: " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) > 15 {
		lines = lines[len(lines)-15:]
	}
	return "the end of " + path + ":\n" + strings.Join(lines, "\n")
}
