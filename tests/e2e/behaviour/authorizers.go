package behaviour

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	apiserver "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/behaviour/outside"
)

// Users of the issuer's, by how their names begin, about whom the webhook has no opinion.
const (
	other    = loginPrefix + "other-"
	careful  = loginPrefix + "careful-"  // about whom first one is asked that isn't there, whose silence is a refusal
	careless = loginPrefix + "careless-" // the same, whose silence is no opinion
)

// readers is the issuer's group that may read the strangers' secrets, by RBAC.
const readers = "readers"

// noWebhook is what an apiserver says to a client about whom it can't ask.
const noWebhook = "connect: connection refused"

func authorizerPairs() []Pair {
	const forbidden = "403 Forbidden"
	return []Pair{{
		Setting: "apiserver.authorizers",
		Shows:   "a webhook lets in whom RBAC doesn't, and refuses whom RBAC lets in; one that isn't there stands for what was declared",
		Values:  Values{Third: authorizers()},
		Called: "one webhook that isn't there and so refuses, for some users, one that isn't there and has no opinion, for " +
			"others, one that decides, `Node` and `RBAC`",
		Answers: Answers{
			Second: "whom the webhook lets in: " + forbidden + ", whom it refuses, a reader: " + accepted +
				", a reader: " + accepted + ", a stranger: " + forbidden +
				", a reader without whom a refusing webhook can't be asked: " + accepted +
				", a reader without whom another can't: " + accepted,
			Third: "whom the webhook lets in: " + accepted + ", whom it refuses, a reader: " + forbidden + " (" + outside.Reason +
				"), a reader: " + accepted + ", a stranger: " + forbidden +
				", a reader without whom a refusing webhook can't be asked: 500 InternalError (" + noWebhook +
				"), a reader without whom another can't: " + accepted,
		},
		ask: readAsUsersOfTheIssuer,
	}}
}

// authorizers is the setting's value.
func authorizers() []string {
	webhook := func(name, file, of, onFailure string) apiserver.AuthorizerConfiguration {
		return apiserver.AuthorizerConfiguration{Type: "Webhook", Name: name, Webhook: &apiserver.WebhookConfiguration{
			AuthorizedTTL: metav1.Duration{Duration: ttl}, UnauthorizedTTL: metav1.Duration{Duration: ttl},
			Timeout: metav1.Duration{Duration: webhookLimit}, FailurePolicy: onFailure,
			SubjectAccessReviewVersion: "v1", MatchConditionSubjectAccessReviewVersion: "v1",
			ConnectionInfo: apiserver.WebhookConnectionInfo{
				Type: apiserver.AuthorizationWebhookConnectionInfoTypeKubeConfigFile, KubeConfigFile: &file,
			},
			MatchConditions: []apiserver.WebhookMatchCondition{{Expression: fmt.Sprintf("request.user.startsWith('%s')", of)}},
		}}
	}
	var texts []string
	for _, authorizer := range []apiserver.AuthorizerConfiguration{
		webhook("refuses-if-away", awayFile, careful, apiserver.FailurePolicyDeny),
		webhook("no-opinion-if-away", awayFile, careless, apiserver.FailurePolicyNoOpinion),
		webhook("policy", policyFile, loginPrefix, apiserver.FailurePolicyDeny),
		{Type: "Node", Name: "node"}, {Type: "RBAC", Name: "rbac"},
	} {
		text, err := json.Marshal(authorizer)
		utilruntime.Must(err)
		texts = append(texts, string(text))
	}
	return texts
}

const (
	ttl          = time.Second // after which an apiserver asks again
	webhookLimit = 3 * time.Second

	policyFile = "/etc/kubernetes/pki/kubecomm-behaviour/policy.conf"
	awayFile   = "/etc/kubernetes/pki/kubecomm-behaviour/away.conf"
	awayURL    = "https://127.0.0.1:9" // where nobody listens
)

// writeWebhooks tells apiservers where webhooks are.
func (l *Lab) writeWebhooks(ctx context.Context) error {
	for file, server := range map[string]string{policyFile: issuerURL + outside.AuthorizePath, awayFile: awayURL} {
		config := clientcmdapi.NewConfig()
		config.Clusters["webhook"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: theOthers().ca}
		config.AuthInfos["apiserver"] = &clientcmdapi.AuthInfo{}
		config.Contexts["webhook"] = &clientcmdapi.Context{Cluster: "webhook", AuthInfo: "apiserver"}
		config.CurrentContext = "webhook"
		data, err := clientcmd.Write(*config)
		if err != nil {
			return err
		}
		if err := l.controlPlane().WriteFile(ctx, file, cluster.File{Data: data, Mode: 0o600}); err != nil {
			return err
		}
	}
	return nil
}

// admitReaders gives the issuer's group its right.
func (l *Lab) admitReaders(ctx context.Context) error {
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: readers},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list"}}},
	}
	if _, err := l.client.RbacV1().Roles(strangers).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err := l.client.RbacV1().RoleBindings(strangers).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: readers},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: readers},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: loginPrefix + readers}},
	}, metav1.CreateOptions{})
	return err
}

// readAsUsersOfTheIssuer is by users whom nobody has heard of yet.
func readAsUsersOfTheIssuer(ctx context.Context, lab *Lab) (string, error) {
	var answers together
	for _, user := range []struct{ called, named, group string }{
		{"whom the webhook lets in", outside.Allowed, ""}, {"whom it refuses, a reader", outside.Denied, readers},
		{"a reader", other, readers}, {"a stranger", other, ""},
		{"a reader without whom a refusing webhook can't be asked", careful, readers},
		{"a reader without whom another can't", careless, readers},
	} {
		name := strings.TrimPrefix(user.named, loginPrefix) + strings.ToLower(rand.Text()[:6])
		token, err := login(name, user.group).sign(theOthers().signs)
		if err != nil {
			return "", err
		}
		client, err := lab.as(token)
		if err != nil {
			return "", err
		}
		answer, err := readSecretsAs(ctx, client)
		if err != nil {
			return "", err
		}
		answers.add(user.called, answer)
	}
	return answers.String(), nil
}

// readSecretsAs returns what the API says, and why if that is one of the known reasons.
func readSecretsAs(ctx context.Context, client kubernetes.Interface) (string, error) {
	_, refusal := client.CoreV1().Secrets(strangers).List(ctx, metav1.ListOptions{})
	answer, err := verdict(refusal)
	if err != nil || refusal == nil {
		return answer, err
	}
	for _, reason := range []string{outside.Reason, noWebhook} {
		if strings.Contains(refusal.Error(), reason) {
			return answer + " (" + reason + ")", nil
		}
	}
	return answer, nil
}
