package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
)

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
	return swapAPIServer(ctx, target, node, file, next)
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
	running, err := runningAPIServerFlags(ctx, node, apiserver)
	if err != nil {
		return err
	}
	if got, _ := running.Get(kubeletCAFlag); got == want && bytes.Equal(next, file.Data) {
		return nil
	}
	return swapAPIServer(ctx, target, node, file, next)
}
