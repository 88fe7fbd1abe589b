package apply

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/wait"
)

// sshLimit is how long an end of a tunnel may take until it is as it is to be, and connected.
const sshLimit = 60 * time.Second

// lookAround observes what the ends of SSH tunnels are made of, on every node.
func (j job) lookAround(ctx context.Context) (Observation, error) {
	o := Observation{Nodes: make([]NodeObservation, len(j.target.Nodes))}
	admin, err := j.target.Admin(ctx)
	if err != nil {
		return o, err
	}
	o.ClusterCA = admin.CAData
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		node := j.node
		if node.Role() != cluster.ControlPlane {
			node = j.target.controlPlanes()[0]
		}
		return withAPI(ctx, j.target, node, func(client apiClient) (err error) {
			o.PodCIDRs, err = podCIDRs(ctx, client)
			return err
		})
	})
	for i, node := range j.target.Nodes {
		observed := &o.Nodes[i]
		*observed = NodeObservation{Name: node.Name(), Role: node.Role(), Addresses: node.Addresses()}
		group.Go(func() (err error) { observed.SSH, observed.Machine, err = observeSSH(ctx, node); return err })
		if node.Role() == cluster.ControlPlane {
			group.Go(func() error {
				running, err := runningComponents(ctx, node, settings.APIServer)
				observed.APIServer = &APIServerObservation{ComponentObservation: ComponentObservation{Running: running[settings.APIServer]}}
				return err
			})
		}
	}
	return o, group.Wait()
}

// makeSSHKeysWork gives a node the keys that it lacks. What takes the place of another waits beside it.
type makeSSHKeysWork struct{ job }

func (w *makeSSHKeysWork) phases() []phase {
	return []phase{{"keep what is there", w.keep}, {"make the keys", w.make}}
}

// sshKeys are the files that they may be in.
func sshKeys() []string {
	return []string{ssh.ServerKey, nextKey(ssh.ServerKey), ssh.ProxyKey, nextKey(ssh.ProxyKey)}
}

func (w *makeSSHKeysWork) keep(ctx context.Context) error {
	return checkpoint.save(ctx, w.node, sshKeys()...)
}

func (w *makeSSHKeysWork) make(ctx context.Context) error {
	found, _, err := observeSSH(ctx, w.node)
	if err != nil {
		return err
	}
	generation := w.options.Settings.Tunnel.SSH.KeyGeneration
	if err := w.makeOne(ctx, ssh.ServerKey, found.Server.Key, keyProblem(found.Server, generation)); err != nil {
		return err
	}
	if w.node.Role() != cluster.ControlPlane {
		return nil
	}
	return w.makeOne(ctx, ssh.ProxyKey, found.Proxy.Key, keyProblem(found.Proxy, generation))
}

func (w *makeSSHKeysWork) makeOne(ctx context.Context, file string, current SSHKey, problem string) error {
	if problem == "" {
		return nil
	}
	if current.Line != "" {
		file = nextKey(file)
	}
	key, _, err := ssh.NewKey(w.options.Settings.Tunnel.SSH.KeyGeneration)
	if err != nil {
		return err
	}
	return w.node.WriteFile(ctx, file, cluster.File{Data: key.Reveal(), Mode: privateMode})
}

func (w *makeSSHKeysWork) undo(ctx context.Context) error { return rollBack(ctx, w.node, sshKeys()...) }

// sshEndWork puts one end of a tunnel on a node, or gives one that is there what it lacks.
type sshEndWork struct {
	job
	end sshEnd

	around  Observation
	wanted  service
	restart bool
	socket  bool // it is to be made anew
	reload  bool
}

// sshEnd is what the two ends differ in.
type sshEnd struct {
	service func() service // with nothing in the files that depend on the node
	key     string         // its file
	wanted  func(Observation, NodeObservation, uint16) service
	found   func(NodeObservation) serviceFound
	// known reports whether all that it meets know the key that is to take the place of its own.
	known   func(Observation, NodeObservation) bool
	problem func(Observation, NodeObservation, uint16) error
	// behind reports whether what runs isn't what its files say.
	behind func(NodeObservation) bool
	// refresh looks at it again.
	refresh func(context.Context, Node, *NodeObservation) error
	// token tells whether it needs another.
	token func(NodeObservation) bool
}

func serverEnd() sshEnd {
	return sshEnd{
		service: sshServer, key: ssh.ServerKey,
		wanted:  Observation.serverOf,
		found:   func(node NodeObservation) serviceFound { return node.SSH.Server.found },
		known:   Observation.hostKeyKnown,
		problem: Observation.serverProblem,
		behind:  func(node NodeObservation) bool { return node.SSH.Server.behind("host key", serverTook) != nil },
		refresh: func(ctx context.Context, node Node, observed *NodeObservation) (err error) {
			observed.SSH.Server, err = observeSSHServer(ctx, node)
			return err
		},
		token: func(NodeObservation) bool { return false },
	}
}

func proxyEnd() sshEnd {
	return sshEnd{
		service: sshProxy, key: ssh.ProxyKey,
		wanted:  Observation.proxyOf,
		found:   func(node NodeObservation) serviceFound { return node.SSH.Proxy.found },
		known:   Observation.clientKeyKnown,
		problem: Observation.proxyProblem,
		behind:  func(node NodeObservation) bool { return node.SSH.Proxy.behind("key", proxyTook) != nil },
		refresh: func(ctx context.Context, node Node, observed *NodeObservation) (err error) {
			observed.SSH.Proxy, err = observeSSHProxy(ctx, node)
			return err
		},
		token: func(node NodeObservation) bool {
			end := node.SSH.Proxy
			return end.found.files[ssh.ProxyToken].digest == "" || end.Status == nil || !end.Status.FromAPI || end.Status.APIError != ""
		},
	}
}

// hostKeyKnown reports whether every proxy takes a node by the host key that is to come.
func (o Observation) hostKeyKnown(node NodeObservation) bool {
	return !slices.ContainsFunc(o.controlPlanes(), func(each NodeObservation) bool {
		end := each.SSH.Proxy
		config, err := ssh.ParseProxyConfig(end.Config)
		if err != nil || end.Status == nil || end.Status.Config != ssh.Digest(end.Config) {
			return true
		}
		return !slices.ContainsFunc(config.Nodes, func(peer ssh.Node) bool {
			return peer.Name == node.Name && slices.Contains(peer.HostKeys, node.SSH.Server.Next.Line)
		})
	})
}

// clientKeyKnown reports whether every server lets a control plane in by the key that is to come.
func (o Observation) clientKeyKnown(node NodeObservation) bool {
	next := node.SSH.Proxy.Next.Fingerprint()
	return !slices.ContainsFunc(o.Nodes, func(each NodeObservation) bool {
		status := each.SSH.Server.Status
		return status == nil || !slices.Contains(status.Authorized[node.Name], next)
	})
}

func (w *sshEndWork) phases() []phase {
	return []phase{
		{"keep what is there", w.keep},
		{"write the program and what it needs", w.write},
		{"start it, or have it take up what is new", w.start},
		{"see that it works", w.verify},
	}
}

func (w *sshEndWork) keep(ctx context.Context) error {
	return w.end.service().keep(ctx, w.node)
}

func (w *sshEndWork) port() uint16 { return sshPort(w.options.Settings) }

// now is how the node was found.
func (w *sshEndWork) now() *NodeObservation {
	i := slices.IndexFunc(w.around.Nodes, func(each NodeObservation) bool { return each.Name == w.node.Name() })
	return &w.around.Nodes[i]
}

func (w *sshEndWork) write(ctx context.Context) error {
	var err error
	if w.around, err = w.lookAround(ctx); err != nil {
		return err
	}
	if err := checkPort(w.around, w.port()); err != nil {
		return err
	}
	if err := w.takeKey(ctx); err != nil {
		return err
	}
	node := *w.now()
	found := w.end.found(node)
	w.wanted = w.end.wanted(w.around, node, w.port())
	if err := w.wanted.take(node.Machine); err != nil {
		return err
	}
	if err := w.wanted.carried(w.node); err != nil {
		return err
	}
	w.socket = !found.same(unitFolder+w.wanted.socket, w.wanted.files[unitFolder+w.wanted.socket])
	w.restart = w.socket || w.wanted.outdated(found)
	if w.end.token(node) {
		token, err := w.requestToken(ctx, w.wanted.account)
		if err != nil {
			return err
		}
		w.restart = true
		if err := w.wanted.writeToken(ctx, w.node, token); err != nil {
			return err
		}
	}
	if err := w.wanted.write(ctx, w.node, found); err != nil {
		return err
	}
	// Whoever changed a key's permissions, and nothing else, has it put right.
	args := append([]string{"chmod", fmt.Sprintf("%o", privateMode), "--"}, w.wanted.secrets...)
	if _, err := w.node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("protecting the keys of node %s: %w", w.node.Name(), err)
	}
	if err := w.end.refresh(ctx, w.node, w.now()); err != nil {
		return err
	}
	w.reload = w.end.behind(*w.now())
	return nil
}

// takeKey has a key take the place of another once all that meet it know it.
func (w *sshEndWork) takeKey(ctx context.Context) error {
	node := *w.now()
	next := node.SSH.Server.Next
	if w.end.key == ssh.ProxyKey {
		next = node.SSH.Proxy.Next
	}
	if next.Line == "" || !w.end.known(w.around, node) {
		return nil
	}
	args := []string{"mv", "-f", "--", nextKey(w.end.key), w.end.key}
	if _, err := w.node.Run(ctx, cluster.Command{Args: args}); err != nil {
		return fmt.Errorf("taking the new key of node %s: %w", w.node.Name(), err)
	}
	return w.end.refresh(ctx, w.node, w.now())
}

func (w *sshEndWork) start(ctx context.Context) error {
	if w.socket {
		if err := w.wanted.stopListening(ctx, w.node); err != nil {
			return err
		}
	}
	switch {
	case w.restart:
		return w.wanted.start(ctx, w.node)
	case w.reload:
		return w.wanted.reload(ctx, w.node)
	}
	return nil
}

func (w *sshEndWork) verify(ctx context.Context) error {
	what := fmt.Sprintf("%s on node %s to work", w.wanted.unit, w.node.Name())
	err := wait.Until(ctx, what, wait.Options{Limit: sshLimit}, func(ctx context.Context) error {
		if err := w.end.refresh(ctx, w.node, w.now()); err != nil {
			return err
		}
		return w.end.problem(w.around, *w.now(), w.port())
	})
	if err != nil {
		err = fmt.Errorf("%w\nThe end of its log:\n%s", err, unitLog(ctx, w.node, w.wanted.unit))
	}
	return err
}

func (w *sshEndWork) undo(ctx context.Context) error { return w.end.service().bringBack(ctx, w.job) }
