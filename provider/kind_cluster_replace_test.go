package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/stretchr/testify/assert"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
)

func withImage(role cluster.Role, image string) nodeModel {
	node := newNodeModel(role)
	node.Image = types.StringValue(image)
	return node
}

func TestImportedNodesAreAdoptable(t *testing.T) {
	t.Parallel()
	plane, worker := newNodeModel(cluster.ControlPlane), newNodeModel(cluster.Worker)
	labelled := newNodeModel(cluster.Worker)
	labelled.Labels = types.MapValueMust(types.StringType, nil)
	for name, test := range map[string]struct {
		found, declared []nodeModel
		want            bool
	}{
		"the same roles":                    {[]nodeModel{plane, worker}, []nodeModel{plane, worker}, true},
		"the same roles in another order":   {[]nodeModel{plane, worker}, []nodeModel{worker, plane}, true},
		"more than was read":                {[]nodeModel{plane, worker}, []nodeModel{plane, labelled}, true},
		"a node that is missing":            {[]nodeModel{plane}, []nodeModel{plane, worker}, false},
		"a node too many":                   {[]nodeModel{plane, worker}, []nodeModel{plane}, false},
		"other roles":                       {[]nodeModel{plane, worker}, []nodeModel{plane, plane}, false},
		"the shared image, named":           {[]nodeModel{plane}, []nodeModel{withImage(cluster.ControlPlane, "node:v1")}, true},
		"another image than the shared one": {[]nodeModel{plane}, []nodeModel{withImage(cluster.ControlPlane, "node:v2")}, false},
		"an image of its own": {
			[]nodeModel{withImage(cluster.ControlPlane, "node:v2")}, []nodeModel{withImage(cluster.ControlPlane, "node:v2")}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, adoptable(test.found, test.declared, types.StringValue("node:v1")))
		})
	}
}

func TestSharedImage(t *testing.T) {
	t.Parallel()
	plain, own := newNodeModel(cluster.Worker), withImage(cluster.Worker, "own")
	for name, test := range map[string]struct {
		written types.String
		nodes   []nodeModel
		images  []string
		want    types.String
	}{
		"stays as it is written":                  {types.StringValue("node:v1"), []nodeModel{plain}, []string{"docker.io/node:v1"}, types.StringValue("node:v1")},
		"is the one that there is":                {types.StringValue("node:v1"), []nodeModel{plain}, []string{"node:v2"}, types.StringValue("node:v2")},
		"is the first node's after an import":     {types.StringNull(), []nodeModel{plain, plain}, []string{"node:v1", "node:v2"}, types.StringValue("node:v1")},
		"is not that of a node which has its own": {types.StringValue("node:v1"), []nodeModel{own}, []string{"own"}, types.StringValue("node:v1")},
		"stays if the engine doesn't tell":        {types.StringValue("node:v1"), []nodeModel{plain}, []string{""}, types.StringValue("node:v1")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, sharedImage(test.written, test.nodes, test.images))
		})
	}
}

func TestAttributePath(t *testing.T) {
	t.Parallel()
	assert.Equal(t, path.Root("nodes").AtListIndex(1).AtName("labels").AtMapKey("a"),
		attributePath(cluster.Path{"nodes", 1, "labels", cluster.Key("a")}))
}
