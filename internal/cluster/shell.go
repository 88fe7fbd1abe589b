package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"al.essio.dev/pkg/shellescape"
)

// shellScript runs commands side by side, each as it is asked for, and tells what becomes of them, line by line. A request
// is a number, how long the rest is and how long the command of it, a newline, the command, and its input in base64. An
// answer begins with the number: s for started, o and e for what comes by standard output and error, in base64, and x for
// the exit status when everything else was told. A line is short enough to be written in one piece.
const shellScript = `LC_ALL=C
exec 5>&1
tell() { base64 -w 3000 | awk -v head="$1 $2 " '{ print head $0; fflush() }'; }
serve() {
  echo "$1 s"
  status=$( { { {
    printf %s "$3" | base64 -d | eval "$2" 3>&- 4>&- 5>&-
    echo "${PIPESTATUS[2]}" >&4
  } 2>&3 3>&- | tell "$1" o >&5 3>&- 4>&-; } 3>&1 | tell "$1" e >&5 4>&-; } 4>&1 )
  echo "$1 x $status"
}
while read -r number size length; do
  request=$(head -c "$size")
  [ "${#request}" = "$size" ] || exit
  serve "$number" "${request:0:$length}" "${request:$length}" &
done`

const (
	// idleLimit is how long a shell stays for a next command.
	idleLimit = 10 * time.Second
	// inputLimit is how much input a command may have in a shell. With more, it is worth a process of the engine's.
	inputLimit = 64 << 10
)

// errShellEnded says that a shell ended before it began with a command.
var errShellEnded = errors.New("the node's shell ended")

// shell runs commands on a node by one process that stays there for a while. To start a process in a container costs the
// engine a tenth of a second of a core, and often more; to have it started by one that is there costs next to nothing.
type shell struct {
	start func() (*stream, error)

	mu      sync.Mutex
	session *session // that takes commands; nil while there is none
	number  int      // of the last command
}

// session is a shell from its start to its end.
type session struct {
	shell   *shell
	stream  *stream
	calls   map[int]*call
	expires *time.Timer
}

// call is a command that runs in a session.
type call struct {
	stdout, stderr io.Writer
	started        bool
	status         int
	err            error // of the session
	done           chan struct{}
}

// statusError is the status of a command that failed in a shell.
type statusError int

func (e statusError) Error() string { return "exit status " + strconv.Itoa(int(e)) }

// run runs a command, once more if the session ended before it began, as after a restart of the node.
func (s *shell) run(ctx context.Context, args []string, input []byte, stdout, stderr io.Writer) error {
	err := s.try(ctx, args, input, stdout, stderr)
	if errors.Is(err, errShellEnded) {
		err = s.try(ctx, args, input, stdout, stderr)
	}
	return err
}

func (s *shell) try(ctx context.Context, args []string, input []byte, stdout, stderr io.Writer) error {
	c := &call{stdout: stdout, stderr: stderr, done: make(chan struct{})}
	in, number, err := s.send(c, shellescape.QuoteCommand(args), base64.StdEncoding.EncodeToString(input))
	if err != nil {
		return err
	}
	select {
	case <-c.done:
		if c.err == nil && c.status != 0 {
			return statusError(c.status)
		}
		return c.err
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		// It may be the session that doesn't answer any more.
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && s.session == in {
			s.session = nil
		}
		in.leave(number)
		return context.Cause(ctx)
	}
}

// send asks a session for a command, a new one if there is none.
func (s *shell) send(c *call, command, input string) (in *session, number int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		stream, err := s.start()
		if err != nil {
			return nil, 0, err
		}
		s.session = &session{shell: s, stream: stream, calls: map[int]*call{}}
		go s.session.listen()
	}
	in = s.session
	if in.expires != nil {
		in.expires.Stop()
	}
	s.number++
	in.calls[s.number] = c
	request := fmt.Sprintf("%d %d %d\n%s%s", s.number, len(command)+len(input), len(command), command, input)
	err = in.stream.writer.SetWriteDeadline(time.Now().Add(cutLimit))
	if err == nil {
		_, err = in.stream.Write([]byte(request))
	}
	if err != nil { // what is there of the request is not begun with
		s.session = nil
		in.leave(s.number)
		return nil, 0, fmt.Errorf("%w: %w", errShellEnded, err)
	}
	return in, s.number, nil
}

// leave is called, with the lock held, for a command that nobody waits for any more. A session without any ends: at once
// where another took its place, or after a while.
func (in *session) leave(number int) {
	delete(in.calls, number)
	if len(in.calls) > 0 {
		return
	}
	if in.shell.session != in {
		go func() { _ = in.stream.Close() }()
		return
	}
	in.expires = time.AfterFunc(idleLimit, func() {
		in.shell.mu.Lock()
		defer in.shell.mu.Unlock()
		if in.shell.session == in && len(in.calls) == 0 {
			in.shell.session = nil
			go func() { _ = in.stream.Close() }()
		}
	})
}

// listen passes on what a session tells, until it ends.
func (in *session) listen() {
	lines := bufio.NewReader(in.stream)
	var err error
	for err == nil {
		var line string
		if line, err = lines.ReadString('\n'); err == nil {
			err = in.hear(strings.TrimSuffix(line, "\n"))
		}
	}
	in.shell.mu.Lock()
	defer in.shell.mu.Unlock()
	if in.shell.session == in {
		in.shell.session = nil
	}
	for number, c := range in.calls {
		if c.err = err; !c.started {
			c.err = fmt.Errorf("%w: %w", errShellEnded, err)
		}
		close(c.done)
		in.leave(number)
	}
}

// hear understands one line. What it can't understand is not shown: it may be of a key.
func (in *session) hear(line string) error {
	head, text, _ := strings.Cut(line, " ")
	what, text, _ := strings.Cut(text, " ")
	number, err := strconv.Atoi(head)
	if err != nil {
		return errors.New("the node's shell answered otherwise than expected")
	}
	in.shell.mu.Lock()
	defer in.shell.mu.Unlock()
	c := in.calls[number]
	if c == nil {
		return nil // nobody waits for it any more
	}
	switch what {
	case "s":
		c.started = true
		return nil
	case "x":
		if c.status, err = strconv.Atoi(text); err == nil {
			close(c.done)
			in.leave(number)
		}
		return err
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return errors.New("the node's shell told half of what a command wrote")
	}
	to := c.stdout
	if what == "e" {
		to = c.stderr
	}
	_, err = to.Write(data)
	return err
}

// readInput returns all of a command's input, or how to go on reading where it is too much for a shell.
func readInput(input io.Reader) (all []byte, more io.Reader, err error) {
	if input == nil {
		return nil, nil, nil
	}
	all, err = io.ReadAll(io.LimitReader(input, inputLimit+1))
	if err != nil || len(all) <= inputLimit {
		return all, nil, err
	}
	return nil, io.MultiReader(bytes.NewReader(all), input), nil
}
