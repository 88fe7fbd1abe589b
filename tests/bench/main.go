// Command bench measures what clients of the API notice while kubecomm replaces the apiservers of a running cluster, and
// while somebody edits a manifest by hand. It prints figures and judges none: it fails only where it could not measure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// The images that nodes and pods are made of.
const (
	nodeImageVariable    = "KUBECOMM_NODE_IMAGE"
	agnhostImageVariable = "KUBECOMM_AGNHOST_IMAGE"
)

func main() {
	var o options
	flag.IntVar(&o.controlPlanes, "control-planes", 1, "how many control planes the cluster has, beside one worker")
	flag.StringVar(&o.ipFamily, "ip-family", "ipv4", "what the cluster's addresses are: ipv4, ipv6 or dual")
	flag.IntVar(&o.requests, "requests", 5000,
		"how many requests have to be made during applies: apiservers are replaced again and again until they were")
	flag.Parse()
	err := workload.MuteKlog()
	if err == nil {
		err = runAndPrint(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		if failure, ok := errors.AsType[*cluster.CreateError](err); ok {
			fmt.Fprintln(os.Stderr, strings.Join(failure.Evidence, "\n"))
		}
		os.Exit(1)
	}
}

// options are what is measured, and for how long.
type options struct {
	controlPlanes int
	ipFamily      string
	requests      int
}

func runAndPrint(o options) error {
	// An interrupted run takes its cluster down as well.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	result, err := run(ctx, o)
	if err != nil {
		return err
	}
	result.print(os.Stdout)
	return nil
}

// run measures on a cluster of its own, which is gone afterwards.
func run(ctx context.Context, o options) (result result, err error) {
	for _, variable := range []string{nodeImageVariable, agnhostImageVariable} {
		if os.Getenv(variable) == "" {
			return result, fmt.Errorf("%s is not set to an image; make bench-swap sets it", variable)
		}
	}
	program, err := buildObserver(ctx)
	if err != nil {
		return result, err
	}
	b, err := newBed(ctx, o)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, b.delete(ctx)) }()
	if err := b.deploy(ctx, program); err != nil {
		return result, err
	}
	return measure(ctx, b, o)
}
