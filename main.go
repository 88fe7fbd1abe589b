// Command terraform-provider-kubecomm serves the kubecomm Terraform provider: it secures the communication between
// the control plane and the nodes of a kind cluster.
package main

import (
	"context"
	"flag"
	"log"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/kubecomm/terraform-provider-kubecomm/provider"
)

// version is set by the linker at release.
var version = "dev"

func main() {
	debug := flag.Bool("debug", false, "serve so that a debugger can be attached")
	flag.Parse()

	err := providerserver.Serve(context.Background(), provider.New(version), providerserver.ServeOpts{
		Address:         provider.Address,
		Debug:           *debug,
		ProtocolVersion: 6,
	})
	if err != nil {
		log.Fatal(err)
	}
}
