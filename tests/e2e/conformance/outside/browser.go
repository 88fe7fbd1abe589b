package outside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// findBrowser looks for one that can be asked for a page's text.
func findBrowser() (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", suite.Skip("none of %s is installed on this machine", strings.Join(names, ", "))
}

// browser opens a page through kubectl's proxy, which adds the token that a browser can't send by itself.
func (b *beds) browser() suite.Check {
	show := b.with(func(ctx context.Context, s *suite.Subject, e *suite.Evidence, _ *corev1.Service) error {
		at, stop, err := serveProxy(ctx, s.Admin)
		if err != nil {
			return err
		}
		defer stop()
		page := at + proxied(s)
		if err := until(ctx, e, probe.Request{URL: page}, server); err != nil {
			return err
		}
		shown, err := open(ctx, page)
		if err != nil {
			return err
		}
		e.Note("a browser showed %s as: %s", page, shown)
		if !strings.Contains(shown, server) {
			return fmt.Errorf("the browser's page should hold %s; it is: %s", server, shown)
		}
		return nil
	})
	return suite.Check{
		ID:       area + "browser",
		Sentence: "a browser shows a service's page through kubectl's proxy, which adds the credentials that browsers can't",
		Answers:  []string{"A2", "A10"}, Limit: makeLimit,
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			if _, err := findBrowser(); err != nil {
				return err // before anything is made for it
			}
			return show(ctx, s, e)
		},
	}
}

// pageLimit is how long a browser may take to start and to load a page.
const pageLimit = time.Minute

// open returns a page as a browser understood it.
func open(ctx context.Context, page string) (text string, err error) {
	path, err := findBrowser()
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
		"--no-first-run", "--user-data-dir="+data, "--dump-dom", page)
	command.WaitDelay = 5 * time.Second // its children may hold on to what it writes to
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", path, page, errors.Join(context.Cause(ctx), err), strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}
