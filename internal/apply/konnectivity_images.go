package apply

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

// loadKonnectivityImagesWork gives a node images from archives, where it lacks them.
type loadKonnectivityImagesWork struct{ job }

func (w *loadKonnectivityImagesWork) phases() []phase {
	return []phase{{"import the archives, where the node lacks an image", w.load}}
}

// lackingScript prints those of the images that the node's container runtime doesn't have.
const lackingScript = `for image; do
  crictl --timeout 30s inspecti --quiet "$image" >/dev/null 2>&1 || echo "$image"
done`

func (w *loadKonnectivityImagesWork) lacking(ctx context.Context, images ...string) ([]string, error) {
	output, err := w.node.Run(ctx, cluster.Command{Args: append([]string{"sh", "-c", lackingScript, "sh"}, images...)})
	if err != nil {
		return nil, fmt.Errorf("looking for images on node %s: %w", w.node.Name(), err)
	}
	return strings.Fields(string(output)), nil
}

func (w *loadKonnectivityImagesWork) load(ctx context.Context) error {
	minor, err := w.minorOf(ctx)
	if err != nil {
		return err
	}
	images := konnectivityOptions(w.options.Settings, minor).Images
	needed := []string{images.Agent}
	if w.node.Role() == cluster.ControlPlane {
		needed = append(needed, images.Server)
	}
	lacking, err := w.lacking(ctx, needed...)
	if err != nil || len(lacking) == 0 {
		return err
	}
	for _, archive := range w.options.Settings.Tunnel.ImageArchives {
		if err := w.importArchive(ctx, archive); err != nil {
			return err
		}
	}
	if lacking, err = w.lacking(ctx, needed...); err != nil {
		return err
	}
	if len(lacking) > 0 {
		slices.Sort(lacking)
		return fmt.Errorf("none of the archives %s has %s for node %s: add one that has, or name the image that they have",
			strings.Join(w.options.Settings.Tunnel.ImageArchives, ", "), strings.Join(lacking, ", "), w.node.Name())
	}
	return nil
}

// minorOf asks any control plane: the node need not be one.
func (w *loadKonnectivityImagesWork) minorOf(ctx context.Context) (uint, error) {
	asked := w.job
	asked.node = w.target.controlPlanes()[0]
	return asked.minor(ctx)
}

func (w *loadKonnectivityImagesWork) importArchive(ctx context.Context, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("reading an archive of images: %w", err)
	}
	defer func() { _ = file.Close() }()
	args := []string{"ctr", "--namespace", "k8s.io", "images", "import", "-"}
	if _, err := w.node.Run(ctx, cluster.Command{Args: args, Stdin: file}); err != nil {
		return fmt.Errorf("importing %s on node %s: %w", archive, w.node.Name(), err)
	}
	return nil
}

// undo leaves them: nothing runs with them, and the kubelet removes images that nothing uses when it needs the space.
func (w *loadKonnectivityImagesWork) undo(context.Context) error { return nil }
