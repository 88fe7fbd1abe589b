package apply

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// lockLimit is how long an apply waits for another to end, unless its options say otherwise.
const lockLimit = 5 * time.Minute

// LockedError says that another apply was at work on the cluster all the time that this one could wait.
type LockedError struct {
	Cluster string
	Holder  string // what the other said of itself
	Waited  time.Duration
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("waited %s for the lock of cluster %s, which is held by %s",
		e.Waited.Round(time.Second), e.Cluster, e.Holder)
}

// lockScript holds a cluster's lock, and writes its journal, as long as its input is open: the end of whoever opened it
// ends it, whatever that end was. It says `waiting HOLDER` when it has to wait, `held HOLDER` when it waited in vain,
// `journal LINE` for each line that an earlier holder left, and `locked` once it has the lock. Each line of input is then
// appended to the journal; `end` removes the journal. Each is answered with `ok` when it is on disk.
const lockScript = `lock=$1 journal=$2 limit=$3 holder=$4
until=$((SECONDS + limit))
while :; do
  exec 9<>"$lock"
  if ! flock --nonblock 9; then
    echo "waiting $(cat "$lock")"
    left=$((until - SECONDS))
    flock --timeout $((left > 0 ? left : 0)) 9 || { echo "held $(cat "$lock")"; exit; }
  fi
  [ "$lock" -ef /dev/fd/9 ] && break # or else its holder removed it
done
trap 'rm -f -- "$lock"' EXIT
printf '%s' "$holder" >"$lock"
[ ! -e "$journal" ] || sed 's/^/journal /' "$journal"
echo locked
folder=$(dirname -- "$journal")
while IFS= read -r line; do
  if [ "$line" = end ]; then
    rm -f -- "$journal"
    rmdir -- "$folder" 2>/dev/null
    echo ok
  elif mkdir -p -m 700 -- "$folder" && printf '%s\n' "$line" >>"$journal" && sync -- "$journal"; then
    echo ok
  else
    echo failed
  fi
done`

const lockFile = "/run/kubecomm.lock"

// lock is a cluster's lock, held, and with it the journal on the first control plane.
type lock struct {
	mu      sync.Mutex
	stream  cluster.Stream
	answers *bufio.Scanner
	node    string
	journal []string // lines that an earlier holder left
}

// takeLock waits for the cluster's lock. It tells waiting of who holds it. Its error may be a *LockedError.
func takeLock(ctx context.Context, target Target, operation string, options Options, waiting func(holder string)) (*lock, error) {
	limit := options.lockLimit()
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	node := target.controlPlanes()[0]
	start := time.Now()
	stream, err := node.Attach(ctx, cluster.Command{Args: []string{
		"bash", "-c", lockScript, "bash", lockFile, journalFile, strconv.Itoa(int(limit.Seconds())), holder(operation),
	}})
	if err != nil {
		return nil, fmt.Errorf("taking the lock of cluster %s: %w", target.Name, err)
	}
	l := &lock{stream: stream, answers: bufio.NewScanner(stream), node: node.Name()}
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	for l.answers.Scan() {
		what, rest, _ := strings.Cut(l.answers.Text(), " ")
		switch what {
		case "journal":
			l.journal = append(l.journal, rest)
		case "locked":
			return l, nil
		case "waiting":
			waiting(rest)
		case "held":
			return nil, errors.Join(&LockedError{target.Name, rest, time.Since(start)}, stream.Close())
		}
	}
	err = errors.Join(context.Cause(ctx), l.answers.Err(), stream.Close())
	return nil, fmt.Errorf("taking the lock of cluster %s on node %s: %w", target.Name, node.Name(), err)
}

func (o Options) lockLimit() time.Duration {
	if o.LockLimit == 0 {
		return lockLimit
	}
	return o.LockLimit
}

// holder is what others are told of this process.
func holder(operation string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return fmt.Sprintf("%s by process %d on %s, since %s", operation, os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
}

// entry is a line of the journal.
type entry struct {
	Operation string   `json:"operation,omitempty"` // the first line's: what is being done, by whom, in which steps
	Steps     []string `json:"steps,omitempty"`
	Step      int      `json:"step,omitempty"` // the others': the step, from 1, and its phase that begins
	Phase     string   `json:"phase,omitempty"`
}

const (
	phaseUndoing = "undoing"
	phaseUndone  = "undone"
)

func (l *lock) record(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return l.say(string(line))
}

// endJournal says that nothing is left to finish or to undo.
func (l *lock) endJournal() error { return l.say("end") }

// errLockLost says that the process that held the lock on the node has gone, or can't be reached.
var errLockLost = errors.New("the lock is lost")

// answerLimit is how long the node may take to write a line to its disk.
const answerLimit = 30 * time.Second

// say returns errLockLost, wrapped, where nobody answers.
func (l *lock) say(line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := io.WriteString(l.stream, line+"\n")
	if err == nil {
		err = l.stream.SetReadDeadline(time.Now().Add(answerLimit))
	}
	if err == nil && !l.answers.Scan() {
		if err = l.answers.Err(); err == nil {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil {
		return fmt.Errorf("writing the journal on node %s: %w: %w", l.node, errLockLost, err)
	}
	if answer := l.answers.Text(); answer != "ok" {
		return fmt.Errorf("writing the journal %s on node %s failed; is its disk full?", journalFile, l.node)
	}
	return nil
}

func (l *lock) release() { _ = l.stream.Close() }

// Interrupted is what the journal says of an apply that ended without finishing or undoing what it did.
type Interrupted struct {
	Operation string // what it was and whose
	Step      string // the one that was under way; empty if none was
	Phase     string
}

func (i Interrupted) String() string {
	if i.Step == "" {
		return i.Operation + ", before its first step"
	}
	return fmt.Sprintf("%s, at %q, phase %q", i.Operation, i.Step, i.Phase)
}

// parseJournal returns what an earlier apply left unfinished, or nil. It overlooks a last line that a crash cut short.
func parseJournal(lines []string) *Interrupted {
	if len(lines) == 0 {
		return nil
	}
	found := &Interrupted{Operation: "an apply whose journal can't be read"}
	var steps []string
	for _, line := range lines {
		var e entry
		if json.Unmarshal([]byte(line), &e) != nil {
			continue
		}
		if e.Operation != "" {
			*found, steps = Interrupted{Operation: e.Operation}, e.Steps
		}
		if e.Step > 0 && e.Step <= len(steps) {
			found.Step, found.Phase = steps[e.Step-1], e.Phase
		}
	}
	return found
}
