package main

import (
	"context"
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
	if !s.readOnly {
		unlock, err := lock(ctx, s.cacheDir, log)
		if err != nil {
			return ready, err
		}
		defer unlock()
	}
	onEngine := engine.Options{Runner: runner, Log: log, ReadOnly: s.readOnly, Source: s.source}
	if err := engine.Ensure(ctx, onEngine); err != nil {
		return ready, err
	}
	if err := engine.EnsureRuntime(ctx, onEngine); err != nil {
		return ready, err
	}
	builder := &image.Builder{Runner: runner, Log: log, Cache: image.Cache{Dir: s.cacheDir}, Source: s.source}
	refs, err := image.Ensure(ctx, image.Options{
		Builder: builder, Node: s.nodeImage, ReadOnly: s.readOnly, Module: s.module,
		Prepare: func(ctx context.Context) error {
			return engine.Install(ctx, onEngine, map[string]string{"debootstrap": "debootstrap", "nft": "nftables", "ip": "iproute2"})
		},
	})
	if err != nil {
		return ready, err
	}
	ready.images = refs
	// Images that were built here mean a machine without a registry, on a
	// network that is not the user's own to send stray packets to.
	if refs.Built {
		if err := isolate.Ensure(ctx, isolate.Options{Runner: runner, Log: log, ReadOnly: s.readOnly}); err != nil {
			return ready, err
		}
	}
	ready.cli, err = cli.Ensure(ctx, cli.Options{
		Log: log, ReadOnly: s.readOnly,
		Built: func() (string, error) { return builder.BuiltTofu(ctx) },
		Build: builder.Tofu,
	})
	return ready, err
}

func check(ctx context.Context, s settings, log *report.Log) error {
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
	return isolate.Check(ctx, isolate.Options{Runner: command.Exec{}, Log: log, ReadOnly: true})
}

// exports are the variables of the tests, for a shell's eval.
func (e environment) exports() string {
	var b strings.Builder
	for _, v := range [][2]string{
		{"KUBECOMM_NODE_IMAGE", e.images.Node},
		{"KUBECOMM_AGNHOST_IMAGE", e.images.Agnhost},
		{"KUBECOMM_KONNECTIVITY_SERVER_IMAGE", e.images.KonnectivityServer},
		{"KUBECOMM_KONNECTIVITY_AGENT_IMAGE", e.images.KonnectivityAgent},
		{"KUBECOMM_CLI", e.cli},
		{"TF_ACC_TERRAFORM_PATH", e.cli},
	} {
		fmt.Fprintf(&b, "export %s=%s\n", v[0], quote(v[1]))
	}
	return b.String()
}

// quote makes a word that a POSIX shell takes as it is.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
