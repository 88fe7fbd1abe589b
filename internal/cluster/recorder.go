package cluster

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"sigs.k8s.io/kind/pkg/log"
)

// Progress is a step of a cluster's creation that began, ended or failed.
type Progress struct {
	Cluster string
	Step    string
	State   StepState
	Elapsed time.Duration // since the creation began
}

// StepState is how far a step has come.
type StepState string

// The states of a step.
const (
	StepStarted  StepState = "started"
	StepFinished StepState = "finished"
	StepFailed   StepState = "failed"
)

// stepMarks are how kind announces steps where there is no terminal (v0.33.0, pkg/internal/cli/status.go).
var stepMarks = map[string]StepState{"•": StepStarted, "✓": StepFinished, "✗": StepFailed}

// recordedLines is how many of kind's warnings are kept to explain a failure.
const recordedLines = 10

// recorder is the logger that kind writes to while it creates a cluster. It makes progress out of kind's steps, and
// keeps its last warnings.
type recorder struct {
	cluster  string
	progress func(Progress)
	now      func() time.Time
	began    time.Time

	mu     sync.Mutex
	step   string
	lines  []string
	closed bool
}

var _ log.Logger = (*recorder)(nil)

func newRecorder(cluster string, progress func(Progress), now func() time.Time) *recorder {
	if progress == nil {
		progress = func(Progress) {}
	}
	return &recorder{cluster: cluster, progress: progress, now: now, began: now()}
}

// Warn and the like implement log.Logger.
func (r *recorder) Warn(message string)               { r.keep(message) }
func (r *recorder) Warnf(format string, args ...any)  { r.keep(fmt.Sprintf(format, args...)) }
func (r *recorder) Error(message string)              { r.keep(message) }
func (r *recorder) Errorf(format string, args ...any) { r.keep(fmt.Sprintf(format, args...)) }

// V drops what is verbose: kind prints whole kubeadm configurations and outputs there.
func (r *recorder) V(level log.Level) log.InfoLogger {
	if level > 0 {
		return log.NoopInfoLogger{}
	}
	return stepRecorder{r}
}

// stepRecorder is where kind announces its steps.
type stepRecorder struct{ *recorder }

func (r stepRecorder) Enabled() bool                    { return true }
func (r stepRecorder) Info(message string)              { r.announced(message) }
func (r stepRecorder) Infof(format string, args ...any) { r.announced(fmt.Sprintf(format, args...)) }

func (r *recorder) keep(message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if message = strings.TrimSpace(message); message != "" && !r.closed {
		r.lines = append(r.lines, Redact(message))
		r.lines = r.lines[max(0, len(r.lines)-recordedLines):]
	}
}

func (r *recorder) announced(message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mark, rest, _ := strings.Cut(strings.TrimSpace(message), " ")
	if state, isStep := stepMarks[mark]; isStep && !r.closed {
		r.report(stepName(rest), state)
	}
}

// during reports a step of ours.
func (r *recorder) during(step string, do func() error) error {
	r.locked(func() { r.report(step, StepStarted) })
	err := do()
	state := StepFinished
	if err != nil {
		state = StepFailed
	}
	r.locked(func() { r.report(step, state) })
	return err
}

func (r *recorder) locked(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

// report is called with the lock held.
func (r *recorder) report(step string, state StepState) {
	r.step = step
	r.progress(Progress{Cluster: r.cluster, Step: step, State: state, Elapsed: r.elapsed()})
}

func (r *recorder) elapsed() time.Duration { return r.now().Sub(r.began).Round(time.Millisecond) }

// close makes the recorder deaf, for a kind that goes on in the background when nobody waits for it any more. It
// returns the step that was reached and the last warnings.
func (r *recorder) close() (step string, lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.step, r.lines
}

// stepName takes kind's pictures and dots away.
func stepName(text string) string {
	text = strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return -1
		}
		return r
	}, text)
	return strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "..."))
}
