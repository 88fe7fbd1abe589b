package suite

import (
	"fmt"
	"regexp"
	"sync"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// Note is one thing that was seen.
type Note struct {
	Text string `json:"text"`
	// Unsafe is set where what was seen is how Kubernetes is, and not safe on a network that isn't trusted.
	Unsafe bool `json:"unsafe,omitempty"`
}

// Evidence is what a check saw: requests, answers, certificates, lines of logs. Keys and tokens don't get into it.
type Evidence struct {
	mu    sync.Mutex
	notes []Note
}

// Note says what was seen.
func (e *Evidence) Note(format string, args ...any) { e.add(Note{Text: fmt.Sprintf(format, args...)}) }

// Unsafe says what was seen, and that it isn't safe on a network that isn't trusted.
func (e *Evidence) Unsafe(format string, args ...any) {
	e.add(Note{Text: fmt.Sprintf(format, args...), Unsafe: true})
}

// longest is how much of a text is kept, in bytes.
const longest = 4 << 10

func (e *Evidence) add(note Note) {
	note.Text = Redact(note.Text)
	if len(note.Text) > longest {
		note.Text = note.Text[:longest] + " (cut off)"
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notes = append(e.notes, note)
}

// Notes returns what was seen until now.
func (e *Evidence) Notes() []Note {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Note(nil), e.notes...)
}

// bearer is a token whose form isn't known, and too long to be a word of a sentence.
var bearer = regexp.MustCompile(`(?i)(\bbearer )[^\s"',]{12,}`)

// Redact takes keys and tokens out of a text.
func Redact(text string) string { return bearer.ReplaceAllString(cluster.Redact(text), "${1}(token)") }
