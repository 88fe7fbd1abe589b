// Command inpod is the observer that runs in a pod. It writes what it sees to a file, a line for each record, because a
// pod's log takes the way that is observed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/bench/observer"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: inpod FILE CLIENTS [ADDRESS...]")
		os.Exit(2)
	}
	clients, err := strconv.Atoi(os.Args[2])
	if err == nil {
		err = run(os.Args[1], clients, os.Args[3:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run finds the service's address where client-go looks for it: in the variables that the kubelet sets.
func run(path string, clients int, others []string) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	lines := json.NewEncoder(file)
	err = observer.Run(ctx, observer.Options{
		Config: config, Others: others, Clients: clients,
		Keep: func(record observer.Record) {
			if err := lines.Encode(record); err != nil {
				cancel(err)
			}
		},
	})
	if err != nil {
		return err
	}
	return context.Cause(ctx)
}
