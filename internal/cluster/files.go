package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// File is the content and permissions of a file on a node.
type File struct {
	Data []byte
	Mode fs.FileMode
}

// readScript prints for each file its permissions in octal, its size, a newline, and its content; for a missing one a
// newline alone. What was opened is what is printed, also while another file is renamed into its place.
const readScript = `set -e
for file; do
  if [ ! -e "$file" ]; then echo; continue; fi
  exec 3<"$file"
  size=$(stat -L -c %s /dev/fd/3)
  echo "$(stat -L -c %a /dev/fd/3) $size"
  head -c "$size" <&3
  exec 3<&-
done`

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
	files, err := n.ReadFiles(ctx, path)
	if err != nil {
		return File{}, err
	}
	file, found := files[path]
	if !found {
		return File{}, fmt.Errorf("reading %s on node %s: %w", path, n.name, fs.ErrNotExist)
	}
	return file, nil
}

// ReadFiles returns those of the files that there are, by their paths, at the cost of one command.
func (n *Node) ReadFiles(ctx context.Context, paths ...string) (map[string]File, error) {
	output, err := n.Run(ctx, Command{Args: append([]string{"sh", "-c", readScript, "sh"}, paths...)})
	if err != nil {
		return nil, fmt.Errorf("reading %s on node %s: %w", strings.Join(paths, ", "), n.name, err)
	}
	files, err := parseFiles(output, paths)
	if err != nil {
		return nil, fmt.Errorf("reading %s on node %s: %w", strings.Join(paths, ", "), n.name, err)
	}
	return files, nil
}

// parseFiles takes apart what readScript prints. What it can't read is not shown: it may be a key.
func parseFiles(output []byte, paths []string) (map[string]File, error) {
	files := map[string]File{}
	for _, path := range paths {
		header, rest, found := bytes.Cut(output, []byte("\n"))
		if !found {
			return nil, fmt.Errorf("%s: %w", path, io.ErrUnexpectedEOF)
		}
		output = rest
		if len(header) == 0 {
			continue
		}
		var mode uint32
		var size int
		if _, err := fmt.Sscanf(string(header), "%o %d", &mode, &size); err != nil {
			return nil, fmt.Errorf("%s: its permissions and size came back otherwise than expected", path)
		}
		if size > len(output) {
			return nil, fmt.Errorf("%s: %w", path, io.ErrUnexpectedEOF)
		}
		files[path] = File{Data: output[:size:size], Mode: fs.FileMode(mode)}
		output = output[size:]
	}
	return files, nil
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
