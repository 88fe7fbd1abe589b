package apply

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/access"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/pki"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// KubeletClientObservation is who an apiserver is at kubelets, by the file that it reads before each new connection.
type KubeletClientObservation struct {
	Certificate *x509.Certificate   // nil if there is none
	Problem     error               // why kubelets refuse it, whoever it names; nil if they don't
	CAs         []*x509.Certificate // that kubelets know clients by
	Original    *x509.Certificate   // what it was before kubecomm's first change; nil if there was none
}

// identity is a user whom the apiservers are to be at kubelets.
type identity struct {
	user    string
	binding string // of the ClusterRoleBinding that gives it its rights
	role    string // the ClusterRole
}

// What kubeadm calls it, from 1.36 on without a group and with this binding (Kubernetes v1.36.3,
// cmd/kubeadm/app/constants/constants.go, cmd/kubeadm/app/phases/bootstraptoken/node/tlsbootstrap.go).
const (
	kubeadmClientUser    = "kube-apiserver-kubelet-client"
	kubeadmClientBinding = "kubeadm:apiserver-kubelet-client"
	kubeletAPIAdminRole  = "system:kubelet-api-admin"
)

// customClient is the user and the binding of a custom identity. The user is another than kubeadm's, or what kubeadm
// binds to that would be added to the custom ClusterRole.
const customClient = "kubecomm:apiserver-kubelet-client"

// managedLabel marks objects of the API that kubecomm made. kubeadm writes its binding anew when it upgrades a cluster,
// without the label: from then on it isn't kubecomm's.
const managedLabel, managedBy = "app.kubernetes.io/managed-by", "kubecomm"

// clusterAdmins are the groups that may do anything (Kubernetes v1.37.1, cmd/kubeadm/app/constants/constants.go,
// staging/src/k8s.io/apiserver/pkg/authentication/user/user.go).
var clusterAdmins = []string{"kubeadm:cluster-admins", "system:masters"}

// declaredIdentity returns nil if the identity is left as it was.
func declaredIdentity(want settings.Settings) *identity {
	switch want.KubeletClient {
	case settings.KubeletAPIAdmin:
		return &identity{kubeadmClientUser, kubeadmClientBinding, kubeletAPIAdminRole}
	case settings.CustomIdentity:
		return &identity{customClient, customClient, want.KubeletClientRole}
	}
	return nil
}

// clientProblem says why a node's apiserver must be given another certificate; empty if it need not.
func clientProblem(client KubeletClientObservation, id identity) string {
	switch {
	case client.Certificate == nil:
		return fmt.Sprintf("what it shows kubelets can't be read: %v", client.Problem)
	case client.Problem != nil:
		return fmt.Sprintf("kubelets refuse what it shows them: %v", client.Problem)
	case client.Certificate.Subject.CommonName != id.user || len(client.Certificate.Subject.Organization) > 0:
		return fmt.Sprintf("at kubelets it is %s, to be CN=%s", client.Certificate.Subject, id.user)
	}
	return ""
}

// bindingProblem says why the identity needs a binding; empty if it has one, or if the API can't be asked.
func bindingProblem(policy *access.Policy, id identity) string {
	if policy == nil || slices.Contains(policy.RolesOf(id.user), id.role) {
		return ""
	}
	return fmt.Sprintf("nothing binds ClusterRole %s to %s", id.role, id.user)
}

// planClient returns the steps that make apiservers who they are declared to be at kubelets. Rights come before the
// certificate that needs them.
func planClient(observed Observation, want settings.Settings) []Step {
	id := declaredIdentity(want)
	var steps []Step
	if id != nil {
		if reason := bindingProblem(observed.Policy, *id); reason != "" {
			steps = append(steps, Step{BindKubeletClient, observed.Nodes[0].Name, reason})
		}
	}
	for _, node := range observed.controlPlanes() {
		switch {
		case id == nil && node.APIServer.Client.changed(observed.Time):
			steps = append(steps, Step{RestoreKubeletClient, node.Name, "no identity is declared any more"})
		case id != nil:
			if reason := clientProblem(node.APIServer.Client, *id); reason != "" {
				steps = append(steps, Step{IssueKubeletClient, node.Name, reason})
			}
		}
	}
	return steps
}

// planRestoreClient returns the steps that put back who apiservers were before kubecomm. They come first: apiservers that
// are replaced after them have no connections of a former identity, for which a binding would have to wait.
func planRestoreClient(observed Observation, reason string) []Step {
	var steps []Step
	for _, node := range observed.controlPlanes() {
		if node.APIServer.Client.restorable(observed.Time) {
			steps = append(steps, Step{RestoreKubeletClient, node.Name, reason})
		}
	}
	return steps
}

// planUnbind returns the step that takes back what kubecomm bound and nothing needs any more, given whom each apiserver
// will be. It comes after the apiservers were replaced, because new ones have no connections of a former identity.
func planUnbind(observed Observation, id *identity, will func(KubeletClientObservation) *x509.Certificate, reason string) []Step {
	var needed []string
	if id != nil {
		needed = []string{id.binding}
	} else {
		needed = neededBindings(observed.clientCertificates(will))
	}
	for _, name := range ourBindings(observed.Policy) {
		if !slices.Contains(needed, name) {
			return []Step{{UnbindKubeletClient, observed.Nodes[0].Name, reason}}
		}
	}
	return nil
}

// clientCertificates are one of each apiserver's.
func (o Observation) clientCertificates(of func(KubeletClientObservation) *x509.Certificate) []*x509.Certificate {
	var certificates []*x509.Certificate
	for _, node := range o.controlPlanes() {
		certificates = append(certificates, of(node.APIServer.Client))
	}
	return certificates
}

// neededBindings are those without which a certificate would give no rights.
func neededBindings(certificates []*x509.Certificate) []string {
	var needed []string
	for _, certificate := range certificates {
		switch {
		case certificate == nil || len(certificate.Subject.Organization) > 0:
		case certificate.Subject.CommonName == kubeadmClientUser:
			needed = append(needed, kubeadmClientBinding)
		case certificate.Subject.CommonName == customClient:
			needed = append(needed, customClient)
		}
	}
	return needed
}

// ourBindings lists those of the bindings for apiservers that kubecomm made.
func ourBindings(policy *access.Policy) []string {
	if policy == nil {
		return nil
	}
	var names []string
	for _, name := range []string{kubeadmClientBinding, customClient, exchangeBinding} {
		if binding := policy.Binding(name); binding != nil && oursByLabel(binding) {
			names = append(names, name)
		}
	}
	return names
}

func oursByLabel(object metav1.Object) bool { return object.GetLabels()[managedLabel] == managedBy }

// changed reports whether the original is to come back where no identity is declared. One that kubeadm renewed since
// names the same, and stays.
func (c KubeletClientObservation) changed(now time.Time) bool {
	return c.restorable(now) && (c.Certificate == nil || !pki.SameSubject(c.Certificate, c.Original))
}

// restorable reports whether there is an original that differs. One that has expired would shut the apiserver out.
func (c KubeletClientObservation) restorable(now time.Time) bool {
	return c.Original != nil && now.Before(c.Original.NotAfter) && (c.Certificate == nil || !c.Certificate.Equal(c.Original))
}

// afterPlan is whom an apiserver will be where no identity is declared.
func (c KubeletClientObservation) afterPlan(now time.Time) *x509.Certificate {
	if c.changed(now) {
		return c.Original
	}
	return c.Certificate
}

// afterRestore is the same after a restore.
func (c KubeletClientObservation) afterRestore(now time.Time) *x509.Certificate {
	if c.restorable(now) {
		return c.Original
	}
	return c.Certificate
}

// What an identity shows as that isn't the declared one, beside the names of those that can be declared.
const (
	foundClusterAdmin = "cluster_admin" // it may do anything
	foundUnbound      = "unbound"       // nothing lets it use the kubelets' API
	foundRefused      = "refused"       // expired, or not of the cluster's CA
	foundUnknown      = "unknown"       // somebody else
)

// clientIdentity is the value of the setting of that name: what the first apiserver is in place of what it should be.
func (o Observation) clientIdentity(held, should settings.Value) settings.Value {
	want := settings.Settings{KubeletClient: settings.ClientIdentity(should.String())}
	if want.KubeletClient == settings.CustomIdentity { // which role it has is another setting's matter
		want.KubeletClientRole = o.customRole()
	}
	id := declaredIdentity(want)
	for _, node := range o.controlPlanes() {
		client := node.APIServer.Client
		differs := id == nil && client.changed(o.Time)
		if id != nil {
			differs = clientProblem(client, *id) != "" || bindingProblem(o.Policy, *id) != ""
		}
		if differs {
			return settings.Value{o.identityOf(client)}
		}
	}
	return held
}

func (o Observation) identityOf(client KubeletClientObservation) string {
	if client.Certificate == nil || client.Problem != nil {
		return foundRefused
	}
	subject := client.Certificate.Subject
	isAdmin := func(group string) bool { return slices.Contains(clusterAdmins, group) }
	var id identity
	found := settings.KubeletAPIAdmin
	switch {
	case slices.ContainsFunc(subject.Organization, isAdmin):
		return foundClusterAdmin
	case len(subject.Organization) > 0:
		return foundUnknown
	case subject.CommonName == kubeadmClientUser:
		id = *declaredIdentity(settings.Settings{KubeletClient: found})
	case subject.CommonName == customClient:
		found = settings.CustomIdentity
		id = *declaredIdentity(settings.Settings{KubeletClient: found, KubeletClientRole: o.customRole()})
	default:
		return foundUnknown
	}
	if bindingProblem(o.Policy, id) != "" {
		return foundUnbound
	}
	return string(found)
}

// customRole is the ClusterRole that a custom identity is bound to; empty if there is none.
func (o Observation) customRole() string {
	if o.Policy != nil {
		if binding := o.Policy.Binding(customClient); binding != nil && access.Names(binding, customClient) {
			return binding.RoleRef.Name
		}
	}
	return ""
}

// clientRole is the value of the setting of that name. Where none is declared, a binding shows if it is to go.
func (o Observation) clientRole(held, should settings.Value) settings.Value {
	found := o.customRole()
	switch {
	case o.Policy == nil, found == should.String():
		return held
	case should == nil && !o.leftOver():
		return held
	case found == "":
		return nil
	}
	return settings.Value{found}
}

// leftOver reports whether kubecomm's binding of a custom identity is still there, and no apiserver has that identity.
func (o Observation) leftOver() bool {
	certificates := o.clientCertificates(func(client KubeletClientObservation) *x509.Certificate { return client.afterPlan(o.Time) })
	return slices.Contains(ourBindings(o.Policy), customClient) && !slices.Contains(neededBindings(certificates), customClient)
}

// KubeletClientRoles are the ClusterRoles that the node's apiserver has at kubelets by its name; nil if the API could not
// be asked, or names none.
func (o Observation) KubeletClientRoles(a *APIServerObservation) []string {
	if o.Policy == nil || a.Client.Certificate == nil {
		return nil
	}
	return o.Policy.RolesOf(a.Client.Certificate.Subject.CommonName)
}

// MissingRoleError says that the declared ClusterRole isn't there, or doesn't allow what an apiserver has to do.
type MissingRoleError struct {
	Cluster string
	Role    string
	Lacks   string // what it doesn't allow; empty if it isn't there
}

func (e *MissingRoleError) Error() string {
	if e.Lacks == "" {
		return fmt.Sprintf("cluster %s has no ClusterRole %q", e.Cluster, e.Role)
	}
	return fmt.Sprintf("ClusterRole %q of cluster %s doesn't allow %s, without which kubelets refuse logs and exec",
		e.Role, e.Cluster, e.Lacks)
}

// CheckRole returns a *MissingRoleError if the declared ClusterRole can't do as a custom identity's; nil also where the
// API could not be asked.
func CheckRole(name string, observed Observation, want settings.Settings) error {
	if want.KubeletClient != settings.CustomIdentity || observed.Policy == nil {
		return nil
	}
	failure := &MissingRoleError{Cluster: name, Role: want.KubeletClientRole}
	if !observed.Policy.HasRole(failure.Role) {
		return failure
	}
	var lacks []string
	for _, verb := range []string{"get", "create"} {
		if !observed.Policy.Allows(failure.Role, access.Request{Verb: verb, Resource: "nodes", Subresource: "proxy"}) {
			lacks = append(lacks, verb)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	failure.Lacks = strings.Join(lacks, " and ") + " on nodes/proxy"
	return failure
}
