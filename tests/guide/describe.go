package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/behaviour"
)

// group is the settings of one attribute.
type group struct {
	Name     string
	Settings []described
}

// described is a setting as the page has it. What there is nothing to say of is a dash.
type described struct {
	settings.Setting

	Since      string
	CIS        string
	Baseline   string
	Restricted string
	Default    string

	Shows   string // what the behavioural pair shows; empty if there is none
	Told    []told
	Unshown string // why there is no pair
	Tests   []test
}

// told is what clients were told with a value.
type told struct{ Value, Answer string }

const nothing = "–"

func describe(table []settings.Setting) ([]group, error) {
	var groups []group
	for _, setting := range table {
		if len(groups) == 0 || groups[len(groups)-1].Name != setting.Group() {
			groups = append(groups, group{Name: setting.Group()})
		}
		found, err := describeOne(setting)
		if err != nil {
			return nil, err
		}
		last := &groups[len(groups)-1]
		last.Settings = append(last.Settings, found)
	}
	return groups, nil
}

func describeOne(setting settings.Setting) (described, error) {
	d := described{
		Setting: setting, Since: fmt.Sprintf("1.%d and later", max(setting.Since, settings.OldestMinor)), CIS: orNothing(strings.Join(setting.CIS, ", ")),
		Baseline: says(settings.Baseline, setting), Restricted: says(settings.Restricted, setting), Tests: others[setting.Name],
	}
	if setting.Flag == "" && setting.Field == "" && setting.Document == "" {
		if len(d.Tests) == 0 {
			return d, fmt.Errorf("no test is named for %s", setting.Name)
		}
		return d, nil
	}
	d.Tests = []test{trial}
	if setting.Document != "" {
		d.Tests = []test{files}
	}
	if own := others[setting.Name]; own != nil {
		d.Tests = own
	}
	pairs := behaviour.Pairs()
	i := slices.IndexFunc(pairs, func(pair behaviour.Pair) bool { return pair.Setting == setting.Name })
	if i >= 0 {
		d.Shows, d.Told = pairs[i].Shows, tell(pairs[i])
		d.Tests = append(d.Tests, live)
	} else if d.Unshown = behaviour.Unshown()[setting.Name]; d.Unshown == "" {
		return d, fmt.Errorf("%s has neither a behavioural pair nor a reason why not", setting.Name)
	}
	return d, nil
}

// says is what a profile says, or for what no profile speaks of, the default.
func says(profile settings.Profile, setting settings.Setting) string {
	if setting.Default != "" {
		return "`" + setting.Default + "`"
	}
	if value := profile.Says(setting); value != nil {
		return "`" + value.String() + "`"
	}
	return nothing
}

func orNothing(text string) string {
	if text == "" {
		return nothing
	}
	return text
}

// tell has each value once, with its answer. Nothing stands for kubeadm's own.
func tell(pair behaviour.Pair) []told {
	var found []told
	for _, state := range behaviour.States() {
		answer, asked := pair.Answers[state]
		if !asked {
			continue
		}
		value := "left as it was"
		if set := pair.Values.In(state); set != nil && pair.Called != "" {
			value = pair.Called
		} else if set != nil {
			value = "`" + set.String() + "`"
		}
		if entry := (told{value, answer}); !slices.Contains(found, entry) {
			found = append(found, entry)
		}
	}
	return found
}

// Anchor is the address of the setting's heading, as GitHub and the registry make it.
func (d described) Anchor() string { return strings.ReplaceAll(d.Name, ".", "") }
