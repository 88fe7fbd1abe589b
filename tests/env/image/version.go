package image

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Version is a version of Kubernetes.
type Version struct{ Major, MinorNumber, Patch int }

func (v Version) String() string { return fmt.Sprintf("v%d.%d.%d", v.Major, v.MinorNumber, v.Patch) }

// Minor returns the version without its patch level, as 1.37.
func (v Version) Minor() string { return fmt.Sprintf("%d.%d", v.Major, v.MinorNumber) }

// Compare orders versions, oldest first.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Major, o.Major), cmp.Compare(v.MinorNumber, o.MinorNumber), cmp.Compare(v.Patch, o.Patch))
}

var versionPattern = regexp.MustCompile(`^v(\d+)\.(\d+)\.(\d+)$`)

// ParseVersion reads a version as Kubernetes writes it, as v1.37.1.
func ParseVersion(s string) (Version, error) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return Version{}, fmt.Errorf("%q is not a version of Kubernetes such as v1.37.1", s)
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // the pattern has seen to it
	}
	return Version{n[0], n[1], n[2]}, nil
}

// SplitRef takes an image reference apart. A registry's port is no tag.
func SplitRef(ref string) (name, tag, digest string) {
	name, digest, _ = strings.Cut(ref, "@")
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		name, tag = name[:i], name[i+1:]
	}
	return name, tag, digest
}

var kubernetesRequirement = regexp.MustCompile(`(?m)^(?:require )?\s*k8s\.io/kubernetes (v\S+)`)

// Buildable returns the versions that sources/ pins.
func Buildable(source string) ([]Version, error) {
	files, err := filepath.Glob(filepath.Join(source, "sources", "kubernetes-*", "go.mod"))
	if err != nil {
		return nil, err
	}
	var found []Version
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		m := kubernetesRequirement.FindSubmatch(content)
		if m == nil {
			return nil, fmt.Errorf("%s does not require k8s.io/kubernetes", f)
		}
		v, err := ParseVersion(string(m[1]))
		if err != nil {
			return nil, err
		}
		found = append(found, v)
	}
	return found, nil
}
