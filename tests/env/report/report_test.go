package report

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func clock(step time.Duration) func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time {
		now = now.Add(step)
		return now
	}
}

func TestAStepIsPrintedWithItsNoteAndTheTimeItTook(t *testing.T) {
	var out strings.Builder
	l := NewLog(&out, clock(1500*time.Millisecond))
	if err := l.Step(t.Context(), "engine", func(context.Context) (string, error) { return "answers", nil }); err != nil {
		t.Fatal(err)
	}
	if want := "    .. engine\n    ok engine: answers (1.5 s)\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestAFailedStepIsPrintedAndItsErrorReturned(t *testing.T) {
	var out strings.Builder
	broken := errors.New("broken")
	err := NewLog(&out, clock(time.Second)).Step(t.Context(), "engine", func(context.Context) (string, error) { return "", broken })
	if !errors.Is(err, broken) || !strings.HasSuffix(out.String(), "FAILED engine (1.0 s)\n") {
		t.Errorf("error %v, printed %q", err, out.String())
	}
}

func TestAProblemSaysWhatWasTriedWhatWentWrongAndWhatToDo(t *testing.T) {
	cause := errors.New("first\nsecond")
	p := &Problem{Attempted: "to start dockerd", Remedy: "read the log", Err: cause}
	want := "tried to start dockerd\n  error: first\n    second\n  what to do: read the log"
	if p.Error() != want {
		t.Errorf("got %q, want %q", p.Error(), want)
	}
	if !errors.Is(p, cause) {
		t.Error("the cause is lost")
	}
}
