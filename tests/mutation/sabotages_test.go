package mutation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/catalogue"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func sabotages() []sabotage {
	return slices.Concat(fronts(), objects(), expectations(), kubelets(), nodes(), components())
}

// ofClients are checks of what clients do, whatever the cluster is like. Unit tests beside them show what makes them fail.
var ofClients = []string{"outside/unverified-token"}

func destructive(id string) bool {
	for _, check := range catalogue.All() {
		if check.ID == id {
			return check.Destructive
		}
	}
	return false
}

func TestEveryCheckHasASabotageAndEverySabotageItsChecks(t *testing.T) {
	all := sabotages()
	for _, check := range catalogue.All() {
		concerned := func(s sabotage) bool { return matches(s.fails, check.ID) }
		assert.NotEqual(t, slices.Contains(ofClients, check.ID), slices.ContainsFunc(all, concerned), "no sabotage makes %s fail", check.ID)
	}
	names := map[string]bool{}
	for _, each := range all {
		assert.False(t, names[each.name], "two sabotages are called %s", each.name)
		names[each.name] = true
		assert.NotEmpty(t, each.fails, each.name)
		for _, pattern := range each.fails {
			known := slices.ContainsFunc(catalogue.All(), func(c suite.Check) bool { return matches([]string{pattern}, c.ID) })
			assert.True(t, known, "%s: no check is %s", each.name, pattern)
		}
	}
	assert.GreaterOrEqual(t, len(all), 30)
}

// in names checks of an area.
func in(area string, names ...string) []string {
	var ids []string
	for _, name := range names {
		ids = append(ids, area+"/"+name)
	}
	return ids
}

// declared names the checks of settings.
func declared(settings ...string) []string {
	var ids []string
	for _, name := range settings {
		ids = append(ids, fmt.Sprintf("control-plane/declared-%s", strings.NewReplacer(".", "-", "_", "-").Replace(name)))
	}
	return ids
}

func ids(lists ...[]string) []string { return slices.Concat(lists...) }
