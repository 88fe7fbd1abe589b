package settings

import (
	"encoding/json"
	"strings"
)

// Value is what a setting is set to, as texts: one, or for a list any number. Nil is not set.
type Value []string

// Form is how a setting is written.
type Form int

// The forms. Settings that become neither a flag nor a field have a form of their own, and none of these.
const (
	Text Form = iota + 1
	Texts
)

// String is what users are shown.
func (v Value) String() string { return strings.Join(v, ", ") }

// flag returns the values of the command-line flag that a value becomes.
func (s Setting) flag(v Value) []string {
	if s.Form == Texts {
		return []string{strings.Join(v, ",")}
	}
	return v
}

// FromFlag reads the values of the flag. Of several for one text the last counts, and lists add up, as pflag has it.
func (s Setting) FromFlag(values []string) Value {
	joined := strings.Join(values, ",")
	switch {
	case len(values) == 0:
		return nil
	case s.Form == Texts && joined == "":
		return Value{}
	case s.Form == Texts:
		return strings.Split(joined, ",")
	}
	return values[len(values)-1:]
}

// field returns the value of the configuration's field that a value becomes.
func (s Setting) field(v Value) any {
	if s.Form == Texts {
		return []string(v)
	}
	return v[0]
}

// FromField reads the value of the field, in JSON. One of another form than the setting's, which only somebody else can
// have written, is shown as it is.
func (s Setting) FromField(value []byte) Value {
	var texts []string
	var text string
	switch {
	case value == nil || string(value) == "null":
		return nil
	case s.Form == Texts && json.Unmarshal(value, &texts) == nil:
		return texts
	case s.Form == Text && json.Unmarshal(value, &text) == nil:
		return Value{text}
	}
	return Value{string(value)}
}
