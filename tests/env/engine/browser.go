package engine

import (
	"context"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/browser"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// browserPackage is Chromium without what it needs to show a window.
const browserPackage = "chromium-headless-shell"

// EnsureBrowser makes sure of a browser for the tests that open a page. They do
// without one where this program can install none.
func EnsureBrowser(ctx context.Context, o Options) error { return ensureBrowser(ctx, o, look()) }

func ensureBrowser(ctx context.Context, o Options, m machine) error {
	return o.Log.Step(ctx, "browser", func(ctx context.Context) (string, error) {
		path, err := browser.Find()
		switch {
		case err == nil:
			return path, nil
		case !m.debian || !m.root:
			return "passed over: " + err.Error(), nil
		case o.ReadOnly:
			return "", &report.Problem{
				Attempted: "to find a browser",
				Remedy:    "run this without KUBECOMM_ENV_INSTALL=0; it would apt-get install " + browserPackage,
				Err:       err,
			}
		}
		undo, err := o.Exclusive(ctx)
		if err != nil {
			return "", err
		}
		defer undo()
		if path, err := browser.Find(); err == nil {
			return path + ", installed by another run", nil
		}
		if err := install(ctx, o.Runner, browserPackage); err != nil {
			return "", err
		}
		path, err = browser.Find()
		return path + " installed", err
	})
}
