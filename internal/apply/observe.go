package apply

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/controlplane"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/kubelet"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// issuerFiles is what a control plane holds of the issuer. The key is known by its digest alone, so that looking at a
// cluster moves no key.
type issuerFiles struct {
	certificate *x509.Certificate
	keyDigest   string
	own         []*x509.Certificate // the chain of a CA of the user's own, which is in place of the others
}

func (f issuerFiles) complete() bool {
	return f.own != nil || f.certificate != nil && f.keyDigest != ""
}

// issuer is the certificate of the CA that counts.
func (f issuerFiles) issuer() *x509.Certificate {
	if f.own != nil {
		return f.own[0]
	}
	return f.certificate
}

func (f issuerFiles) equal(other issuerFiles) bool {
	if !f.complete() || !other.complete() {
		return false
	}
	if f.own != nil || other.own != nil {
		return f.certificate == nil && f.keyDigest == "" && sameChain(f.own, other.own)
	}
	return f.certificate.Equal(other.certificate) && f.keyDigest == other.keyDigest
}

// Observe looks at what runs on every node, the apiservers' processes and the certificates that kubelets serve, and at
// what nodes will get that join later. Without a working API, that alone is left open. Its errors wrap ErrNodeDown, or
// ErrAPIUnavailable where no apiserver runs on a control plane, because then nothing can be said about how it verifies
// kubelets.
func Observe(ctx context.Context, target Target, now time.Time) (Observation, error) {
	if err := target.check(); err != nil {
		return Observation{}, err
	}
	observation := Observation{Time: now, Nodes: make([]NodeObservation, len(target.Nodes))}
	issuers := make([]issuerFiles, len(target.controlPlanes()))

	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return observeAPI(groupCtx, target, &observation) })
	group.Go(func() error {
		observation.Admin = observeAdmin(groupCtx, target)
		admin, err := target.Admin(groupCtx)
		if err == nil {
			observation.ClusterCA = admin.CAData
		}
		return err
	})
	for i, node := range target.Nodes {
		observed := &observation.Nodes[i]
		*observed = NodeObservation{Name: node.Name(), Role: node.Role(), Addresses: node.Addresses()}
		group.Go(func() error { return observeKubelet(groupCtx, target, node, observed) })
		group.Go(func() error {
			observed.Kubeconfigs = observeKubeconfigs(groupCtx, node)
			return nil
		})
		group.Go(func() (err error) {
			observed.SSH, observed.Machine, err = observeSSH(groupCtx, node)
			if err == nil && node.Role() == cluster.ControlPlane {
				observed.Approver, err = observeApprover(groupCtx, target, node, observed.Machine)
			}
			return err
		})
		if node.Role() != cluster.ControlPlane {
			continue
		}
		group.Go(func() (err error) {
			if err = observeComponents(groupCtx, node, observed); err != nil {
				return err
			}
			if observed.APIServer.Client, err = observeClient(groupCtx, node, observed.APIServer.Running, now); err != nil {
				return err
			}
			observed.APIServer.Trust, err = observeTrust(groupCtx, node, observed.APIServer.Running)
			return err
		})
		group.Go(func() (err error) { issuers[i], err = observeIssuer(groupCtx, node); return err })
		group.Go(func() (err error) {
			observed.KonnectivityServer, err = observeKonnectivityServer(groupCtx, node)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Observation{}, fmt.Errorf("observing cluster %s: %w", target.Name, err)
	}
	observation.fillBaselines()
	return judge(observation, issuers), nil
}

// judge compares what the nodes hold with each other: which issuer counts, and who agrees with it.
func judge(observation Observation, issuers []issuerFiles) Observation {
	var issuer issuerFiles
	for _, files := range issuers {
		if files.complete() {
			issuer = files
			break
		}
	}
	observation.Issuer, observation.Own = issuer.issuer(), issuer.own
	var roots []*x509.Certificate
	if observation.Issuer != nil {
		roots = append(roots, observation.Issuer)
	}
	for i := range issuers {
		observation.Nodes[i].APIServer.IssuerCurrent = issuers[i].equal(issuer)
	}
	for i := range observation.Nodes {
		serving := &observation.Nodes[i].Serving
		if serving.Problem == nil {
			serving.Problem = pki.VerifyServing(serving.Chain, roots, serving.Dialled.Addr(), observation.Time)
		}
	}
	return observation
}

// observeAPI asks one control plane after the other, until one answers.
func observeAPI(ctx context.Context, target Target, observation *Observation) error {
	var problems error
	for _, node := range target.controlPlanes() {
		var found texts
		var later []string
		err := withAPI(ctx, target, node, func(client apiClient) (err error) {
			if found, later, err = readJoins(ctx, client); err != nil {
				return err
			}
			if observation.Minor, err = readMinor(client); err != nil {
				return err
			}
			observation.Policy = observePolicy(ctx, client)
			observation.ApproverAccess = observeAccount(ctx, client, approverObjects())
			observation.Konnectivity = observeKonnectivity(ctx, client, target)
			observation.ProxyAccess = observeAccount(ctx, client, proxyObjects())
			if observation.PodCIDRs, err = podCIDRs(ctx, client); err != nil {
				return err
			}
			return nil
		})
		if err == nil {
			observation.Joins, err = parseDocuments(found)
			observation.Joins.Later = later
			return err
		}
		problems = errors.Join(problems, fmt.Errorf("the apiserver on node %s: %w", node.Name(), err))
	}
	observation.Joins = JoinsObservation{Problem: problems}
	return nil
}

// observeKubelet looks at a kubelet's files, and asks it what it serves and runs with.
func observeKubelet(ctx context.Context, target Target, node Node, observed *NodeObservation) error {
	config, process, err := readKubelet(ctx, node)
	if err != nil {
		return err
	}
	if observed.Serving, err = servingOf(node, config.current, process); err != nil {
		return err
	}
	observed.Kubelet.Stale = process.stale
	if observed.Kubelet.File, err = kubelet.ParseFields(config.current.Data); err != nil {
		return fmt.Errorf("%s on node %s: %w", kubelet.ConfigFile, node.Name(), err)
	}
	if config.saved {
		if observed.Kubelet.Baseline, err = kubelet.ParseFields(config.original.Data); err != nil {
			return fmt.Errorf("the original %s of node %s: %w", kubelet.ConfigFile, node.Name(), err)
		}
	}
	answer := askSettledKubelet(ctx, target, observed.Serving.Dialled)
	observed.Serving.Chain, observed.Serving.Problem = answer.chain, answer.chainProblem
	observed.Kubelet.Running, observed.Kubelet.Problem = answer.config, answer.configProblem
	return observed.Kubelet.readDocuments(ctx, node)
}

func readKubelet(ctx context.Context, node Node) (keptFile, kubeletProcess, error) {
	var config keptFile
	var process kubeletProcess
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { config, err = readKept(ctx, node, kubelet.ConfigFile); return err })
	group.Go(func() (err error) { process, err = runningKubelet(ctx, node); return err })
	err := group.Wait()
	return config, process, err
}

// servingOf finds out which certificate files the kubelet serves from, and where it listens.
func servingOf(node Node, config cluster.File, process kubeletProcess) (ServingObservation, error) {
	files, err := kubelet.ParseServing(config.Data)
	if err != nil {
		return ServingObservation{}, fmt.Errorf("%s on node %s: %w", kubelet.ConfigFile, node.Name(), err)
	}
	address := node.Addresses()[0]
	if text, ok := process.flags.Get("node-ip"); ok {
		// Dual-stack kubelets are given both of their addresses; the first is the one that the apiserver dials.
		first, _, _ := strings.Cut(text, ",")
		if address, err = netip.ParseAddr(first); err != nil {
			return ServingObservation{}, fmt.Errorf("the kubelet's --node-ip on node %s: %w", node.Name(), err)
		}
	}
	return ServingObservation{Files: files, Dialled: netip.AddrPortFrom(address, files.Port)}, nil
}

// observeComponents looks at the processes and manifests of the control plane's components.
func observeComponents(ctx context.Context, node Node, observed *NodeObservation) error {
	components := settings.Components()
	var running map[settings.Component]controlplane.Flags
	found := make([]ComponentObservation, len(components))
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { running, err = runningComponents(groupCtx, node, components...); return err })
	group.Go(func() error {
		manifests, err := readManifests(groupCtx, node, components)
		for i, component := range components {
			if err == nil {
				found[i], err = observeManifest(node, component, manifests[component])
			}
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	observed.Others = map[settings.Component]*ComponentObservation{}
	for i, component := range components {
		found[i].Running = running[component]
		if component == settings.APIServer {
			if err := found[i].readDocuments(ctx, node); err != nil {
				return err
			}
			observed.APIServer = &APIServerObservation{ComponentObservation: found[i]}
		} else {
			observed.Others[component] = &found[i]
		}
	}
	if observed.APIServer.Running == nil {
		return fmt.Errorf("no %s runs on node %s: %w", apiserver, node.Name(), ErrAPIUnavailable)
	}
	return nil
}

// readDocuments reads the files that settings become, or became where kubecomm has changed anything.
func (c *ComponentObservation) readDocuments(ctx context.Context, node Node) error {
	var files []string
	for _, flag := range settings.DocumentFlags() {
		for _, file := range slices.Concat(c.Running[flag], c.Manifest[flag]) {
			if (ours(file) || c.Baseline != nil) && !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	var err error
	c.Documents, err = readContents(ctx, node, files)
	return err
}

// readDocuments does the same with those of a kubelet.
func (k *KubeletObservation) readDocuments(ctx context.Context, node Node) error {
	var files []string
	for _, field := range settings.KubeletDocumentFields() {
		for _, fields := range []kubelet.Fields{k.Running, k.File} {
			file := fileIn(fields, field)
			if file != "" && (ours(file) || k.Baseline != nil) && !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	var err error
	k.Documents, err = readContents(ctx, node, files)
	return err
}

// fileIn is the file that a field names, or empty.
func fileIn(fields kubelet.Fields, name string) string {
	var file string
	if json.Unmarshal(fields.Value(name), &file) != nil {
		return ""
	}
	return file
}

// readContents returns those of the files that there are.
func readContents(ctx context.Context, node Node, files []string) (map[string][]byte, error) {
	if len(files) == 0 {
		return nil, nil
	}
	found, err := node.ReadFiles(ctx, files...)
	contents := map[string][]byte{}
	for file, content := range found {
		contents[file] = content.Data
	}
	return contents, err
}

// readManifests reads the manifests of several components at once.
func readManifests(ctx context.Context, node Node, components []settings.Component) (map[settings.Component]keptFile, error) {
	paths := make([]string, len(components))
	for i, component := range components {
		paths[i] = manifestOf(component)
	}
	files, err := readAllKept(ctx, node, paths...)
	if err != nil {
		return nil, err
	}
	found := map[settings.Component]keptFile{}
	for _, component := range components {
		found[component] = files[manifestOf(component)]
	}
	return found, nil
}

// observeManifest reads what a component's manifest says, and what it said before kubecomm.
func observeManifest(node Node, component settings.Component, file keptFile) (ComponentObservation, error) {
	path := manifestOf(component)
	manifest, err := controlplane.ParseManifest(file.current.Data, string(component))
	if err != nil {
		return ComponentObservation{}, fmt.Errorf("%s on node %s: %w", path, node.Name(), err)
	}
	observed := ComponentObservation{Manifest: manifest.Flags()}
	if file.saved {
		original, err := controlplane.ParseManifest(file.original.Data, string(component))
		if err != nil {
			return ComponentObservation{}, fmt.Errorf("the original %s of node %s: %w", path, node.Name(), err)
		}
		observed.Baseline = original.Flags()
	}
	return observed, nil
}

func observeIssuer(ctx context.Context, node Node) (issuerFiles, error) {
	var files issuerFiles
	found, err := node.ReadFiles(ctx, issuerCertFile, ownIssuerFile)
	if err != nil || len(found) == 0 {
		return files, err
	}
	// A file that isn't one CA certificate counts as no issuer: the plan will make a new one.
	certificates, err := pki.ParseBundle(found[issuerCertFile].Data)
	if err == nil && len(certificates) == 1 && certificates[0].IsCA {
		files.certificate = certificates[0]
	}
	if chain, err := pki.ParseChain(found[ownIssuerFile].Data); err == nil {
		files.own = chain
	}
	digest, err := node.Run(ctx, cluster.Command{Args: []string{
		"sh", "-c", `[ ! -s "$1" ] || sha256sum <"$1"`, "sh", issuerKeyFile,
	}})
	if err != nil {
		return files, fmt.Errorf("looking at %s on node %s: %w", issuerKeyFile, node.Name(), err)
	}
	if text, _, found := strings.Cut(string(digest), " "); found && len(text) == hex.EncodedLen(sha256.Size) {
		files.keyDigest = text
	}
	return files, nil
}

func readManifest(ctx context.Context, node Node, path, component string) (*controlplane.Manifest, error) {
	file, err := node.ReadFile(ctx, path)
	if err != nil {
		return nil, err
	}
	manifest, err := controlplane.ParseManifest(file.Data, component)
	if err != nil {
		return nil, fmt.Errorf("%s on node %s: %w", path, node.Name(), err)
	}
	return manifest, nil
}
