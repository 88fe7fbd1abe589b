package authconfig

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	issuerText = `{"issuer":{"url":"https://login.example","audiences":["kubernetes"]},` +
		`"claimMappings":{"username":{"claim":"sub","prefix":"login:"},"groups":{},"uid":{}}}`
	webhookText = `{"type":"Webhook","name":"policy","webhook":{"authorizedTTL":"5m0s","unauthorizedTTL":"30s",` +
		`"timeout":"3s","subjectAccessReviewVersion":"v1","matchConditionSubjectAccessReviewVersion":"v1",` +
		`"failurePolicy":"NoOpinion","connectionInfo":{"type":"KubeConfigFile","kubeConfigFile":"/etc/kubernetes/pki/policy.conf"},` +
		`"matchConditions":[{"expression":"has(request.resourceAttributes)"}]}}`
)

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	for sentence, authentication := range map[string]Authentication{
		"nothing":                     {},
		"no path without credentials": {AnonymousPaths: []string{}},
		"some paths":                  {AnonymousPaths: []string{"/livez", "/readyz"}},
		"every path":                  {AnonymousPaths: []string{EveryPath}},
		"an issuer":                   {JWT: []string{issuerText}},
		"an issuer, and paths without credential": {JWT: []string{issuerText}, AnonymousPaths: []string{"/livez"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			data, err := authentication.Encode()
			require.NoError(t, err)
			read, err := ParseAuthentication(data)
			require.NoError(t, err)
			assert.Equal(t, authentication, read)
		})
	}
	data, err := EncodeAuthorization([]string{`{"type":"Node","name":"node"}`, webhookText})
	require.NoError(t, err)
	read, err := ParseAuthorization(data)
	require.NoError(t, err)
	assert.Equal(t, []string{`{"type":"Node","name":"node"}`, webhookText}, read)
}

func TestTheFileIsWhatAnApiserverReads(t *testing.T) {
	data, err := Authentication{AnonymousPaths: []string{"/livez"}, JWT: []string{issuerText}}.Encode()
	require.NoError(t, err)
	assert.Equal(t, `anonymous:
  conditions:
  - path: /livez
  enabled: true
apiVersion: apiserver.config.k8s.io/v1
jwt:
- claimMappings:
    groups: {}
    uid: {}
    username:
      claim: sub
      prefix: 'login:'
  issuer:
    audiences:
    - kubernetes
    url: https://login.example
kind: AuthenticationConfiguration
`, string(data))
}

func TestAFileThatAnApiserverWouldRefuseIsRefused(t *testing.T) {
	for sentence, c := range map[string]struct{ data, message string }{
		"another kind":     {"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n", "it is a AuthorizationConfiguration"},
		"an older version": {"apiVersion: apiserver.config.k8s.io/v1beta1\nkind: AuthenticationConfiguration\n", "v1beta1"},
		"a field too much": {"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymus: {}\n", `unknown field "anonymus"`},
		"no YAML":          {"{", "error converting YAML"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := ParseAuthentication([]byte(c.data))
			require.ErrorContains(t, err, c.message)
		})
	}
}

func TestOneSpellingStandsForAll(t *testing.T) {
	one := CanonicalJWT(`{"claimMappings": {"username": {"prefix": "login:", "claim": "sub"}},
		"issuer": {"audiences": ["kubernetes"], "url": "https://login.example"}}`)
	assert.Equal(t, []string{issuerText, webhookText}, []string{one, CanonicalAuthorizer(webhookText)})
	assert.Equal(t, "nonsense", CanonicalJWT("nonsense"))
	assert.Equal(t, "nonsense", CanonicalAuthorizer("nonsense"))
}

func TestIssuersAreJudgedAsByAnApiserver(t *testing.T) {
	require.NoError(t, CheckJWT([]string{issuerText}, nil))
	for sentence, c := range map[string]struct{ text, message string }{
		"no TLS": {`{"issuer":{"url":"http://login.example","audiences":["a"]},"claimMappings":{"username":{"claim":"sub","prefix":""}}}`,
			"URL scheme must be https"},
		"no audience": {`{"issuer":{"url":"https://login.example"},"claimMappings":{"username":{"claim":"sub","prefix":""}}}`,
			"at least one jwt[0].issuer.audiences is required"},
		"no user's name": {`{"issuer":{"url":"https://login.example","audiences":["a"]}}`, "claim or expression is required"},
		"an expression that is none": {`{"issuer":{"url":"https://login.example","audiences":["a"]},"claimMappings":{"username":{"expression":"claims."}}}`,
			"compilation failed"},
		"a CA that is none": {`{"issuer":{"url":"https://login.example","audiences":["a"],"certificateAuthority":"x"},"claimMappings":{"username":{"claim":"sub","prefix":""}}}`,
			"data does not contain any valid RSA or ECDSA certificates"},
		"the issuer of service accounts": {issuerText, "URL must not overlap with disallowed issuers"},
		"a word that is none":            {`{"isuer":{}}`, `unknown field "isuer"`},
	} {
		t.Run(sentence, func(t *testing.T) {
			var taken []string
			if c.text == issuerText {
				taken = []string{"https://login.example"}
			}
			require.ErrorContains(t, CheckJWT([]string{c.text}, taken), c.message)
		})
	}
	require.ErrorContains(t, CheckJWT([]string{issuerText, issuerText}, nil), "Duplicate value")
}

func TestAuthorizersAreJudgedAsByAnApiserver(t *testing.T) {
	node := `{"type":"Node","name":"node"}`
	require.NoError(t, CheckAuthorizers([]string{node, webhookText}))
	for sentence, c := range map[string]struct {
		authorizers []string
		message     string
	}{
		"none":                  {nil, "at least one authorization mode must be defined"},
		"one twice":             {[]string{node, node}, "Duplicate value"},
		"a type that is none":   {[]string{`{"type":"ABAC","name":"abac"}`}, "Unsupported value"},
		"a webhook without how": {[]string{`{"type":"Webhook","name":"policy"}`}, "required when type=Webhook"},
		"a condition that is none": {[]string{`{"type":"Webhook","name":"policy","webhook":{"authorizedTTL":"5m","unauthorizedTTL":"30s",
			"timeout":"3s","subjectAccessReviewVersion":"v1","matchConditionSubjectAccessReviewVersion":"v1","failurePolicy":"Deny",
			"connectionInfo":{"type":"KubeConfigFile","kubeConfigFile":"/a"},"matchConditions":[{"expression":"request."}]}}`}, "compilation failed"},
		"an apiserver that asks itself": {[]string{`{"type":"Webhook","name":"policy","webhook":{"connectionInfo":{"type":"InClusterConfig"}}}`},
			"is not for apiservers"},
		"a file that could be anywhere": {[]string{`{"type":"Webhook","name":"policy","webhook":{"connectionInfo":{"type":"KubeConfigFile",
			"kubeConfigFile":"policy.conf"}}}`}, "is not the absolute path"},
	} {
		t.Run(sentence, func(t *testing.T) { require.ErrorContains(t, CheckAuthorizers(c.authorizers), c.message) })
	}
}
