// Package controlplane reads and changes what a control plane component runs with: the static pod manifest that the
// kubelet starts it from, and the command line of its process. It is pure: it is given bytes and returns bytes.
package controlplane

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Flags are a component's command-line flags, by name without dashes. A flag given several times keeps every value.
type Flags map[string][]string

// ParseCommandLine reads the content of /proc/PID/cmdline: arguments that each end with a zero byte.
func ParseCommandLine(cmdline []byte) Flags {
	var arguments []string
	for argument := range bytes.SplitSeq(bytes.TrimSuffix(cmdline, []byte{0}), []byte{0}) {
		arguments = append(arguments, string(argument))
	}
	if len(arguments) == 0 {
		return Flags{}
	}
	return parseArguments(arguments[1:])
}

// parseArguments understands the forms that pflag does for flags with a value, and a flag without one, which is "true".
func parseArguments(arguments []string) Flags {
	flags := Flags{}
	for i := 0; i < len(arguments); i++ {
		name, ok := strings.CutPrefix(arguments[i], "--")
		if !ok {
			continue
		}
		name, value, hasValue := strings.Cut(name, "=")
		if !hasValue {
			value = "true"
			if i+1 < len(arguments) && !strings.HasPrefix(arguments[i+1], "-") {
				i++
				value = arguments[i]
			}
		}
		flags[name] = append(flags[name], value)
	}
	return flags
}

// Get returns the value that counts for a flag that holds one value, which is the last, and whether it is given at all.
func (f Flags) Get(name string) (string, bool) {
	values := f[name]
	if len(values) == 0 {
		return "", false
	}
	return values[len(values)-1], true
}

// Differ returns an error that names a flag that isn't as wanted, or nil if all are. Values that the kubelet fills in
// when it starts the process, which contain "$(", are not compared.
func (f Flags) Differ(want Flags) error {
	for _, flags := range []Flags{want, f} {
		for _, name := range slices.Sorted(maps.Keys(flags)) {
			filledIn := slices.ContainsFunc(want[name], func(v string) bool { return strings.Contains(v, "$(") })
			if !filledIn && !slices.Equal(f[name], want[name]) {
				return fmt.Errorf("it runs with --%s=%q, not %q", name, f[name], want[name])
			}
		}
	}
	return nil
}
