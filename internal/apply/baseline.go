package apply

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// errNoBaseline says that a file was never saved, so there is nothing to go back to.
var errNoBaseline = errors.New("its original was never saved")

const noBaselineStatus = 45

// saveScript copies files, once each, to the same path under the baseline folder; of a missing one it notes that it was
// missing. Copies are made on the node, so that keys don't leave it, and appear by rename, so that half a copy is never
// taken for an original.
const saveScript = `set -e
umask 077
base=$1; shift
for file; do
  copy=$base$file
  if [ -e "$copy" ] || [ -e "$copy.absent" ]; then continue; fi
  mkdir -p -- "$(dirname -- "$copy")"
  if [ -e "$file" ]; then
    cp -aL -- "$file" "$copy.new"
    sync -- "$copy.new"
    mv -f -- "$copy.new" "$copy"
  else
    : >"$copy.absent"
  fi
done`

// restoreScript puts files back with their owner, permissions and times.
const restoreScript = `set -e
base=$1; shift
for file; do
  copy=$base$file
  [ -e "$copy" ] || [ -e "$copy.absent" ] || exit 45
done
for file; do
  copy=$base$file
  if [ -e "$copy" ]; then
    new=$(dirname -- "$file")/.kubecomm.restored
    cp -a -- "$copy" "$new"
    mv -f -- "$new" "$file"
  else
    rm -f -- "$file"
  fi
done`

// saveBaseline keeps the files as they are now, unless they were kept before: what counts as the original is what was
// there before kubecomm's first change.
func saveBaseline(ctx context.Context, node Node, files ...string) error {
	args := append([]string{"sh", "-c", saveScript, "sh", baselineFolder}, files...)
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("saving the originals of %v on node %s: %w", files, node.Name(), err)
	}
	return nil
}

// restoreBaseline puts files back as they were when they were saved. It returns errNoBaseline, wrapped, and changes
// nothing if one of them never was.
func restoreBaseline(ctx context.Context, node Node, files ...string) error {
	args := append([]string{"sh", "-c", restoreScript, "sh", baselineFolder}, files...)
	_, err := node.Run(ctx, cluster.Command{Args: args})
	var failure *cluster.CommandError
	if errors.As(err, &failure) && failure.Code == noBaselineStatus {
		err = errNoBaseline
	}
	if err != nil {
		return fmt.Errorf("putting back %v on node %s: %w", files, node.Name(), err)
	}
	return nil
}

// readBaseline returns a saved original.
func readBaseline(ctx context.Context, node Node, file string) (cluster.File, error) {
	return node.ReadFile(ctx, baselineFolder+file)
}
