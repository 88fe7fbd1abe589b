package apply

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/helper"
)

// The program that kubecomm runs on nodes, for whatever it is needed there.
const (
	programFolder = "/opt/kubecomm"
	programFile   = programFolder + "/kubecomm-node"
	programMode   = 0o755
	unitFolder    = "/etc/systemd/system/"
)

// architectures are Go's names for those that `uname --machine` tells of.
var architectures = map[string]string{"x86_64": "amd64", "aarch64": "arm64"}

// service is how a node is to run the program for one purpose.
type service struct {
	unit   string // of systemd's
	socket string // the unit that listens in its place; empty if none does
	state  string // the folder of its own, under /var/lib/private; empty if it has none
	// files are what it needs that hold no secret, by where they go. The program is among them, unless that isn't known.
	files   map[string]cluster.File
	secrets []string // files that do, and of which it can't be known what they should be
	pending []string // files that are there only while one of the secrets is exchanged
	folders []string // of its own, which go with it
	account string   // the service account that it asks the API as; empty if it doesn't
	token   string   // where the account's first token is, which is one of the secrets
	// reloaded are those of all files that it takes up while it runs.
	reloaded []string
}

// take adds the program for a machine, unless this build of the provider carries none for it: then it can't be judged.
func (s service) take(machine string) error {
	program, err := helper.Carried().For(architectures[machine])
	if errors.Is(err, helper.ErrNotCarried) {
		return nil
	}
	s.files[programFile] = cluster.File{Data: program.Data, Mode: programMode}
	return err
}

// carried returns helper.ErrNotCarried, wrapped, if the program isn't among its files.
func (s service) carried(node Node) error {
	if _, carried := s.files[programFile]; !carried {
		return fmt.Errorf("node %s: %w", node.Name(), helper.ErrNotCarried)
	}
	return nil
}

// paths are where all its files go, in order.
func (s service) paths() []string {
	paths := append(slices.Collect(maps.Keys(s.files)), s.secrets...)
	if !slices.Contains(paths, programFile) {
		paths = append(paths, programFile)
	}
	slices.Sort(paths)
	return paths
}

// ownPaths are where its files go that no other service shares with it.
func (s service) ownPaths() []string {
	return slices.DeleteFunc(s.paths(), func(path string) bool { return path == programFile })
}

// serviceFound is how it was found.
type serviceFound struct {
	properties map[string]string
	files      map[string]foundFile
}

// foundFile is one of its files.
type foundFile struct {
	mode    uint32
	changed int64 // in seconds since 1970
	digest  string
}

// serviceScript prints what systemd says of a service and its socket, how the program is called that runs, and of each file
// that there is its digest and when it was changed.
const serviceScript = `unit=$1 socket=$2; shift 2
systemctl show --timestamp=unix "$unit" \
  --property ActiveState,UnitFileState,DropInPaths,NeedDaemonReload,MainPID,ExecMainStartTimestamp
[ -z "$socket" ] ||
  systemctl show "$socket" --property ActiveState,UnitFileState,DropInPaths,NeedDaemonReload | sed 's/^/socket./'
pid=$(systemctl show --property MainPID --value "$unit")
echo "runs=$(readlink "/proc/$pid/exe")"
for file; do
  [ ! -f "$file" ] || echo "file $(stat -L -c '%a %Y' -- "$file") $(sha256sum <"$file" | cut -d ' ' -f 1) $file"
done`

// machineOf is what the node is, as `uname --machine` tells.
func machineOf(ctx context.Context, node Node) (string, error) {
	output, err := node.Run(ctx, cluster.Command{Args: []string{"uname", "--machine"}})
	return strings.TrimSpace(string(output)), err
}

func findService(ctx context.Context, node Node, s service) (serviceFound, error) {
	args := append([]string{"sh", "-c", serviceScript, "sh", s.unit, s.socket}, s.paths()...)
	output, err := node.Run(ctx, cluster.Command{Args: args})
	var found serviceFound
	if err == nil {
		found, err = parseService(string(output))
	}
	if err != nil {
		return found, fmt.Errorf("looking at %s on node %s: %w", s.unit, node.Name(), err)
	}
	return found, nil
}

func parseService(output string) (serviceFound, error) {
	found := serviceFound{map[string]string{}, map[string]foundFile{}}
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		if text, isFile := strings.CutPrefix(line, "file "); isFile {
			var file foundFile
			var path string
			if _, err := fmt.Sscanf(text, "%o %d %s %s", &file.mode, &file.changed, &file.digest, &path); err != nil {
				return found, fmt.Errorf("%q: %w", line, err)
			}
			found.files[path] = file
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		found.properties[name] = value
	}
	return found, nil
}

// present reports whether there is anything of it that isn't shared.
func (f serviceFound) present() bool {
	for path := range f.files {
		if path != programFile {
			return true
		}
	}
	return false
}

// same reports whether a file is there as it is to be.
func (f serviceFound) same(path string, want cluster.File) bool {
	found, there := f.files[path]
	digest := sha256.Sum256(want.Data)
	return there && found.digest == hex.EncodeToString(digest[:]) && found.mode == uint32(want.Mode.Perm())
}

// problem says why it isn't as it was installed; nil if it is.
func (s service) problem(found serviceFound) error {
	if !found.present() {
		return errors.New("it isn't installed")
	}
	if err := s.fileProblem(found); err != nil {
		return err
	}
	return s.unitProblem(found)
}

func (s service) fileProblem(found serviceFound) error {
	for _, path := range s.paths() {
		file, there := found.files[path]
		want, known := s.files[path]
		mode := want.Mode.Perm()
		if slices.Contains(s.secrets, path) {
			mode = privateMode
		}
		digest := sha256.Sum256(want.Data)
		switch {
		case !there:
			return fmt.Errorf("%s is missing", path)
		case known && file.digest != hex.EncodeToString(digest[:]):
			return fmt.Errorf("%s is another than what it should be", path)
		case mode != 0 && file.mode != uint32(mode):
			return fmt.Errorf("%s has permissions %o, not %o", path, file.mode, mode)
		}
	}
	return nil
}

func (s service) unitProblem(found serviceFound) error {
	var start int64
	_, _ = fmt.Sscanf(found.properties["ExecMainStartTimestamp"], "@%d", &start) // none where it never ran
	units := []string{""}
	if s.socket != "" {
		units = append(units, "socket.")
	}
	for _, unit := range units {
		called := map[string]string{"": "unit", "socket.": "socket"}[unit]
		switch state := func(property string) string { return found.properties[unit+property] }; {
		case state("DropInPaths") != "":
			return fmt.Errorf("its %s is changed by %s", called, state("DropInPaths"))
		case state("NeedDaemonReload") == "yes":
			return fmt.Errorf("its %s was changed after systemd had read it", called)
		case state("UnitFileState") != "enabled":
			return fmt.Errorf("its %s is %s, so that it won't start with the node", called, state("UnitFileState"))
		case state("ActiveState") != "active":
			return fmt.Errorf("it doesn't work: its %s is %s", called, state("ActiveState"))
		}
	}
	if runs := found.properties["runs"]; runs != programFile {
		return fmt.Errorf("it runs %s", runs)
	}
	for _, path := range s.paths() {
		if !slices.Contains(s.reloaded, path) && found.files[path].changed > start {
			return fmt.Errorf("%s was changed after it started", path)
		}
	}
	return nil
}

// outdated reports whether it must be started anew to be as it is to be, and not only told to take files up.
func (s service) outdated(found serviceFound) bool {
	if s.unitProblem(found) != nil {
		return true
	}
	for _, path := range s.paths() {
		want, known := s.files[path]
		_, there := found.files[path]
		if !slices.Contains(s.reloaded, path) && (!there || known && !found.same(path, want)) {
			return true
		}
	}
	return false
}

// write puts those files in place that aren't, the program first. What is as it should be keeps its time, lest another
// service look as if it had to be started anew.
func (s service) write(ctx context.Context, node Node, found serviceFound) error {
	// Who runs the program isn't root, to whom alone a folder that is made with a file would belong.
	args := []string{"sh", "-c", `umask 022 && mkdir -p -- "$1" && chmod 0755 -- "$1"`, "sh", programFolder}
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("making %s on node %s: %w", programFolder, node.Name(), err)
	}
	for _, path := range append([]string{programFile}, s.ownPaths()...) {
		want, known := s.files[path]
		if !known || found.same(path, want) {
			continue
		}
		if err := node.WriteFile(ctx, path, want); err != nil {
			return err
		}
	}
	return nil
}

// startScript lets systemd find the units as they are now, and doesn't wait for the service: how it goes is seen by who waits.
// What comes in the meantime waits at a socket that is there already.
const startScript = `unit=$1 socket=$2
systemctl daemon-reload || exit
if [ -n "$socket" ]; then
  systemctl --quiet enable "$socket" && systemctl start "$socket" || exit
fi
systemctl --quiet enable "$unit" && systemctl --no-block restart "$unit"`

// start starts it, or starts it anew.
func (s service) start(ctx context.Context, node Node) error {
	args := []string{"sh", "-c", startScript, "sh", s.unit, s.socket}
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("starting %s on node %s: %w\nThe end of its log:\n%s", s.unit, node.Name(), err,
			unitLog(ctx, node, cmp.Or(s.socket, s.unit)))
	}
	return nil
}

// stopListening ends a socket that isn't as its unit says any more, and with it the service that has it.
func (s service) stopListening(ctx context.Context, node Node) error {
	args := []string{"sh", "-c", `systemctl daemon-reload && systemctl stop "$@"`, "sh", s.socket, s.unit}
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("stopping %s on node %s: %w", s.socket, node.Name(), err)
	}
	return nil
}

// reload has it take up those of its files that it can while it runs, and returns when it has.
func (s service) reload(ctx context.Context, node Node) error {
	if _, err := node.Run(ctx, cluster.Command{Args: []string{"systemctl", "reload", s.unit}}); err != nil {
		return fmt.Errorf("having %s on node %s take its files up: %w\nThe end of its log:\n%s", s.unit, node.Name(), err,
			unitLog(ctx, node, s.unit))
	}
	return nil
}

// removeServiceScript stops a service and removes all that it ever had. The program goes with the last that runs it.
const removeServiceScript = `unit=$1 socket=$2 state=$3 program=$4; shift 4
systemctl --quiet disable --now $socket "$unit" 2>/dev/null
[ -z "$state" ] || rm -rf -- "/var/lib/$state" "/var/lib/private/$state" || exit
rm -rf -- "$@" || exit
rmdir -- /run/kubecomm 2>/dev/null
systemctl daemon-reload
systemctl reset-failed $socket "$unit" 2>/dev/null
grep --quiet --no-messages --fixed-strings -e "$program" /etc/systemd/system/kubecomm-*.service || {
  rm -f -- "$program" || exit
  rmdir -- "$(dirname -- "$program")" 2>/dev/null
}
:` // what can't be removed is somebody else's by now

// remove ends a service, and removes what it has besides its files as well.
func (s service) remove(ctx context.Context, node Node) error {
	args := []string{"sh", "-c", removeServiceScript, "sh", s.unit, s.socket, s.state, programFile}
	args = slices.Concat(args, s.ownPaths(), s.folders)
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("removing %s from node %s: %w", s.unit, node.Name(), err)
	}
	return nil
}

// unitLog returns the end of a unit's log, as good as it can be had: it explains another error.
func unitLog(ctx context.Context, node Node, unit string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
	defer cancel()
	output, err := node.Run(ctx, cluster.Command{Args: []string{"journalctl", "--unit", unit, "--lines", "15", "--output", "cat"}})
	if err != nil {
		return "(its log could not be read: " + err.Error() + ")"
	}
	return strings.TrimSpace(string(output))
}
