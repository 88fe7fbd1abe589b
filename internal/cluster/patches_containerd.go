package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	toml "github.com/pelletier/go-toml"
)

// containerdVersions are those of containerd's configuration file in node images: 2 up to containerd 1.7, 3 since 2.0.
var containerdVersions = []int64{2, 3}

// containerdProblems checks TOML patches with the library that kind reads them with. One that names a version other
// than the node's is skipped in silence. A patch for each version is kind's documented way to serve both, so only one
// of them needs to be the node's (v0.33.0, pkg/internal/patch/toml.go).
func containerdProblems(at Path, patches []string, images []imageFacts) []Problem {
	var problems []Problem
	versions := make([]int64, len(patches)) // 0 for a patch that names none
	for i, raw := range patches {
		tree, err := toml.Load(raw)
		if err != nil {
			problems = append(problems, Problem{at.at(i), fmt.Sprintf("The patch is not valid TOML: %s.", err)})
			continue
		}
		version, ok := tree.Get("version").(int64)
		if tree.Has("version") && !ok {
			problems = append(problems, Problem{at.at(i), "The version in the patch is not a number, such as `version = 3`."})
			continue
		}
		versions[i] = version
	}
	for i, version := range versions {
		if version == 0 {
			continue
		}
		for _, image := range images {
			if possible := image.containerdVersions(); !slices.Contains(possible, version) &&
				!slices.ContainsFunc(possible, func(other int64) bool { return slices.Contains(versions, other) }) {
				problems = append(problems, Problem{at.at(i), noEffect("The patch", fmt.Sprintf("it is for version %d of "+
					"containerd's configuration, and the node image's is %s", version, listVersions(possible)))})
				break
			}
		}
	}
	return problems
}

func listVersions(versions []int64) string {
	text := make([]string, len(versions))
	for i, version := range versions {
		text[i] = strconv.FormatInt(version, 10)
	}
	return strings.Join(text, " or ")
}

func containerdJSONProblems(at Path, patches []string) []Problem {
	var problems []Problem
	for i, raw := range patches {
		for _, reason := range operationProblems(raw) {
			problems = append(problems, Problem{at.at(i), reason})
		}
	}
	return problems
}
