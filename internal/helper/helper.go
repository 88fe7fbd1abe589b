// Package helper carries the program that kubecomm runs on nodes, for each architecture that the provider was built with.
package helper

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

//go:embed binaries
var embedded embed.FS

// ErrNotCarried says that the provider was built without the program.
var ErrNotCarried = errors.New("this build of the provider carries no program to run on nodes: build it with `make build`, " +
	"not with `go build`")

// Program is the program for one architecture.
type Program struct {
	Data   []byte
	SHA256 string // in hexadecimal
}

// Programs are those that a provider carries.
type Programs struct {
	files fs.FS
	mu    sync.Mutex
	held  map[string]Program // by architecture
}

// Carried are those that were built into this provider.
var Carried = sync.OnceValue(func() *Programs {
	files, _ := fs.Sub(embedded, "binaries") // it is there, or Go would not have embedded it
	return newPrograms(files)
})

func newPrograms(files fs.FS) *Programs { return &Programs{files: files, held: map[string]Program{}} }

// Any reports whether there is a program for any architecture.
func (p *Programs) Any() bool {
	found, _ := fs.Glob(p.files, "*.gz")
	return len(found) > 0
}

// For returns the program for an architecture by Go's name for it. It returns ErrNotCarried, wrapped, if there is none.
func (p *Programs) For(architecture string) (Program, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if program, held := p.held[architecture]; held {
		return program, nil
	}
	data, err := p.read("kubecomm-node-linux-" + architecture + ".gz")
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotCarried
	}
	if err != nil {
		return Program{}, fmt.Errorf("the program for nodes of architecture %s: %w", architecture, err)
	}
	digest := sha256.Sum256(data)
	p.held[architecture] = Program{Data: data, SHA256: hex.EncodeToString(digest[:])}
	return p.held[architecture], nil
}

func (p *Programs) read(name string) ([]byte, error) {
	compressed, err := fs.ReadFile(p.files, name)
	if err != nil {
		return nil, err
	}
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}
