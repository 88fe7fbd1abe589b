package settings

import (
	"slices"
	"strings"
)

// A profile need not say what a list is. It may demand what has to be in the list and what must not, and leave the rest
// as it was before kubecomm: such a value has names with + and -. The flag that it becomes is filled in on each node.

const (
	inList    = "+"
	notInList = "-"
)

// demands reports whether a value is such a demand of one of the profiles, in place of the list itself.
func (s Setting) demands(value Value) bool {
	return len(value) > 0 && (strings.HasPrefix(value[0], inList) || strings.HasPrefix(value[0], notInList)) &&
		(slices.Equal(value, s.Baseline) || slices.Equal(value, s.Restricted))
}

// FillIn returns the values of a component's flag on a node that had others before kubecomm: what is demanded of a list
// becomes the list. A list that has what is demanded stays as it was written, and one that is empty then is no flag at
// all. What is declared without being a demand comes back as it is.
func FillIn(component Component, flag string, before, declared []string) []string {
	table := Managed()
	i := slices.IndexFunc(table, func(s Setting) bool { return s.Component == component && s.Flag == flag })
	if i < 0 || !table[i].demands(table[i].FromFlag(declared)) {
		return declared
	}
	had := table[i].FromFlag(before)
	switch list := fill(had, table[i].FromFlag(declared)); {
	case slices.Equal(list, had):
		return before
	case len(list) == 0:
		return nil
	default:
		return table[i].flag(list)
	}
}

// Filled is what FillIn makes of a value.
func (s Setting) Filled(before []string, value Value) Value {
	if !s.demands(value) {
		return value
	}
	return s.FromFlag(FillIn(s.Component, s.Flag, before, s.flag(value)))
}

func fill(list, demand Value) Value {
	list = slices.Clone(list)
	for _, text := range demand {
		name, wanted := strings.CutPrefix(text, inList)
		switch {
		case !wanted:
			name = strings.TrimPrefix(text, notInList)
			list = slices.DeleteFunc(list, func(has string) bool { return has == name })
		case !slices.Contains(list, name):
			list = append(list, name)
		}
	}
	return list
}

// demand says in Markdown what a demand makes of a list.
func (v Value) demand() string {
	var with, without []string
	for _, text := range v {
		if name, wanted := strings.CutPrefix(text, inList); wanted {
			with = append(with, "`"+name+"`")
		} else {
			without = append(without, "`"+strings.TrimPrefix(text, notInList)+"`")
		}
	}
	var parts []string
	if len(with) > 0 {
		parts = append(parts, "with "+strings.Join(with, " and "))
	}
	if len(without) > 0 {
		parts = append(parts, "without "+strings.Join(without, " and "))
	}
	return "what was there " + strings.Join(parts, ", ")
}
