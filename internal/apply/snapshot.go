package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// snapshot is a folder on a node with copies of files as they were at some time, each under its own path.
type snapshot string

const (
	// baseline holds what was there before kubecomm's first change.
	baseline snapshot = stateFolder + "/baseline"
	// checkpoint holds what was there before the apply that is under way.
	checkpoint snapshot = stateFolder + "/undo"
)

// absent ends the name of what says that there was no file. It is another in each snapshot, because the checkpoint holds
// copies of the baseline's, which must not be taken for its own.
func (s snapshot) absent() string {
	if s == checkpoint {
		return ".missing"
	}
	return ".absent"
}

// errNotSaved says that a file was never saved, so there is nothing to go back to.
var errNotSaved = errors.New("its original was never saved")

const notSavedStatus = 45

// saveScript copies files, once each, to the same path under the snapshot's folder; of a missing one it notes that it was
// missing. Copies are made on the node, so that keys don't leave it, and appear by rename, so that half a copy is never
// taken for an original.
const saveScript = `set -e
umask 077
save() {
  base=$1 absent=$2; shift 2
  for file; do
    copy=$base$file
    if [ -e "$copy" ] || [ -e "$copy$absent" ]; then continue; fi
    mkdir -p -- "$(dirname -- "$copy")"
    if [ -e "$file" ]; then
      cp -aL -- "$file" "$copy.new"
      sync -- "$copy.new"
      mv -f -- "$copy.new" "$copy"
    else
      : >"$copy$absent"
    fi
  done
}
`

// restoreScript puts files back with their owner, permissions and times. Those that are as they were stay, because a full
// disk may be why they are.
const restoreScript = `set -e
base=$1 absent=$2 new=; shift 2
trap '[ -z "$new" ] || rm -f -- "$new"' EXIT
looks() { stat --format '%F %a %u %g %Y' -- "$1"; }
for file; do
  copy=$base$file
  [ -e "$copy" ] || [ -e "$copy$absent" ] || exit 45
done
for file; do
  copy=$base$file
  if [ -e "$copy" ]; then
    if cmp -s -- "$copy" "$file" && [ "$(looks "$copy")" = "$(looks "$file")" ]; then continue; fi
    new=$(dirname -- "$file")/.kubecomm.restored
    cp -a -- "$copy" "$new"
    mv -f -- "$new" "$file"
  else
    rm -f -- "$file"
  fi
done`

// save keeps the files as they are now, unless they were kept before.
func (s snapshot) save(ctx context.Context, node Node, files ...string) error {
	args := append([]string{"sh", "-c", saveScript + `save "$@"`, "sh", string(s), s.absent()}, files...)
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("saving %v of node %s in %s: %w", files, node.Name(), s, err)
	}
	return nil
}

// restore puts files back as they were when they were saved. It returns errNotSaved, wrapped, and changes nothing if one
// of them never was.
func (s snapshot) restore(ctx context.Context, node Node, files ...string) error {
	args := append([]string{"sh", "-c", restoreScript, "sh", string(s), s.absent()}, files...)
	_, err := node.Run(ctx, cluster.Command{Args: args})
	if failure, ok := errors.AsType[*cluster.CommandError](err); ok && failure.Code == notSavedStatus {
		err = errNotSaved
	}
	if err != nil {
		return fmt.Errorf("putting back %v on node %s from %s: %w", files, node.Name(), s, err)
	}
	return nil
}

// read returns a saved file, or fs.ErrNotExist, wrapped, if it wasn't saved or wasn't there.
func (s snapshot) read(ctx context.Context, node Node, file string) (cluster.File, error) {
	return node.ReadFile(ctx, string(s)+file)
}

// keptFile is a file, and what it was before kubecomm's first change.
type keptFile struct {
	current  cluster.File
	original cluster.File // the current one, unless it was saved
	saved    bool
}

func readKept(ctx context.Context, node Node, path string) (keptFile, error) {
	files, err := readAllKept(ctx, node, path)
	return files[path], err
}

// readAllKept reads several files at once, by path.
func readAllKept(ctx context.Context, node Node, paths ...string) (map[string]keptFile, error) {
	var all []string
	for _, path := range paths {
		all = append(all, path, string(baseline)+path)
	}
	files, err := node.ReadFiles(ctx, all...)
	if err != nil {
		return nil, err
	}
	kept := map[string]keptFile{}
	for _, path := range paths {
		var file keptFile
		var found bool
		if file.current, found = files[path]; !found {
			return nil, fmt.Errorf("reading %s on node %s: %w", path, node.Name(), fs.ErrNotExist)
		}
		if file.original, file.saved = files[string(baseline)+path]; !file.saved {
			file.original = file.current
		}
		kept[path] = file
	}
	return kept, nil
}

// keep saves files that a step is about to change: what they are now, to undo the step, and as the baseline where they
// have none yet. Undone, that baseline goes too.
func keep(ctx context.Context, node Node, files ...string) error {
	script := saveScript + `checkpoint=$1 missing=$2 baseline=$3 never=$4; shift 4
for file; do save "$checkpoint" "$missing" "$baseline$file" "$baseline$file$never" "$file"; done
save "$baseline" "$never" "$@"`
	args := append([]string{
		"sh", "-c", script, "sh", string(checkpoint), checkpoint.absent(), string(baseline), baseline.absent(),
	}, files...)
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("keeping %v of node %s: %w", files, node.Name(), err)
	}
	return nil
}

// takeBack undoes keep and every change to the files since.
func takeBack(ctx context.Context, node Node, files ...string) error {
	var all []string
	for _, file := range files {
		// The baseline is given up last: a node that crashes meanwhile must not take a changed file for an original.
		all = append(all, file, string(baseline)+file, string(baseline)+file+baseline.absent())
	}
	return rollBack(ctx, node, all...)
}

// rollBack puts files back as they were when the checkpoint got them, which is not at all if the step didn't come that
// far.
func rollBack(ctx context.Context, node Node, files ...string) error {
	err := checkpoint.restore(ctx, node, files...)
	if errors.Is(err, errNotSaved) {
		return nil
	}
	return err
}
