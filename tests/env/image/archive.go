package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Spec is a container image to be written without an engine.
type Spec struct {
	Ref        string
	Entrypoint []string
	Cmd        []string
	Env        []string
	WorkingDir string
	Labels     map[string]string
	// Layers are tar files, lowest first.
	Layers []string
}

type imageConfig struct {
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Created      time.Time `json:"created"`
	Config       struct {
		Entrypoint []string          `json:",omitempty"`
		Cmd        []string          `json:",omitempty"`
		Env        []string          `json:",omitempty"`
		WorkingDir string            `json:",omitempty"`
		Labels     map[string]string `json:",omitempty"`
	} `json:"config"`
	RootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// WriteArchive writes images as one archive that `docker load` and `ctr images
// import` read (moby image/spec v1.2: manifest.json names configurations and
// layers). A layer that several images share is written once.
func WriteArchive(w io.Writer, arch string, specs []Spec) error {
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	out := tar.NewWriter(w)
	written := map[string]string{} // layer's file → digest
	var manifest []entry
	for _, s := range specs {
		var c imageConfig
		c.Architecture, c.OS, c.RootFS.Type = arch, "linux", "layers"
		c.Config.Entrypoint, c.Config.Cmd, c.Config.Env, c.Config.WorkingDir, c.Config.Labels = s.Entrypoint, s.Cmd, s.Env, s.WorkingDir, s.Labels
		e := entry{RepoTags: []string{s.Ref}}
		for _, layer := range s.Layers {
			sum, ok := written[layer]
			if !ok {
				var err error
				if sum, err = digest(layer); err != nil {
					return err
				}
				written[layer] = sum
				if err := addFile(out, sum+"/layer.tar", layer); err != nil {
					return err
				}
			}
			c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, "sha256:"+sum)
			e.Layers = append(e.Layers, sum+"/layer.tar")
		}
		config, err := json.Marshal(c)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(config)
		e.Config = hex.EncodeToString(sum[:]) + ".json"
		if err := addBytes(out, e.Config, config, 0o644); err != nil {
			return err
		}
		manifest = append(manifest, e)
	}
	index, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	if err := addBytes(out, "manifest.json", index, 0o644); err != nil {
		return err
	}
	return out.Close()
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// addFile adds a file of this machine to a tar stream, as root's and with a
// fixed time, so that the same content gives the same digest.
func addFile(out *tar.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: int64(info.Mode().Perm())}
	if err := out.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	_, err = io.Copy(out, f)
	return err
}

func addBytes(out *tar.Writer, name string, content []byte, mode int64) error {
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: mode}); err != nil {
		return err
	}
	_, err := out.Write(content)
	return err
}

func addDir(out *tar.Writer, name string, mode int64) error {
	return out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode})
}

func addLink(out *tar.Writer, name, target string) error {
	return out.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777})
}

// writeLayer writes files, by their path in the image, to a tar file.
func writeLayer(path string, files map[string]string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := tar.NewWriter(f)
	for _, name := range sortedKeys(files) {
		if err := addFile(out, name, files[name]); err != nil {
			return fmt.Errorf("layer %s: %w", filepath.Base(path), err)
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	return f.Close()
}
