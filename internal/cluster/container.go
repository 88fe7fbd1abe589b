package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Container is how the engine sees a node.
type Container struct {
	Image string // as it was named when the node was created, "" if the engine doesn't tell
	State string // such as "running", "exited" or "paused"
}

// Running says whether commands can be run in the container.
func (c Container) Running() bool { return c.State == "running" }

// inspected is the part of an engine's description of a container that all engines share.
type inspected struct {
	Name   string
	State  struct{ Status string }
	Config struct{ Image string }
}

// Containers returns how the engine sees each node of a cluster, by the node's name.
func (e *Engine) Containers(ctx context.Context, c *Cluster) (map[string]Container, error) {
	if len(c.nodes) == 0 {
		return nil, nil
	}
	args := []string{"inspect", "--type=container"}
	for _, node := range c.nodes {
		args = append(args, node.name)
	}
	output, err := e.command(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("inspecting the nodes of cluster %s: %w", c.name, err)
	}
	var all []inspected
	if err := json.Unmarshal([]byte(output), &all); err != nil {
		return nil, fmt.Errorf("inspecting the nodes of cluster %s: %w", c.name, err)
	}
	containers := map[string]Container{}
	for _, one := range all {
		// Docker writes names with a slash in front.
		containers[strings.TrimPrefix(one.Name, "/")] = Container{State: one.State.Status, Image: one.Config.Image}
	}
	for _, node := range c.nodes {
		if _, found := containers[node.name]; !found {
			return nil, fmt.Errorf("inspecting the nodes of cluster %s: the engine said nothing of %s", c.name, node.name)
		}
	}
	return containers, nil
}
