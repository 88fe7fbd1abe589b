package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// localShell runs the script on this machine. It counts its sessions, and kill ends the one that runs.
type localShell struct {
	shell
	sessions atomic.Int32
	mu       sync.Mutex
	running  *exec.Cmd
}

func newLocalShell(t *testing.T) *localShell {
	t.Helper()
	l := &localShell{}
	l.start = func() (*stream, error) {
		l.sessions.Add(1)
		run := func(ctx context.Context, command Command, stdout, stderr io.Writer) error {
			cmd := exec.CommandContext(ctx, command.Args[0], command.Args[1:]...)
			// As with an engine's client, nothing is heard any more of what outlives the shell.
			cmd.Stdin, cmd.Stdout, cmd.Stderr = command.Stdin, struct{ io.Writer }{stdout}, stderr
			cmd.WaitDelay = 10 * time.Millisecond
			l.mu.Lock()
			err := cmd.Start()
			l.running = cmd
			l.mu.Unlock()
			if err != nil {
				return err
			}
			return cmd.Wait()
		}
		node := &Node{name: "here"}
		return node.attach(t.Context(), run, Command{Args: []string{"bash", "-c", shellScript}}, func(err error) error { return err })
	}
	t.Cleanup(func() {
		l.shell.mu.Lock()
		defer l.shell.mu.Unlock()
		if l.session != nil {
			assert.NoError(t, l.session.stream.Close())
		}
	})
	return l
}

func (l *localShell) kill(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.NoError(t, l.running.Process.Kill())
}

func (l *localShell) output(ctx context.Context, input []byte, args ...string) (stdout, stderr string, err error) {
	var out, problems bytes.Buffer
	err = l.run(ctx, args, input, &out, &problems)
	return out.String(), problems.String(), err
}

func TestACommandInAShellHasItsArgumentsInputOutputAndStatus(t *testing.T) {
	l := newLocalShell(t)
	binary := make([]byte, 40<<10)
	_, err := rand.Read(binary)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		args           []string
		input          []byte
		stdout, stderr string
		status         int
	}{
		"arguments as they are":      {args: []string{"printf", `%s|`, "a b", `'"$x\`, "line\nline\n", "*", "ä", ""}, stdout: "a b|'\"$x\\|line\nline\n|*|ä||"},
		"input as it is":             {args: []string{"cat"}, input: binary, stdout: string(binary)},
		"no input":                   {args: []string{"cat"}},
		"both outputs":               {args: []string{"sh", "-c", "printf out; printf err >&2"}, stdout: "out", stderr: "err"},
		"a status":                   {args: []string{"sh", "-c", "echo half; exit 44"}, stdout: "half\n", status: 44},
		"input that nobody reads":    {args: []string{"true"}, input: binary},
		"much output":                {args: []string{"seq", "100000"}, stdout: numbers(100000)},
		"a process that stays":       {args: []string{"sh", "-c", "sleep 60 >/dev/null 2>&1 </dev/null & echo $! >&2; kill $!"}, stderr: "?"},
		"a program that isn't there": {args: []string{"/no/such/program"}, status: 127, stderr: "?"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := l.output(t.Context(), test.input, test.args...)
			if test.status == 0 {
				require.NoError(t, err)
			} else {
				require.Equal(t, statusError(test.status), err)
			}
			require.Equal(t, test.stdout, stdout)
			if test.stderr == "?" {
				require.NotEmpty(t, stderr)
			} else {
				require.Equal(t, test.stderr, stderr)
			}
		})
	}
	require.EqualValues(t, 1, l.sessions.Load())
}

func numbers(last int) string {
	var b strings.Builder
	for i := 1; i <= last; i++ {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

func TestCommandsInAShellRunSideBySideAndAreNotMixedUp(t *testing.T) {
	t.Parallel()
	l := newLocalShell(t)
	folder := t.TempDir()
	var group errgroup.Group
	const count = 20
	for i := range count {
		group.Go(func() error {
			// Each waits for the last, which would never begin if they took turns.
			script := `touch "$1/$2"; tries=2000; until [ -e "$1/$3" ] || [ $tries = 0 ]; do sleep 0.01; tries=$((tries - 1)); done
seq "$2" 5000; [ $tries != 0 ]`
			stdout, _, err := l.output(t.Context(), nil, "sh", "-c", script, "sh", folder, fmt.Sprint(i+1), fmt.Sprint(count))
			assert.Equal(t, numbers(5000)[len(numbers(i)):], stdout)
			return err
		})
	}
	require.NoError(t, group.Wait())
	require.EqualValues(t, 1, l.sessions.Load())
}

func TestACommandThatNobodyWaitsForIsLeftToItself(t *testing.T) {
	t.Parallel()
	l := newLocalShell(t)
	other := make(chan error, 1)
	folder := t.TempDir()
	go func() {
		_, _, err := l.output(t.Context(), nil, "sh", "-c", `until [ -e "$1" ]; do sleep 0.01; done`, "sh", folder+"/go")
		other <- err
	}()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("enough"))
	defer cancel()
	_, _, err := l.output(ctx, nil, "sleep", "5")
	require.EqualError(t, err, "enough")

	_, _, err = l.output(t.Context(), nil, "touch", folder+"/go")
	require.NoError(t, err)
	require.NoError(t, <-other, "that the one was given up is not the other's business")
	require.EqualValues(t, 2, l.sessions.Load(), "a shell may be why a command doesn't end in time")
}

func TestAShellThatEndedMakesWayForAnother(t *testing.T) {
	t.Parallel()
	l := newLocalShell(t)
	for range 3 {
		stdout, _, err := l.output(t.Context(), nil, "echo", "here")
		require.NoError(t, err)
		require.Equal(t, "here\n", stdout)
		l.kill(t)
	}
	require.GreaterOrEqual(t, l.sessions.Load(), int32(3))

	// What had begun may have done its work: it is not done twice.
	file := t.TempDir() + "/count"
	begun := make(chan error, 1)
	go func() {
		_, _, err := l.output(t.Context(), nil, "sh", "-c", `echo once >>"$1"; sleep 5`, "sh", file)
		begun <- err
	}()
	require.NoError(t, wait.Until(t.Context(), "it to begin", wait.Options{Limit: 10 * time.Second}, func(context.Context) error {
		_, err := os.Stat(file)
		return err
	}))
	l.kill(t)
	err := <-begun
	require.Error(t, err)
	require.NotErrorIs(t, err, errShellEnded)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "once\n", string(content))
}

func TestAShellThatCanNotStartSaysWhy(t *testing.T) {
	t.Parallel()
	l := &localShell{}
	l.start = func() (*stream, error) {
		run := func(_ context.Context, _ Command, _, stderr io.Writer) error {
			_, _ = io.WriteString(stderr, "Error response from daemon: container here is not running")
			return errors.New("exit status 1")
		}
		return (&Node{name: "here"}).attach(t.Context(), run, Command{Args: []string{"bash"}}, func(err error) error { return err })
	}
	_, _, err := l.output(t.Context(), nil, "true")
	require.ErrorContains(t, err, "container here is not running")
}

func TestInputThatIsTooMuchForAShellIsNotLost(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, inputLimit, inputLimit + 1, 3 * inputLimit} {
		text := strings.Repeat("x", size)
		all, more, err := readInput(strings.NewReader(text))
		require.NoError(t, err)
		require.Equal(t, size > inputLimit, more != nil)
		if more != nil {
			all, err = io.ReadAll(more)
			require.NoError(t, err)
		}
		require.Equal(t, text, string(all))
	}
	_, _, err := readInput(iotest.ErrReader(errors.New("broken")))
	require.Error(t, err)
}
