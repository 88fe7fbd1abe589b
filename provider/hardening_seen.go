package provider

import (
	"sync"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/apply"
)

// seenLimit is how old an observation may be to be planned with: Terraform refreshes a resource and plans it in one go.
const seenLimit = 5 * time.Second

// seen are the observations that refreshes have just made, by cluster, so that the plans that follow need not look again.
type seen struct {
	mu   sync.Mutex
	last map[string]sighting
}

type sighting struct {
	observation apply.Observation
	at          time.Time
}

func (s *seen) keep(cluster string, observation apply.Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = map[string]sighting{}
	}
	s.last[cluster] = sighting{observation, time.Now()}
}

// take returns an observation once: who asks again wants to know what has become of the cluster.
func (s *seen) take(cluster string) (apply.Observation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, kept := s.last[cluster]
	delete(s.last, cluster)
	return found.observation, kept && time.Since(found.at) < seenLimit
}

// forget is called by whoever changes a cluster.
func (s *seen) forget(cluster string) { s.take(cluster) }
