// Command matrix hardens a cluster of every version of Kubernetes as users do, proves it by the conformance suite, and takes
// the hardening back. A version that fails doesn't keep the others from being run.
//
//	bin/matrix                 the versions that tests/env can build
//	bin/matrix 1.36.3 1.37.1   these, of which kind publishes node images or tests/env can build them
//
// It runs in the repository's root. Exit codes: 0 all passed, 1 one did not, 2 wrong usage.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/image"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

const environment = "./tests/env"

// The exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	flag.Parse()
	buildable, err := image.Buildable(environment)
	if err == nil && len(buildable) == 0 {
		err = fmt.Errorf("no version is pinned in %s: run this in the repository's root", environment)
	}
	var versions []image.Version
	if err == nil {
		versions, err = choose(flag.Args(), buildable)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		os.Exit(exitUsage)
	}
	rows := run(versions)
	printTable(os.Stdout, rows)
	if failed(rows) > 0 {
		os.Exit(exitFailed)
	}
}

// run ends when it is interrupted: the cluster is taken down then, and no other is created.
func run(versions []image.Version) []row {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return runUntil(ctx, versions)
}

// runUntil takes the versions one after the other: a node image is built by every processor, and a cluster alone shows what it takes.
func runUntil(ctx context.Context, versions []image.Version) []row {
	var rows []row
	for _, version := range versions {
		if ctx.Err() != nil {
			rows = append(rows, row{version: version, err: errNotRun})
			continue
		}
		fmt.Printf("\n[%s] Kubernetes %s\n", time.Now().Format(time.TimeOnly), version)
		l := leg{version: version, log: report.NewLog(os.Stdout, time.Now), engine: cluster.NewEngine(), row: row{version: version}}
		l.run(ctx)
		rows = append(rows, l.row)
	}
	return rows
}
