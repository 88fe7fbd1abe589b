package cluster

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	kindexec "sigs.k8s.io/kind/pkg/exec"
)

// ErrExists says that a cluster of that name is there already.
var ErrExists = errors.New("there is already a kind cluster of that name")

// CreateError is a creation that failed half way.
type CreateError struct {
	Cluster  string
	Step     string // what was being done
	Elapsed  time.Duration
	Evidence []string // the last lines that explain it, without keys and tokens
	Err      error
	Remains  bool  // nodes of the cluster are left, because they were to be kept or the clean-up failed
	CleanUp  error // why the clean-up failed
}

func (e *CreateError) Error() string {
	message := fmt.Sprintf("creating cluster %s: %s, after %s: %s", e.Cluster, e.Step, e.Duration(), e.Reason())
	if e.CleanUp != nil {
		message += fmt.Sprintf(" (cleaning up failed as well: %v)", e.CleanUp)
	}
	return message
}

// Duration is how long it took to fail, for a sentence.
func (e *CreateError) Duration() time.Duration { return e.Elapsed.Round(100 * time.Millisecond) }

// Reason is the original error without keys and tokens.
func (e *CreateError) Reason() string {
	if errors.Is(e.Err, context.Canceled) {
		return "It was interrupted."
	}
	return Redact(e.Err.Error())
}

func (e *CreateError) Unwrap() error { return errors.Join(e.Err, e.CleanUp) }

// nameTaken is what docker, podman and nerdctl print when a container of the name exists.
var nameTaken = regexp.MustCompile(`name "?[^ ]+"? is already (?:in use|used)`)

// kindNameTaken is what kind says (v0.33.0, pkg/cluster/internal/create/create.go).
var kindNameTaken = regexp.MustCompile(`^node\(s\) already exist for a cluster with the name`)

// foreign says whether a creation failed because somebody else created a cluster of the same name since the names were
// looked at. Its nodes must not be cleaned up.
func foreign(err error) bool {
	if kindNameTaken.MatchString(err.Error()) {
		return true
	}
	run := kindexec.RunErrorForError(err)
	return run != nil && nameTaken.Match(run.Output)
}
