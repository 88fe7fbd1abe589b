package command

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAFailedCommandIsReportedWithTheEndOfItsOutput(t *testing.T) {
	_, err := Exec{}.Run(t.Context(), Cmd{Args: []string{"sh", "-c", "(seq 100; echo wrong) >&2; exit 3"}})
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	if !strings.HasSuffix(failed.Tail, "100\nwrong") || strings.Contains(failed.Tail, "\n75\n") {
		t.Errorf("tail: %q", failed.Tail)
	}
	if !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}

func TestWhatACommandStartedEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := Exec{}.Run(ctx, Cmd{Args: []string{"sh", "-c", "sleep 30 & wait"}})
	if err == nil || time.Since(start) > 3*time.Second {
		t.Errorf("ended after %s with %v", time.Since(start), err)
	}
}

func TestACommandThatIsGivenTimeEndsByItselfWhenItIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	script := `trap 'echo cleaned; exit 0' INT; sleep 30`
	start := time.Now()
	out, err := Exec{}.Run(ctx, Cmd{Args: []string{"sh", "-c", script}, Grace: 10 * time.Second})
	if err == nil || out != "cleaned\n" || time.Since(start) > 8*time.Second {
		t.Errorf("ended after %s with %v, having printed %q", time.Since(start), err, out)
	}
}

func TestOutputIsReturnedWithoutTheSpaceAroundIt(t *testing.T) {
	if out, err := Output(t.Context(), Exec{}, "echo", " x "); err != nil || out != "x" {
		t.Errorf("got %q, %v", out, err)
	}
}
