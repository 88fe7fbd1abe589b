package settings

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
)

// Value is what a setting is set to, as texts: one, or for a list any number. Nil is not set.
type Value []string

// Form is how a setting is written.
type Form int

// The forms. Settings that become neither a flag nor a field have a form of their own, and none of these.
const (
	Text         Form = iota + 1
	Texts             // a list; its flag is given once, with commas
	Each              // a list; its flag is given once for each
	Switch            // true or false
	Number            // an integer
	Duration          // as Go writes it
	Curves            // a list of key exchange mechanisms, which flags and fields have as numbers
	Certificates      // in PEM, one after the other
	Objects           // a list of objects, each a JSON text
)

// List reports whether a setting of this form has any number of texts.
func (f Form) List() bool { return f == Texts || f == Each || f == Curves || f == Objects }

// String is what users are shown.
func (v Value) String() string { return strings.Join(v, ", ") }

// canonical returns the one spelling of a value that has several, such as 60m and 1h. What can't be read stays as it is.
func (s Setting) canonical(v Value) Value {
	if s.Form == Objects {
		texts := slices.Clone(v)
		for i, text := range texts {
			texts[i] = s.canonicalObject(text)
		}
		return texts
	}
	if len(v) != 1 {
		return v
	}
	switch s.Form {
	case Switch:
		if on, err := strconv.ParseBool(v[0]); err == nil {
			return Value{strconv.FormatBool(on)}
		}
	case Duration:
		if length, err := time.ParseDuration(v[0]); err == nil {
			return Value{length.String()}
		}
	case Certificates:
		if certificates, err := pki.ParseBundle([]byte(v[0])); err == nil {
			return Value{string(pki.EncodeBundle(certificates...))}
		}
	}
	return v
}

// Same reports whether two values mean the same.
func (s Setting) Same(a, b Value) bool {
	return (a == nil) == (b == nil) && slices.Equal(s.canonical(a), s.canonical(b))
}

// flag returns the values of the command-line flag that a value becomes.
func (s Setting) flag(v Value) []string {
	v = s.canonical(v)
	switch s.Form {
	case Texts:
		return []string{strings.Join(v, ",")}
	case Curves:
		return []string{strings.Join(curveNumbers(v), ",")}
	}
	return v
}

// FromFlag reads the values of the flag. Of several for one text the last counts, and lists add up, as pflag has it.
func (s Setting) FromFlag(values []string) Value {
	joined := strings.Join(values, ",")
	switch {
	case len(values) == 0:
		return nil
	case s.Form == Each:
		return values
	case s.Form.List() && joined == "":
		return Value{}
	case s.Form == Curves:
		return curveNames(strings.Split(joined, ","))
	case s.Form == Texts:
		return strings.Split(joined, ",")
	}
	return s.canonical(values[len(values)-1:])
}

// field returns the value of the configuration's field that a value becomes.
func (s Setting) field(v Value) any {
	switch v = s.canonical(v); s.Form {
	case Texts, Each:
		return []string(v)
	case Curves:
		return numbers(curveNumbers(v))
	case Switch, Number:
		return numbers(v)[0]
	}
	return v[0]
}

// numbers turns texts into what JSON writes without quotes, which they were checked to be.
func numbers(texts []string) []json.RawMessage {
	found := make([]json.RawMessage, len(texts))
	for i, text := range texts {
		found[i] = json.RawMessage(text)
	}
	return found
}

// FromField reads the value of the field, in JSON. One of another form than the setting's, which only somebody else can
// have written, is shown as it is.
func (s Setting) FromField(value []byte) Value {
	if value == nil || string(value) == "null" {
		return nil
	}
	var texts []string
	var parts []json.RawMessage
	var text string
	switch {
	case s.Form == Curves && json.Unmarshal(value, &parts) == nil:
		for _, part := range parts {
			texts = append(texts, string(part))
		}
		return curveNames(texts)
	case s.Form.List() && json.Unmarshal(value, &texts) == nil:
		return texts
	case !s.Form.List() && json.Unmarshal(value, &text) == nil:
		return s.canonical(Value{text})
	}
	return s.canonical(Value{string(value)})
}
