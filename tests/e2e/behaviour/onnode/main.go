// Command onnode is package outside where it runs on a node.
package main

import (
	"fmt"
	"os"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/behaviour/outside"
)

func main() {
	if err := outside.Serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
