package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// replaceLimit is how long a replaced apiserver may take: the kubelet gives the old one 30 s to end, looks at its
// manifests every 20 s if it missed the change, and the new one needs a few seconds on an idle machine.
const replaceLimit = 3 * time.Minute

func verifyKubelets(ctx context.Context, target Target, node Node) error {
	ca, err := readIssuer(ctx, target)
	if err != nil {
		return err
	}
	manifest, file, err := readManifest(ctx, node)
	if err != nil {
		return err
	}
	if err := saveBaseline(ctx, node, manifestFile); err != nil {
		return err
	}
	manifest.SetFlag(kubeletCAFlag, bundleFile(ca))
	next, err := manifest.Bytes()
	if err != nil {
		return err
	}
	return replaceAPIServer(ctx, target, node, file, next)
}

// unverifyKubelets gives the flag back the value that it had before kubecomm, or none. Where that is so already, the
// apiserver is left alone.
func unverifyKubelets(ctx context.Context, target Target, node Node) error {
	_, file, err := readManifest(ctx, node)
	if err != nil {
		return err
	}
	original, err := readBaseline(ctx, node, manifestFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		original = file // never changed, or nothing is known of before
	case err != nil:
		return err
	}
	next, err := controlplane.Revert(original.Data, file.Data, apiserver, kubeletCAFlag)
	if err != nil {
		return fmt.Errorf("%s on node %s: %w", manifestFile, node.Name(), err)
	}
	manifest, err := controlplane.ParseManifest(next, apiserver)
	if err != nil {
		return fmt.Errorf("%s on node %s: %w", manifestFile, node.Name(), err)
	}
	want, _ := manifest.Flags().Get(kubeletCAFlag)
	if ours(want) {
		// Without an original of before, the manifest without our flag is the best there is; with the flag, the
		// apiserver could not start again once our files are gone.
		manifest.RemoveFlag(kubeletCAFlag)
		want = ""
		if next, err = manifest.Bytes(); err != nil {
			return err
		}
	}
	running, err := runningAPIServerFlags(ctx, node)
	if err != nil {
		return err
	}
	if got, _ := running.Get(kubeletCAFlag); got == want && bytes.Equal(next, file.Data) {
		return nil
	}
	return replaceAPIServer(ctx, target, node, file, next)
}

// replaceAPIServer exchanges the apiserver's manifest and waits until the new process runs with its flags, is ready and
// reaches every kubelet. If it doesn't, the previous manifest is put back, and the error holds the end of the new
// process's log. Until the new process is ready, this apiserver serves nobody.
func replaceAPIServer(ctx context.Context, target Target, node Node, previous cluster.File, next []byte) error {
	if err := putManifest(ctx, target, node, cluster.File{Data: next, Mode: previous.Mode}); err != nil {
		reason := fmt.Errorf("%w\nThe end of its log:\n%s", err, lastLog(ctx, node))
		// The way back must not be cut short by what ended the way there.
		undoCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replaceLimit)
		defer cancel()
		if err := putManifest(undoCtx, target, node, previous); err != nil {
			return fmt.Errorf("%w\nPutting back the previous manifest failed too: %w", reason, err)
		}
		return fmt.Errorf("%w\nThe previous manifest was put back, and the kube-apiserver works with it", reason)
	}
	return nil
}

func putManifest(ctx context.Context, target Target, node Node, file cluster.File) error {
	manifest, err := controlplane.ParseManifest(file.Data, apiserver)
	if err != nil {
		return err
	}
	want, wanted := manifest.Flags().Get(kubeletCAFlag)
	if err := installManifest(ctx, node, file); err != nil {
		return err
	}
	options := wait.Options{Limit: replaceLimit, Every: 500 * time.Millisecond}
	what := fmt.Sprintf("the replaced kube-apiserver on node %s", node.Name())
	err = wait.Until(ctx, what, options, func(ctx context.Context) error {
		flags, err := runningAPIServerFlags(ctx, node)
		if err != nil {
			return err
		}
		if got, given := flags.Get(kubeletCAFlag); got != want || given != wanted {
			return fmt.Errorf("it still runs with --%s=%q", kubeletCAFlag, got)
		}
		return checkReady(ctx, target, node)
	})
	if err != nil {
		return err
	}
	return wait.Until(ctx, what+" to reach every kubelet", wait.Options{Limit: time.Minute}, func(ctx context.Context) error {
		return checkReaches(ctx, target, node)
	})
}

// installScript renames a finished manifest into place, from a folder on the same file system that the kubelet does not
// read, and ends the old process without its 30 s of grace. Ending it only saves time: where that fails, the kubelet
// does it.
const installScript = `set -e
mv -f -- "$1" "$2"
id=$(crictl --timeout 30s ps --state Running --latest --quiet --name '^kube-apiserver$' \
  --label io.kubernetes.pod.namespace=kube-system) || exit 0
[ -z "$id" ] || crictl --timeout 30s stop --timeout 2 "$id" >/dev/null || exit 0`

func installManifest(ctx context.Context, node Node, file cluster.File) error {
	if err := node.WriteFile(ctx, manifestStaging, file); err != nil {
		return err
	}
	args := []string{"sh", "-c", installScript, "sh", manifestStaging, manifestFile}
	if _, err := node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("replacing %s on node %s: %w", manifestFile, node.Name(), err)
	}
	return nil
}
