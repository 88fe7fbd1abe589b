// Package browser shows pages as a browser does, where the machine has one.
package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// names are programs that can be asked for a page's text.
var names = []string{"chromium", "chromium-browser", "chromium-headless-shell", "google-chrome"}

// Find returns the path of the machine's browser.
func Find() (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of %s is installed on this machine", strings.Join(names, ", "))
}

// pageLimit is how long a browser may take to start and to load a page.
const pageLimit = time.Minute

// Open returns a page as a browser understood it.
func Open(ctx context.Context, page string) (text string, err error) {
	path, err := Find()
	if err != nil {
		return "", err
	}
	data, err := os.MkdirTemp("", "kubecomm-browser-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	ctx, cancel := context.WithTimeoutCause(ctx, pageLimit, fmt.Errorf("the browser took longer than %s", pageLimit))
	defer cancel()
	command := exec.CommandContext(ctx, path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--user-data-dir="+data,
		// It is asked for one page, and nothing of its own accord from its maker's servers.
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--dump-dom", page)
	command.WaitDelay = 5 * time.Second // its children may hold on to what it writes to
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", path, page, errors.Join(context.Cause(ctx), err), strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}
