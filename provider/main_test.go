package provider_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// accPrefix begins the name of every cluster that these tests create.
const accPrefix = "kubecomm-acc-"

// TestMain runs the tests, or with -sweep=all deletes the clusters that earlier ones left.
func TestMain(m *testing.M) {
	resource.AddTestSweepers("kubecomm_kind_cluster", &resource.Sweeper{Name: "kubecomm_kind_cluster", F: sweepClusters})
	resource.TestMain(m)
}

func sweepClusters(string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	engine := cluster.NewEngine()
	names, err := engine.List(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, accPrefix) {
			if err := engine.Delete(ctx, name, ""); err != nil {
				return err
			}
		}
	}
	return nil
}
