package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/cli"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/engine"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/image"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/isolate"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// environment is what tests need to know.
type environment struct {
	images image.Refs
	cli    string
}

// ensure makes sure of every part, in the order in which they need each other.
func ensure(ctx context.Context, s settings, log *report.Log) (environment, error) {
	var ready environment
	runner := command.Exec{}
	builder := &image.Builder{Runner: runner, Log: log, Cache: image.Cache{Dir: s.cacheDir}, Source: s.source}
	isolation := isolate.Options{Runner: runner, Log: log, ReadOnly: s.readOnly}
	onEngine := engine.Options{
		Runner: runner, Log: log, ReadOnly: s.readOnly, Source: s.source,
		Exclusive: func(ctx context.Context) (func(), error) { return builder.Cache.Lock(ctx, log, "engine") },
		BeforeStart: func(ctx context.Context) error {
			// Nodes from images that were built here may start with the daemon.
			if !builder.HasBuilt() {
				return nil
			}
			return isolate.Ensure(ctx, isolation)
		},
	}
	if err := engine.Ensure(ctx, onEngine); err != nil {
		return ready, err
	}
	runtimeErr := engine.EnsureRuntime(ctx, onEngine)
	if runtimeErr != nil && !s.readOnly {
		return ready, runtimeErr
	}
	var imageErr error
	ready.images, imageErr = image.Ensure(ctx, image.Options{
		Builder: builder, Node: s.nodeImage, ReadOnly: s.readOnly, Module: s.module,
		Prepare: func(ctx context.Context) error {
			if err := engine.Install(ctx, onEngine, map[string]string{"debootstrap": "debootstrap", "nft": "nftables", "ip": "iproute2"}); err != nil {
				return err
			}
			return isolate.Ensure(ctx, isolation)
		},
	})
	if imageErr != nil && !s.readOnly {
		return ready, imageErr
	}
	// Images that were built here mean a machine without a registry, on a
	// network that is not the user's own to send stray packets to.
	var isolationErr error
	if ready.images.Built {
		isolationErr = errors.Join(isolate.Ensure(ctx, isolation), engine.EnsureLimits(ctx, onEngine), engine.EnsureBrowser(ctx, onEngine))
	}
	var cliErr error
	ready.cli, cliErr = cli.Ensure(ctx, cli.Options{
		Log: log, ReadOnly: s.readOnly,
		Built: func() (string, error) { return builder.BuiltTofu(ctx) },
		Build: builder.Tofu,
	})
	// Where nothing may be changed, all that is missing is said at once.
	return ready, errors.Join(runtimeErr, imageErr, isolationErr, cliErr)
}

func check(ctx context.Context, s settings, log *report.Log, cluster string) error {
	ready := s
	ready.readOnly = true
	env, err := ensure(ctx, ready, log)
	if err != nil {
		return err
	}
	if !env.images.Built {
		log.Say("no image was built here, so nothing on this machine was changed and nothing is checked")
		return nil
	}
	return isolate.Check(ctx, isolate.Options{Runner: command.Exec{}, Log: log, ReadOnly: true, Cluster: cluster})
}

// exports are the variables of the tests, for a shell's eval.
func (e environment) exports() string {
	var b strings.Builder
	for _, v := range [][2]string{
		{"KUBECOMM_NODE_IMAGE", e.images.Node},
		{"KUBECOMM_AGNHOST_IMAGE", e.images.Agnhost},
		{"KUBECOMM_KONNECTIVITY_SERVER_IMAGE", e.images.KonnectivityServer},
		{"KUBECOMM_KONNECTIVITY_AGENT_IMAGE", e.images.KonnectivityAgent},
		{"KUBECOMM_KUBECTL_IMAGE", e.images.Kubectl},
		{"KUBECOMM_PYTHON_IMAGE", e.images.Python},
		{"KUBECOMM_CLI", e.cli},
		{"TF_ACC_TERRAFORM_PATH", e.cli},
	} {
		// The machine's owner may have set what this program doesn't make.
		if v[1] == "" {
			continue
		}
		fmt.Fprintf(&b, "export %s=%s\n", v[0], quote(v[1]))
	}
	return b.String()
}

// quote makes a word that a POSIX shell takes as it is.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
