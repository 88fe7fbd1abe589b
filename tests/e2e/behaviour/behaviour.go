// Package behaviour shows what each setting changes: the same client asks the same question of a cluster with and without
// it, and gets different answers. What a process was told is another test's matter.
package behaviour

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// State is how the cluster is set up when it is asked.
type State string

// The states, which a cluster goes through in this order. None is what a user should have: each has some settings as they
// should be and others as they should not, so that whoever refuses a client can only be the one that is asked about.
const (
	// Before is a cluster as kubeadm makes it, but for the worker's kubelet, which is configured by hand as badly as
	// kubecomm never would.
	Before State = "before kubecomm"
	// First is after a first apply. Apiservers let everyone do everything, and servers refuse old versions of TLS.
	First State = "after the first apply"
	// Second is after a second apply. Servers accept old versions of TLS again, but not all that these can do.
	Second State = "after the second apply"
	// Third is after a third apply, which changes nothing else than who decides what clients may do.
	Third State = "after the third apply"
)

// States lists them.
func States() []State { return []State{Before, First, Second, Third} }

// Values are what a setting is set to in each state; in Before by hand. No value is for none, but in Third for the same as
// in Second.
type Values map[State]settings.Value

// In returns the value in a state.
func (v Values) In(state State) settings.Value {
	if _, given := v[state]; !given && state == Third {
		state = Second
	}
	return v[state]
}

// Answers are what a client should be told in each state. In one that is missing, it isn't asked.
type Answers map[State]string

// Pair shows what one setting changes.
type Pair struct {
	Setting string // its name
	Shows   string // what changes, as a sentence
	Values  Values
	Called  string // what the values are, where they are too long to read
	Answers Answers

	ask func(context.Context, *Lab) (string, error)
}

// Pairs lists all of them.
func Pairs() []Pair {
	return slices.Concat(
		anonymousPairs(), issuerPairs(), authorizationPairs(), authorizerPairs(), clientCAPairs(), admissionPairs(), tokenPairs(), requestPairs(), kubeletPairs(), rotationPairs(), serverPairs(),
		tlsPairs(),
	)
}

// Unshown says why no client can tell that a setting is set.
func Unshown() map[string]string {
	return map[string]string{
		// The field is defaulted and validated, and read nowhere (Kubernetes v1.34.4 to v1.37.1, pkg/kubelet and cmd/kubelet).
		"kubelet.streaming_idle_timeout": "no kubelet of Kubernetes 1.34 to 1.37 heeds it",
		settings.NameTunnelMode:          "what clients are told is the same; that it takes another way, a test of its own shows",
	}
}

// answerLimit leaves time for caches: an authenticator keeps a token for 10 s, a kubelet a refusal for 30 s.
const answerLimit = time.Minute

// Show asks, until the answer is the right one. Its error holds the last answer.
func (p Pair) Show(ctx context.Context, lab *Lab, state State) error {
	what := fmt.Sprintf("%s: %s, %s", p.Setting, p.Shows, state)
	return wait.Until(ctx, what, wait.Options{Limit: answerLimit}, func(ctx context.Context) error {
		answer, err := p.ask(ctx, lab)
		if err == nil && answer != p.Answers[state] {
			err = fmt.Errorf("the answer is %q, not %q", answer, p.Answers[state])
		}
		return err
	})
}
