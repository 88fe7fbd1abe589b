package controlplane

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/probe"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/server"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

const (
	metrics  = "/metrics"
	healthz  = "/healthz"
	profiles = "/debug/pprof/"
)

// rightLimit is longer than components remember that they refused something, which is 10 s.
const rightLimit = 20 * time.Second

// allowed makes an account that may read paths, and waits until every instance lets it read the first.
func (c component) allowed(ctx context.Context, s *suite.Subject, e *suite.Evidence, paths ...string) (suite.Account, error) {
	account, err := server.NewAccount(ctx, s, suite.ReadsPaths(paths...))
	if err != nil {
		return account, err
	}
	e.Note("%s may get %v, and nothing else", account.User, paths)
	return account, c.onEvery(ctx, s, func(i instance) error {
		what := paths[0] + " to be served to an account that may read it"
		return wait.Until(ctx, what, wait.Options{Limit: rightLimit, Every: time.Second}, func(ctx context.Context) error {
			_, err := probe.Expect(ctx, e, i.request(s, paths[0], account.Token), http.StatusOK, "")
			return err
		})
	})
}

func (c component) strangers() suite.Check {
	return suite.Check{
		ID:       area + c.id + "-strangers",
		Sentence: fmt.Sprintf("%s serves its metrics to who may read them, and not to a client without credentials", c.name),
		Answers:  []string{"N1", "N3"},
		Limit:    limit,
		Refusal:  "403 Forbidden of system:anonymous, or 401 Unauthorized",
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			_, err := c.allowed(ctx, s, e, metrics)
			return err
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return c.onEvery(ctx, s, func(i instance) error {
				answer, err := probe.Do(ctx, e, i.request(s, metrics, ""))
				if err == nil && !slices.Contains([]int{http.StatusForbidden, http.StatusUnauthorized}, answer.Status) {
					err = fmt.Errorf("it answered %s to a client without credentials", answer)
				}
				return err
			})
		},
	}
}

func (c component) plain() suite.Check {
	const refusal = "Client sent an HTTP request to an HTTPS server." // as Go's net/http words it
	return suite.Check{
		ID:       area + c.id + "-no-plain-http",
		Sentence: fmt.Sprintf("%s answers nothing over plain HTTP", c.name),
		Answers:  []string{"N1"},
		Refusal:  refusal,
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return c.onEvery(ctx, s, func(i instance) error {
				_, err := probe.Expect(ctx, e, i.request(s, healthz, ""), http.StatusOK, "ok")
				return err
			})
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return c.onEvery(ctx, s, func(i instance) error {
				request := i.request(s, healthz, "")
				request.URL = fmt.Sprintf("http://127.0.0.1:%d%s", i.port, healthz)
				_, err := probe.Expect(ctx, e, request, http.StatusBadRequest, refusal)
				return err
			})
		},
	}
}

// loopback dials from another node, which only the container engine can do.
func (c component) loopback() suite.Check {
	const refusal = "Connection refused" // as bash words it, by which nodes dial
	return suite.Check{
		ID:       area + c.id + "-loopback-only",
		Sentence: fmt.Sprintf("%s can't be reached from other nodes", c.name),
		Answers:  []string{"N1", c.bindCIS},
		Refusal:  refusal,
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return apiserver().onEvery(ctx, s, func(i instance) error { return i.dial(ctx, s, e) })
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			checked := 0
			err := c.onEvery(ctx, s, func(i instance) error {
				flags, err := s.Flags(ctx, i.node, c.name)
				if err != nil {
					return err
				}
				address, _ := flags.Get("bind-address")
				if !s.Expect.Is(c.group+".bind_address", "127.0.0.1") && address != "127.0.0.1" {
					e.Unsafe("%s listens at %q, and it isn't declared to be 127.0.0.1", i, address)
					return nil
				}
				checked++
				return probe.Refused(i.dial(ctx, s, e), refusal)
			})
			if err == nil && checked == 0 {
				return suite.Skip("no %s listens at 127.0.0.1 alone, and none is declared to", c.name)
			}
			return err
		},
	}
}

// dial connects to an instance's port from another node, at the address of the instance's node.
func (i instance) dial(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	k := slices.IndexFunc(s.Nodes, func(node suite.Node) bool { return node.Name != i.node.Name })
	if k < 0 {
		return suite.Skip("the cluster has one node only")
	}
	from, err := s.Inside(s.Nodes[k])
	if err != nil {
		return err
	}
	address := net.JoinHostPort(i.node.Addresses[0], fmt.Sprint(i.port))
	conn, err := from.Dial(ctx, address)
	if err != nil {
		e.Note("node %s dials %s of %s: %v", from.Name(), address, i, err)
		return err
	}
	e.Note("node %s dials %s of %s: connected", from.Name(), address, i)
	return conn.Close()
}

func (c component) profiling() suite.Check {
	var account suite.Account
	return suite.Check{
		ID:       area + c.id + "-profiling",
		Sentence: fmt.Sprintf("%s serves no profiles of itself, not even to who may read them", c.name),
		Answers:  []string{"N1", c.profilingCIS},
		Limit:    limit,
		Refusal:  "404 Not Found",
		Control: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) (err error) {
			if name := c.group + ".profiling"; !s.Expect.Is(name, "false") {
				return suite.Skip("%s isn't declared to be false, and Kubernetes' default is true", name)
			}
			account, err = c.allowed(ctx, s, e, metrics, profiles)
			return err
		},
		Try: func(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
			return c.onEvery(ctx, s, func(i instance) error {
				_, err := probe.Expect(ctx, e, i.request(s, profiles, account.Token), http.StatusNotFound, "")
				return err
			})
		},
	}
}
