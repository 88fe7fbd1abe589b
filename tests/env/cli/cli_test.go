package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

func options(onPath ...string) Options {
	return Options{
		Log: report.NewLog(io.Discard, time.Now),
		LookPath: func(name string) (string, error) {
			if slices.Contains(onPath, name) {
				return "/bin/" + name, nil
			}
			return "", os.ErrNotExist
		},
		Built: func() (string, error) { return "", nil },
		Build: func(context.Context) (string, error) { return "/cache/tofu", nil },
	}
}

func TestTerraformComesBeforeOpenTofuAndBothBeforeABuild(t *testing.T) {
	t.Setenv(pathVariable, "")
	for want, onPath := range map[string][]string{
		"/bin/terraform": {"tofu", "terraform"},
		"/bin/tofu":      {"tofu"},
		"/cache/tofu":    nil,
	} {
		if got, err := Ensure(t.Context(), options(onPath...)); err != nil || got != want {
			t.Errorf("with %v on PATH got %s, %v", onPath, got, err)
		}
	}
}

func TestTheNamedCommandWins(t *testing.T) {
	t.Setenv(pathVariable, "mine")
	if got, err := Ensure(t.Context(), options("terraform", "mine")); err != nil || got != "mine" {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := Ensure(t.Context(), options("terraform")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), pathVariable) {
		t.Errorf("a name that leads nowhere: %v", err)
	}
}

func TestNothingIsBuiltWhereNothingMayBeChanged(t *testing.T) {
	t.Setenv(pathVariable, "")
	o := options()
	o.ReadOnly = true
	o.Build = func(context.Context) (string, error) {
		t.Error("built all the same")
		return "", nil
	}
	if _, err := Ensure(t.Context(), o); err == nil || !strings.Contains(err.Error(), "OpenTofu built from its module") {
		t.Errorf("got %v", err)
	}
	o.Built = func() (string, error) { return "/cache/tofu", nil }
	if got, err := Ensure(t.Context(), o); err != nil || got != "/cache/tofu" {
		t.Errorf("one that was built before: %s, %v", got, err)
	}
}
