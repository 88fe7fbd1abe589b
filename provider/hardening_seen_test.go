package provider

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
)

func TestAnObservationIsPlannedWithOnceAndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s seen
		found := apply.Observation{Nodes: []apply.NodeObservation{{Name: "dev-control-plane"}}}
		_, kept := s.take("dev")
		assert.False(t, kept, "none was made")

		s.keep("dev", found)
		_, kept = s.take("another")
		assert.False(t, kept, "it is of another cluster")
		again, kept := s.take("dev")
		assert.True(t, kept)
		assert.Equal(t, found, again)
		_, kept = s.take("dev")
		assert.False(t, kept, "it was taken before")

		s.keep("dev", found)
		s.forget("dev")
		_, kept = s.take("dev")
		assert.False(t, kept, "the cluster was changed since")

		s.keep("dev", found)
		time.Sleep(seenLimit)
		_, kept = s.take("dev")
		assert.False(t, kept, "it is too old")
	})
}
