package main

import (
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/env/image"
)

// choose returns the versions that are asked for, oldest first and each once; without any, all that can be built.
func choose(asked []string, buildable []image.Version) ([]image.Version, error) {
	var chosen []image.Version
	for _, text := range asked {
		version, err := image.ParseVersion("v" + strings.TrimPrefix(text, "v"))
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, version)
	}
	if len(asked) == 0 {
		chosen = slices.Clone(buildable)
	}
	slices.SortFunc(chosen, image.Version.Compare)
	return slices.Compact(chosen), nil
}
