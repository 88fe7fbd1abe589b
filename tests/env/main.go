// Command env makes sure that kind can run on this machine: a container engine,
// the images that the tests use, a command line tool, and, where images are
// built here, that no packet for a pod or service leaves the machine.
//
//	go run ./tests/env          make sure of everything, saying what is done
//	go run ./tests/env print    write the environment of the tests for a shell's
//	                            eval; changes nothing, fails if not ready
//	go run ./tests/env check    look at running clusters, or at the one that is
//	                            named: would a packet for a pod or service
//	                            leave the machine?
//
// NODE_IMAGE asks for a node image (default: kind's own). KUBECOMM_CACHE is
// where what is built is kept (default: kubecomm in the user's cache folder).
// KUBECOMM_ENV_INSTALL=0 forbids any change to the machine.
//
// Exit codes: 0 ready, 1 not ready, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err != nil && interrupted:
		fmt.Fprintln(os.Stderr, "\nInterrupted. What is finished is kept; run this again to go on.")
		os.Exit(1)
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "\nThe environment is not ready.\n%v\n", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: go run ./tests/env [print | check [CLUSTER]]")

func run(ctx context.Context, args []string, stdout io.Writer) error {
	command := "ensure"
	if len(args) > 0 {
		command = args[0]
	}
	cluster := ""
	if command == "check" && len(args) == 2 {
		cluster, args = args[1], args[:1]
	}
	if len(args) > 1 {
		return errUsage
	}
	s, err := settingsFrom(ctx, os.Getenv)
	if err != nil {
		return err
	}
	start := time.Now()
	switch command {
	case "ensure":
		log := report.NewLog(stdout, time.Now)
		ready, err := ensure(ctx, s, log)
		if err != nil {
			return err
		}
		log.Say("ready in %.1f s: node image %s, CLI %s", time.Since(start).Seconds(), ready.images.Node, ready.cli)
		return nil
	case "print":
		s.readOnly = true
		ready, err := ensure(ctx, s, report.NewLog(io.Discard, time.Now))
		if err != nil {
			return err
		}
		_, err = io.WriteString(stdout, ready.exports())
		return err
	case "check":
		return check(ctx, s, report.NewLog(stdout, time.Now), cluster)
	}
	return errUsage
}
