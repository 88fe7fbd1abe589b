// Package conformance proves a cluster's communication paths: one that kubecomm hardened, or anyone's. It is released as one
// program, which is this package's test binary.
package conformance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"sigs.k8s.io/e2e-framework/pkg/env"
	"sigs.k8s.io/e2e-framework/pkg/envconf"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/catalogue"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/nodelogs"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/workload"
)

// The exit codes.
const (
	exitFailed      = 1   // a check failed, or what the run made could not be removed
	exitNotRun      = 2   // the flags are wrong, or the cluster can't be checked
	exitInterrupted = 130 // by a signal; what the run made was removed
)

// agnhost is the workload server of Kubernetes' own tests (Kubernetes v1.37.1, test/utils/image/manifest.go).
const agnhost = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"

// options are what the flags say.
type options struct {
	kind    string
	profile string
	tunnel  string
	expect  list
	allowed suite.Allowed
	results string
	logs    string
	images  suite.Images
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(text string) error {
	*l = append(*l, text)
	return nil
}

func (o *options) define(flags *flag.FlagSet) {
	flags.StringVar(&o.kind, "kind", "", "the name of a cluster of kind's; the API is asked as kind says, or as -kubeconfig does if it is given")
	flags.StringVar(&o.profile, "profile", string(settings.Kubeadm),
		"what the cluster is declared to be: "+strings.Join(settings.Profiles(), ", "))
	flags.StringVar(&o.tunnel, "tunnel", string(suite.NoTunnel), "the tunnel that is declared: "+strings.Join(suite.Tunnels(), ", "))
	flags.Var(&o.expect, "expect", "a setting that is declared otherwise, as NAME=VALUE; may be given several times")
	flags.BoolVar(&o.allowed.Destructive, "destructive", false,
		"also do what restarts kubelets and changes files of nodes, and puts them back")
	flags.BoolVar(&o.allowed.Slow, "slow", false, "also do what waits for a quarter of an hour until something happens by itself")
	flags.StringVar(&o.results, "results", "", "a folder for junit.xml, results.json and results.md")
	flags.StringVar(&o.logs, "logs", "",
		"a folder for the logs of every node, at the end: of kube-system's pods, and with -kind of kubelets and container runtimes")
	flags.StringVar(&o.images.Agnhost, "image", agnhost, "of the run's pods")
	flags.StringVar(&o.images.Kubectl, "kubectl-image", "",
		"of the pod that runs kubectl (registry.k8s.io/kubectl at the cluster's version)")
	flags.StringVar(&o.images.Python, "python-image", "", "of a pod with Python and Kubernetes' client library; none if empty")
}

// run is what all checks share.
type run struct {
	options options
	env     env.Environment
	subject *suite.Subject
	record  recorder
	started error // why the run could not begin
}

// current is nil where no cluster was named: go test ./... doesn't change the cluster of whoever runs it.
var current *run

func TestMain(m *testing.M) {
	r := &run{}
	r.options.define(flag.CommandLine)
	flag.Usage = usage
	base, err := env.NewFromFlags()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitNotRun)
	}
	config := base.EnvConf()
	if r.options.kind == "" && config.KubeconfigFile() == "" && config.KubeContext() == "" {
		os.Exit(m.Run())
	}
	current = r
	os.Exit(r.main(m, base))
}

func (r *run) main(m *testing.M, base env.Environment) int {
	if err := errors.Join(workload.MuteKlog(), setDefault("test.run", "^TestConformance$"), setDefault("test.parallel", "8"),
		setDefault("test.timeout", "30m")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitNotRun
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	r.env = base.WithContext(ctx)
	r.env.Setup(r.begin)
	r.env.Finish(r.end)
	code := r.env.Run(m)
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case r.started != nil:
		return exitNotRun
	case code != 0 || r.record.report.Problem != "":
		return exitFailed
	}
	return 0
}

// begin connects to the cluster and makes the run's pods.
func (r *run) begin(ctx context.Context, config *envconf.Config) (context.Context, error) {
	r.started = r.connect(ctx, config)
	if r.started != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", r.started)
	}
	return ctx, r.started
}

func (r *run) connect(ctx context.Context, config *envconf.Config) error {
	expect, err := suite.Expect(r.options.profile, r.options.tunnel, r.options.expect)
	if err != nil {
		return err
	}
	r.subject, err = suite.Connect(ctx, suite.Options{
		Kind: r.options.kind, Kubeconfig: config.KubeconfigFile(), Context: config.KubeContext(), Expect: expect,
		Images: r.options.images,
	})
	if err != nil {
		return err
	}
	checks := len(catalogue.All())
	if len(config.Labels())+len(config.SkipLabels()) > 0 {
		checks = 0
	}
	r.record.begin(r.subject, checks)
	if err := r.subject.Deploy(ctx); err != nil {
		return fmt.Errorf("starting the run's pods: %w", err)
	}
	return nil
}

// end removes what the run made, and writes down what it found, and on request what nodes logged.
func (r *run) end(ctx context.Context, _ *envconf.Config) (context.Context, error) {
	if r.subject == nil {
		return ctx, nil
	}
	if err := r.subject.Close(ctx); err != nil {
		r.record.problem(err)
	}
	if ctx.Err() != nil {
		r.record.problem(errors.New("the run was interrupted"))
	}
	if r.options.logs != "" {
		if err := nodelogs.Collect(ctx, r.subject, r.options.logs); err != nil { // which is no verdict on the cluster
			fmt.Fprintln(os.Stderr, "WARNING: not all logs were collected:", suite.Redact(err.Error()))
		}
	}
	err := r.record.end(r.options.results)
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: writing the results:", err)
	}
	return ctx, err
}

// setDefault sets a flag that wasn't given. Checks wait more than they work, so that more of them than there are processors run
// side by side.
func setDefault(name, value string) error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return nil
	}
	return flag.Set(name, value)
}

func usage() {
	fmt.Fprint(os.Stderr, `Proves a cluster's communication paths.

    kubecomm-conformance -kind dev -profile restricted -results out
    kubecomm-conformance -kind dev -tunnel ssh -labels area=tunnel
    kubecomm-conformance -kubeconfig ~/.kube/config -labels area=kubelet-paths

It makes a namespace of its own, and removes all that it made. It ends with 0 if every check passed, 1 if one failed, 2 if the
cluster could not be checked, 130 if it was interrupted.

`)
	flag.PrintDefaults()
}
