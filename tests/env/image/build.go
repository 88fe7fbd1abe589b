package image

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/command"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/report"
)

// Builder builds images from source.
type Builder struct {
	Runner command.Runner
	Log    *report.Log
	Cache  Cache
	// Source is the folder of this program, with sources/, programs/ and files/.
	Source string

	once     sync.Once
	compiler string
	err      error
}

// compilerVersion is a part of every key of compiled pieces.
func (b *Builder) compilerVersion(ctx context.Context) (string, error) {
	b.once.Do(func() { b.compiler, b.err = command.Output(ctx, b.Runner, "go", "version") })
	return b.compiler, b.err
}

// part builds a nested module and returns the folder of its programs.
func (b *Builder) part(ctx context.Context, p goPart) (string, error) {
	compiler, err := b.compilerVersion(ctx)
	if err != nil {
		return "", err
	}
	key, err := p.key(b.Source, compiler)
	if err != nil {
		return "", err
	}
	return b.piece(ctx, "go-"+p.name, key, "build "+p.name, func(ctx context.Context, dir string) error {
		return p.build(ctx, b.Runner, b.Source, dir)
	})
}

// own builds this repository's own programs.
func (b *Builder) own(ctx context.Context) (string, error) {
	key, err := b.ownKey()
	if err != nil {
		return "", err
	}
	return b.piece(ctx, "own", key, "build "+strings.Join(ownPrograms, ", "), func(ctx context.Context, dir string) error {
		return buildOwn(ctx, b.Runner, b.Source, dir)
	})
}

func (b *Builder) ownKey() (string, error) {
	compiler, err := b.compilerVersion(context.Background())
	if err != nil {
		return "", err
	}
	var dirs []string
	for _, name := range ownPrograms {
		dirs = append(dirs, filepath.Join(b.Source, "programs", name))
	}
	tree, err := treeHash(dirs...)
	return Key(tree, compiler), err
}

// root makes Debian's part.
func (b *Builder) root(ctx context.Context) (string, error) {
	return b.piece(ctx, "root", rootKey(), "Debian "+suite+" root file system", func(ctx context.Context, dir string) error {
		return buildRoot(ctx, b.Runner, dir)
	})
}

// HasBuilt reports whether this machine has ever built an image: none is built
// without the root file system.
func (b *Builder) HasBuilt() bool {
	found, _ := filepath.Glob(filepath.Join(b.Cache.Dir, "root-*"))
	return len(found) > 0
}

// rootRecipe changes when prepareRoot or the closures do, which the lists in
// the key do not show.
const rootRecipe = "1"

func rootKey() string {
	all := [][]string{{rootRecipe, suite}, rootPackages, networkTools, shellTools, unwanted, enabled}
	var parts []string
	for _, list := range all {
		parts = append(parts, strings.Join(list, "\n"))
	}
	return Key(parts...)
}

// piece returns a cached piece; only work that is really done is reported.
func (b *Builder) piece(ctx context.Context, name, key, title string, build func(context.Context, string) error) (string, error) {
	if b.Cache.Has(name, key) {
		dir, _, err := b.Cache.Piece(ctx, name, key, build)
		return dir, err
	}
	var dir string
	err := b.Log.Step(ctx, title, func(ctx context.Context) (string, error) {
		unlock, err := b.Cache.Lock(ctx, b.Log, name)
		if err != nil {
			return "", err
		}
		defer unlock()
		dir, _, err = b.Cache.Piece(ctx, name, key, build)
		if err != nil {
			err = &report.Problem{
				Attempted: "to " + title + " from source",
				Remedy:    "make sure that Go modules and Debian packages can be downloaded and that " + b.Cache.Dir + " has 6 GB free, then run this again: finished parts are kept",
				Err:       err,
			}
		}
		return "", err
	})
	return dir, err
}

// pieces are the folders that images are put together from.
type pieces struct {
	root, own string
	parts     map[string]string
}

// gather builds all that is missing. Debian's packages come over the network
// while Go compiles; Go's parts follow one another, because each keeps every
// core busy, and the next is downloaded meanwhile.
func (b *Builder) gather(ctx context.Context, v Version, newest Version) (pieces, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := pieces{parts: map[string]string{}}
	list := append([]goPart{kubernetesPart(v), agnhostPart(newest)}, goParts...)
	var wg sync.WaitGroup
	var rootErr, goErr error
	wg.Go(func() {
		if p.root, rootErr = b.root(ctx); rootErr != nil {
			cancel()
		}
	})
	wg.Go(func() { b.prefetch(ctx, list) })
	wg.Go(func() {
		for _, part := range list {
			var dir string
			if dir, goErr = b.part(ctx, part); goErr != nil {
				cancel()
				return
			}
			p.parts[part.name] = dir
		}
		p.own, goErr = b.own(ctx)
	})
	wg.Wait()
	return p, errors.Join(rootErr, goErr)
}

func (b *Builder) prefetch(ctx context.Context, list []goPart) {
	compiler, err := b.compilerVersion(ctx)
	if err != nil {
		return
	}
	for _, p := range list {
		if key, err := p.key(b.Source, compiler); err == nil && !b.Cache.Has("go-"+p.name, key) && ctx.Err() == nil {
			p.fetch(ctx, b.Runner, b.Source)
		}
	}
}
