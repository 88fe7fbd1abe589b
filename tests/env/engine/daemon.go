package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
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
	// Somebody's daemon is up and not answering yet: it may be starting, or
	// ending, and then this program's takes its place.
	for deadline := time.Now().Add(startLimit); runningDaemon() != 0; {
		_, err := Answers(ctx, r)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return fail(fmt.Errorf("the dockerd that runs does not answer: %w", err))
		}
		time.Sleep(300 * time.Millisecond)
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
	if !runs(pid, "dockerd") {
		return 0
	}
	return pid
}

// runs reports whether the process is a live one of that name. One that was
// killed keeps its name until its parent asks for its exit status.
func runs(pid int, name string) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && strings.HasPrefix(string(status), "Name:\t"+name+"\n") &&
		!strings.Contains(string(status), "\nState:\tZ") && !strings.Contains(string(status), "\nState:\tX")
}

// removeStale takes away what a daemon leaves behind that was killed, or that
// ran before a restart of the machine: dockerd refuses to start while the
// number in its pid file belongs to any live process (moby pkg/pidfile, v20.10),
// and the same goes for the containerd that it starts.
func removeStale() {
	for file, name := range map[string]string{pidFile: "dockerd", "/var/run/docker/containerd/containerd.pid": "containerd"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(raw)))
		if !runs(pid, name) {
			os.Remove(file)
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
