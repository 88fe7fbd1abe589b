package provider_test

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

const (
	oldVersion = "VersionTLS12"
	newVersion = "VersionTLS13"
)

func holds(at tfjsonpath.Path, value knownvalue.Check) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(hardeningAddress, at, value)
}

// updates expects that the hardening is changed in place, and how.
func updates(changed ...plancheck.PlanCheck) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: append(changed,
		plancheck.ExpectResourceAction(hardeningAddress, plancheck.ResourceActionUpdate))}
}

// changed expects how an attribute was found, and how it will be.
type changed struct {
	at          tfjsonpath.Path
	found, will knownvalue.Check
}

func changes(at tfjsonpath.Path, found, will knownvalue.Check) plancheck.PlanCheck {
	return changed{at, found, will}
}

// finds expects how an attribute was found, of which isn't known how it will be.
func finds(at tfjsonpath.Path, found knownvalue.Check) plancheck.PlanCheck {
	return changed{at: at, found: found}
}

func (c changed) CheckPlan(_ context.Context, req plancheck.CheckPlanRequest, resp *plancheck.CheckPlanResponse) {
	for _, resource := range req.Plan.ResourceChanges {
		if resource.Address != hardeningAddress {
			continue
		}
		found, err := tfjsonpath.Traverse(resource.Change.Before, c.at)
		if err == nil {
			err = c.found.CheckValue(found)
		}
		if err != nil {
			resp.Error = fmt.Errorf("%s was found otherwise: %w", c.at, err)
			return
		}
		if c.will == nil {
			return
		}
		will, err := tfjsonpath.Traverse(resource.Change.After, c.at)
		if err == nil {
			err = c.will.CheckValue(will)
		}
		if err != nil {
			resp.Error = fmt.Errorf("%s will be otherwise: %w", c.at, err)
		}
		return
	}
	resp.Error = fmt.Errorf("%s is not in the plan", hardeningAddress)
}

// at makes a path of its own each time: paths that tfjsonpath derives from the same one share memory.
func at(keys ...string) tfjsonpath.Path {
	path := tfjsonpath.New(keys[0])
	for _, key := range keys[1:] {
		path = path.AtMapKey(key)
	}
	return path
}
