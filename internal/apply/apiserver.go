package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// apiserverWork gives a control plane's apiserver the declared flags, all of them by one swap.
type apiserverWork struct {
	job
	swap   swap
	bundle []byte // that kubelets are to be verified by; nil if none
}

func (w *apiserverWork) phases() []phase {
	return append([]phase{{"keep the manifest", w.prepare}, {"write the files that it names", w.writeDocuments}}, w.swap.phases()...)
}

func (w *apiserverWork) prepare(ctx context.Context) error {
	declared, err := w.declared(ctx)
	if err != nil {
		return err
	}
	previous, next, err := rebaseManifest(ctx, w.job, settings.APIServer, declared)
	if err != nil {
		return err
	}
	return w.swap.between(w.job, previous, next)
}

// writeDocuments writes the declared files, each under a name of its own: what runs goes on with its former ones. Those that
// nothing names any more are removed in the end, see finish.
func (w *apiserverWork) writeDocuments(ctx context.Context) error {
	if w.restore {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	if w.bundle != nil {
		group.Go(func() error { return writeBundle(ctx, w.node, w.bundle) })
	}
	for _, document := range w.options.Settings.Documents {
		group.Go(func() error {
			return w.node.WriteFile(ctx, documentFile(document), cluster.File{Data: document.Data, Mode: documentMode})
		})
	}
	return group.Wait()
}

// documentMode is for files that nobody but apiservers and kubelets reads, which run as root.
const documentMode = 0o600

// rebaseManifest keeps a component's manifest, and returns it with the one that has what is declared.
func rebaseManifest(
	ctx context.Context, j job, component settings.Component, declared controlplane.Flags,
) (previous, next cluster.File, err error) {
	desired := func(found *ComponentObservation) controlplane.Flags { return desiredFlags(component, found, declared) }
	managed := managedFlags(component, j.observed.component(component), declared)
	return rebaseFlags(ctx, j, component, managed, desired)
}

// rebaseFlags does the same with all of the managed flags that are desired.
func rebaseFlags(
	ctx context.Context, j job, component settings.Component, managed []string,
	desire func(*ComponentObservation) controlplane.Flags,
) (previous, next cluster.File, err error) {
	node, path := j.node, manifestOf(component)
	file, err := readKept(ctx, node, path)
	if err != nil {
		return previous, next, err
	}
	found := j.observed.component(component)
	later := !file.saved && found != nil && found.Baseline != nil
	if later {
		data := file.current.Data
		file.original.Data, err = controlplane.Rebase(data, data, string(component), managed, found.Baseline)
		if err != nil {
			return previous, next, fmt.Errorf("%s on node %s: %w", path, node.Name(), err)
		}
		file.saved = true
	}
	observed, err := observeManifest(node, component, file)
	if err != nil {
		return previous, next, err
	}
	data, err := controlplane.Rebase(
		file.original.Data, file.current.Data, string(component), managed, desire(&observed))
	if err != nil {
		return previous, next, fmt.Errorf("%s on node %s: %w", path, node.Name(), err)
	}
	next = cluster.File{Data: data, Mode: file.current.Mode}
	if later {
		return file.current, next, keepOriginal(ctx, node, path, file.original)
	}
	return file.current, next, keep(ctx, node, path)
}

// declared are the flags that are wanted; in a restore, none.
func (w *apiserverWork) declared(ctx context.Context) (controlplane.Flags, error) {
	want := w.options.Settings
	switch {
	case w.restore:
		return nil, nil
	case !want.VerifyKubelets:
		return declaredFlags(want, settings.APIServer, nil), nil
	}
	trusted, err := trustedCAs(ctx, w.job)
	if err != nil {
		return nil, err
	}
	w.bundle = pki.EncodeBundle(trusted...)
	return declaredFlags(want, settings.APIServer, w.bundle), nil
}

// undo ends a swap that is under way, and goes back by another if one was finished. What it goes back to need not be what
// was there before the apply: where an earlier step replaced the apiserver too, its own undo does the rest.
func (w *apiserverWork) undo(ctx context.Context) error {
	kept, err := checkpoint.read(ctx, w.node, manifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := abandon(ctx, w.target, w.node); err != nil {
		return err
	}
	current, err := w.node.ReadFile(ctx, manifestFile)
	if err != nil {
		return err
	}
	previous := w.swap.previous
	if previous.Data == nil { // it didn't come that far
		previous = current
	}
	if string(current.Data) != string(previous.Data) {
		var back swap
		if err := back.between(w.job, current, previous); err != nil {
			return err
		}
		for _, phase := range back.phases() {
			if err := phase.do(ctx); err != nil {
				return fmt.Errorf("%s: %w", phase.name, err)
			}
		}
	}
	if string(previous.Data) != string(kept.Data) {
		return nil
	}
	return takeBack(ctx, w.node, manifestFile)
}

// removeFilesWork ends what kubecomm has on a node.
type removeFilesWork struct{ job }

func (w removeFilesWork) phases() []phase { return []phase{{"remove the files", w.remove}} }

// remove leaves the journal to who writes it. With the files of the first control plane goes what is kept in the API.
func (w removeFilesWork) remove(ctx context.Context) error {
	if w.node.Name() == w.target.controlPlanes()[0].Name() {
		joins := joinsWork{job: w.job}
		if err := joins.try(ctx, removeBaseline); err != nil {
			return err
		}
	}
	script := `rm -rf -- "$1"; [ ! -e "$2" ] || find "$2" -mindepth 1 ! -path "$3" -delete; rmdir -- "$2" 2>/dev/null || :`
	args := []string{"sh", "-c", script, "sh", pkiFolder, stateFolder, journalFile}
	if _, err := w.node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("removing %s and %s from node %s: %w", pkiFolder, stateFolder, w.node.Name(), err)
	}
	return nil
}

func (removeFilesWork) undo(context.Context) error {
	return errors.New("what was removed can't be brought back")
}
