package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
)

// File is the content and permissions of a file on a node.
type File struct {
	Data []byte
	Mode fs.FileMode
}

const absentStatus = 44

// readScript prints the file's permissions in octal, a newline, and its content.
const readScript = `[ -e "$1" ] || exit 44; stat -L -c %a -- "$1" && exec cat -- "$1"`

// writeScript fills a temporary file beside the target, checks that all of it arrived, and renames it, so that nobody
// sees half a file. Its name begins with a dot because the kubelet takes every other file in its manifests folder for
// a pod (Kubernetes v1.37.1, pkg/kubelet/config/file.go).
const writeScript = `set -e
umask 077
folder=$(dirname -- "$1")
mkdir -p -- "$folder"
new=$(mktemp -- "$folder/.kubecomm.XXXXXXXX")
trap 'rm -f -- "$new"' EXIT
cat >"$new"
[ "$(stat -c %s -- "$new")" = "$3" ] || { echo "only part of the file arrived" >&2; exit 1; }
chmod "$2" -- "$new"
sync -- "$new"
mv -f -- "$new" "$1"`

// ReadFile returns a file of the node. A missing one is fs.ErrNotExist.
func (n *Node) ReadFile(ctx context.Context, path string) (File, error) {
	output, err := n.Run(ctx, Command{Args: []string{"sh", "-c", readScript, "sh", path}})
	if err != nil {
		var failure *CommandError
		if errors.As(err, &failure) && failure.Code == absentStatus {
			err = fs.ErrNotExist
		}
		return File{}, fmt.Errorf("reading %s on node %s: %w", path, n.name, err)
	}
	mode, data, found := bytes.Cut(output, []byte("\n"))
	bits, err := strconv.ParseUint(string(mode), 8, 32)
	if !found || err != nil {
		return File{}, fmt.Errorf("reading %s on node %s: its permissions came back as %q", path, n.name, mode)
	}
	return File{Data: data, Mode: fs.FileMode(bits)}, nil
}

// WriteFile replaces a file of the node in one step, folders included (0700). Content travels by standard input, so
// that no key shows in a process list.
func (n *Node) WriteFile(ctx context.Context, path string, file File) error {
	args := []string{
		"sh", "-c", writeScript, "sh", path,
		strconv.FormatUint(uint64(file.Mode.Perm()), 8), strconv.Itoa(len(file.Data)),
	}
	if _, err := n.Run(ctx, Command{Args: args, Stdin: bytes.NewReader(file.Data)}); err != nil {
		return fmt.Errorf("writing %s on node %s: %w", path, n.name, err)
	}
	return nil
}

// Remove deletes a file or a folder with everything in it; a missing one is no error.
func (n *Node) Remove(ctx context.Context, path string) error {
	if _, err := n.Run(ctx, Command{Args: []string{"rm", "-rf", "--", path}}); err != nil {
		return fmt.Errorf("removing %s on node %s: %w", path, n.name, err)
	}
	return nil
}
