package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/program"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/image"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/example"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/stock"
)

const (
	conformance = "bin/kubecomm-conformance"
	// results has a folder for each version, with what tells why it failed.
	results = "bin/matrix-results"

	deleteLimit = 3 * time.Minute
)

// leg is the run of one version, on a cluster of its own.
type leg struct {
	version image.Version
	log     *report.Log
	engine  *cluster.Engine
	row     row

	name      string
	folder    string // of the results
	env       map[string]string
	clients   []string // flags of the suite that name images of clients
	terraform *terraform
	cluster   *cluster.Cluster
	stock     stock.Files
}

// step is one of a leg. What it took is shown in the table if it has a column there.
type step struct {
	title  string
	column column
	limit  time.Duration
	do     func(context.Context) (note string, err error)
}

// run leaves in l.row what became of it, and no cluster.
func (l *leg) run(ctx context.Context) {
	l.name = fmt.Sprintf("kubecomm-matrix-%d-%d-%s", l.version.Major, l.version.MinorNumber, strings.ToLower(rand.Text()[:6]))
	l.folder = filepath.Join(results, l.version.String())
	err := l.prepareAnd(ctx, l.all)
	switch {
	case ctx.Err() != nil:
		err = errors.Join(errInterrupted, err)
	case err != nil:
		l.log.Say("the end of this says why, and more is in %s", l.folder)
	}
	l.row.err = err
}

// prepareAnd gives do a folder that holds the cluster's credentials, and removes it and the cluster, whatever became of do.
func (l *leg) prepareAnd(ctx context.Context, do func(ctx context.Context, folder string, log io.Writer) error) (err error) {
	if err := errors.Join(os.RemoveAll(l.folder), os.MkdirAll(l.folder, 0o755)); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "kubecomm-matrix-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	log, err := os.Create(filepath.Join(l.folder, "terraform.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	defer func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteLimit)
		defer cancel()
		err = errors.Join(err, l.engine.Delete(limited, l.name, ""))
	}()
	return do(ctx, folder, log)
}

// all does every step. What the suite finds doesn't keep the hardening from being taken back.
func (l *leg) all(ctx context.Context, folder string, log io.Writer) error {
	prepare := func(ctx context.Context) (note string, err error) {
		if l.env, err = l.images(ctx); err != nil {
			return "", err
		}
		image := l.env["KUBECOMM_NODE_IMAGE"]
		l.terraform = &terraform{cli: l.env["KUBECOMM_CLI"], folder: folder, output: log, results: l.folder}
		return image, l.terraform.prepare(l.name, image)
	}
	err := l.each(ctx,
		step{title: "get a node image", limit: 90 * time.Minute, do: prepare},
		step{title: "create cluster " + l.name, column: created, limit: 10 * time.Minute, do: l.create},
		step{title: "harden it", column: applied, limit: 10 * time.Minute, do: l.harden},
	)
	if err != nil {
		return err
	}
	return errors.Join(
		l.each(ctx, step{title: "see that a plan is empty", limit: 5 * time.Minute, do: l.isSettled}),
		l.each(ctx, step{title: "give nodes what the suite needs", limit: 5 * time.Minute, do: l.load}),
		l.each(ctx, step{title: "prove it", column: proved, limit: 30 * time.Minute, do: l.prove}),
		l.each(ctx,
			step{title: "destroy the hardening", column: destroyed, limit: 10 * time.Minute, do: l.revert},
			step{title: "see that the cluster is stock again", limit: 10 * time.Minute, do: l.isStock},
			step{title: "destroy the cluster", limit: 5 * time.Minute, do: l.takeDown},
		),
	)
}

// each does steps until one fails.
func (l *leg) each(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		select {
		case <-ctx.Done():
			return nil // interrupted, of which run tells
		default:
		}
		limited, cancel := context.WithTimeout(ctx, s.limit)
		start := time.Now()
		err := l.log.Step(limited, s.title, s.do)
		cancel()
		if s.column != "" {
			l.row.record(s.column, time.Since(start))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	return nil
}

func (l *leg) create(ctx context.Context) (string, error) {
	err := l.terraform.apply(ctx, "-target="+example.Cluster)
	if err == nil {
		l.cluster, err = l.engine.Open(ctx, l.name)
	}
	if err == nil {
		l.stock, err = stock.ReadAll(ctx, l.cluster)
	}
	return "", err
}

func (l *leg) harden(ctx context.Context) (string, error) { return "", l.terraform.apply(ctx) }

func (l *leg) isSettled(ctx context.Context) (string, error) { return "", l.terraform.nothingToDo(ctx) }

func (l *leg) load(ctx context.Context) (string, error) {
	var err error
	l.clients, err = program.LoadClients(ctx, l.cluster, func(name string) string { return l.env[name] })
	return "", err
}

func (l *leg) prove(ctx context.Context) (string, error) {
	outcome, err := l.conformance(ctx, "hardened", os.Stdout, program.HardenedFlags(l.clients...)...)
	l.row.outcome = outcome
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d checks passed", outcome.Count(program.Passed)), problems(outcome.NotHardened())
}

func (l *leg) revert(ctx context.Context) (string, error) {
	return "", l.terraform.destroy(ctx, "-target="+example.Hardening)
}

func (l *leg) isStock(ctx context.Context) (string, error) {
	if err := stock.Gone(ctx, l.cluster, stock.TracesScript); err != nil {
		return "", err
	}
	found, err := stock.ReadAll(ctx, l.cluster)
	if err != nil {
		return "", err
	}
	for node, files := range found {
		if files != l.stock[node] {
			return "", fmt.Errorf("node %s has\n%s\nand had\n%s", node, files, l.stock[node])
		}
	}
	outcome, err := l.conformance(ctx, "stock", io.Discard, program.StockFlags()...)
	if err != nil {
		return "", err
	}
	return "every file is as it was, and nobody verifies kubelets", problems(outcome.NotStock())
}

// conformance runs the suite on the cluster. A second interrupt, as a terminal sends it to the program itself, has it leave what
// it made, which goes with the cluster.
func (l *leg) conformance(ctx context.Context, of string, to io.Writer, flags ...string) (program.Outcome, error) {
	suite := program.Program{Path: conformance, Results: filepath.Join(l.folder, of), Output: indented{to}}
	return suite.Run(ctx, append([]string{"-kind", l.name}, flags...)...)
}

// takeDown asks first, while nodes still run, whether a packet for a pod or service could leave the machine.
func (l *leg) takeDown(ctx context.Context) (string, error) {
	_, isolation := command.Exec{}.Run(ctx, l.environment("check", l.name))
	if err := l.terraform.destroy(ctx); err != nil {
		return "", errors.Join(isolation, err)
	}
	if _, err := l.engine.Open(ctx, l.name); !errors.Is(err, cluster.ErrNotFound) {
		return "", errors.Join(isolation, fmt.Errorf("cluster %s is still found: %w", l.name, err))
	}
	return "", isolation
}

func problems(lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}
