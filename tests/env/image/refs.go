package image

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// Constants of kind that its library does not export: its default node image
// and the image of its load balancer.
var (
	defaultNodePattern = regexp.MustCompile(`(?m)^const Image = "([^"]+)"`)
	defaultNodeFile    = "pkg/apis/config/defaults/image.go"
	balancerFile       = "pkg/cluster/internal/loadbalancer/const.go"
)

func constant(kindDir, file string) (string, error) {
	b, err := os.ReadFile(filepath.Join(kindDir, file))
	if err != nil {
		return "", err
	}
	m := defaultNodePattern.FindSubmatch(b)
	if m == nil {
		return "", fmt.Errorf("no image in kind's %s", file)
	}
	return string(m[1]), nil
}

// nodeRefs returns the acceptable node images, and the version that a build
// would be of.
func (o Options) nodeRefs(kindDir string) (refs []string, v, newest Version, err error) {
	buildable, err := Buildable(o.Source)
	if err != nil {
		return nil, v, newest, err
	}
	newest = slices.MaxFunc(buildable, Version.Compare)
	preferred := o.Node
	if preferred == "" {
		if preferred, err = constant(kindDir, defaultNodeFile); err != nil {
			return nil, v, newest, err
		}
	}
	refs = []string{preferred}
	name, tag, digest := SplitRef(preferred)
	v, parseErr := ParseVersion(tag)
	for _, b := range buildable {
		switch {
		case o.Node == "" && b.Minor() == v.Minor():
			// kind's default may be an older patch level than the source here.
			if ref := name + ":" + b.String(); ref != preferred {
				refs = append(refs, ref)
			}
			return refs, b, newest, nil
		case b == v && digest != "":
			return append(refs, name+":"+tag), v, newest, nil
		case b == v:
			return refs, v, newest, nil
		}
	}
	_ = parseErr // an image that can not be built may still be there, or pulled
	return refs, Version{}, newest, nil
}
