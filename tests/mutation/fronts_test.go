package mutation

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// request says which requests a front gets wrong.
type request func(*http.Request) bool

// refuse answers some requests in the place of the API.
func refuse(which request) wrong {
	return answer(which, func(w http.ResponseWriter) { http.Error(w, "refused by the front", http.StatusForbidden) })
}

// wrong is what a front does wrong.
type wrong = func(l *lab, next handler) handler

func answer(which request, give func(http.ResponseWriter)) wrong {
	return func(_ *lab, next handler) handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if which(r) {
				give(w)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// change passes some requests on otherwise than they came.
func change(which request, do func(*http.Request)) wrong {
	return func(_ *lab, next handler) handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if which(r) {
				do(r)
			}
			next.ServeHTTP(w, r)
		})
	}
}

func nothing(*http.Request) bool { return false }

func all(conditions ...request) request {
	return func(r *http.Request) bool {
		for _, holds := range conditions {
			if !holds(r) {
				return false
			}
		}
		return true
	}
}

// method is of requests, by one of several names.
func method(names ...string) request {
	return func(r *http.Request) bool {
		return strings.Contains(" "+strings.Join(names, " ")+" ", " "+r.Method+" ")
	}
}

func at(pattern string) request {
	expression := regexp.MustCompile("^" + pattern + "$")
	return func(r *http.Request) bool { return expression.MatchString(r.URL.Path) }
}

// query is that a parameter matches.
func query(name, pattern string) request {
	expression := regexp.MustCompile("^" + pattern + "$")
	return func(r *http.Request) bool { return expression.MatchString(r.URL.Query().Get(name)) }
}

// upgrade is to another protocol.
func upgrade(protocol string) request {
	return func(r *http.Request) bool {
		return strings.HasPrefix(strings.ToLower(r.Header.Get("Upgrade")), protocol)
	}
}

func agent(pattern string) request {
	expression := regexp.MustCompile("^" + pattern)
	return func(r *http.Request) bool { return expression.MatchString(r.UserAgent()) }
}

const (
	websocket = "websocket"
	spdy      = "spdy/"
	onPod     = "/api/v1/namespaces/[^/]+/pods/[^/]+/"
	onNodes   = "/api/v1/nodes/[^/]+/proxy/.*"
)

// proxied is a request through the API's proxy, to what is named like this.
func proxied(kinds, name string) request {
	return at("/api/v1/(namespaces/[^/]+/)?(" + kinds + ")/(" + name + ")/proxy(/.*)?")
}

// What fails when a path is cut that other checks use as a means.
var (
	// byForwards are checks that reach a node's loopback address by port-forward over WebSocket.
	byForwards = ids(
		in("kubelet-paths", "port-forward-websocket"), in("proxy-paths", "https-unverified"),
		in("kubelet-api", "anonymous", "unknown-token", "token-delegation", "no-rights", "only-*", "read-only-port", "tls-floor",
			"serving-certificate", "get-proxy-equals-exec"),
		in("control-plane", "anonymous-health", "anonymous-elsewhere", "unknown-token", "*-tls-floor", "apiserver-profiling",
			"controller-manager-profiling", "scheduler-profiling", "*-strangers", "*-no-plain-http", "etcd-mutual-tls", "bootstrap-certificate*"),
	)
	// byExecs are checks that run commands in pods, over WebSocket.
	byExecs = ids(in("kubelet-paths", "logs-follow"), in("in-pod", "files", "by-*", "in-cluster-configuration", "wrong-root-certificate", "unauthorized-account", "opted-out",
		"mounted-token-expiry", "short-token", "endpoints", "kubectl-proxy"))
)

// fronts are what load balancers and login proxies before the apiserver may do wrong.
func fronts() []sabotage {
	return []sabotage{
		{
			name: "a front has a certificate of its own names", front: change(nothing, nil), names: []string{"localhost"},
			fails: in("in-pod", "apiserver-names"),
		},
		{
			name:  "logs are lost",
			front: answer(all(at(onPod+"log"), query("follow", "(false)?")), func(http.ResponseWriter) {}),
			fails: ids(in("kubelet-paths", "logs", "logs-unverified-on-request"), in("in-pod", "go-client", "python-client")),
		},
		{
			name:  "logs are not followed",
			front: change(all(at(onPod+"log"), query("follow", "true")), func(r *http.Request) { cut(r.URL, "follow") }),
			fails: in("kubelet-paths", "logs-follow"),
		},
		{
			name: "logs are verified against the client's wish", front: refuse(query("insecureSkipTLSVerifyBackend", "true")),
			fails: in("kubelet-paths", "logs-unverified-on-request"),
		},
		{
			name: "exec is not upgraded to WebSockets", front: refuse(all(at(onPod+"exec"), upgrade(websocket))), everything: true,
			fails: ids(in("kubelet-paths", "exec-websocket", "thousand-execs"), byExecs),
		},
		{
			name: "exec is not upgraded to SPDY", front: refuse(all(at(onPod+"exec"), upgrade(spdy))),
			fails: in("kubelet-paths", "exec-spdy"),
		},
		{
			name: "attach is not upgraded to WebSockets", front: refuse(all(at(onPod+"attach"), upgrade(websocket))),
			fails: in("kubelet-paths", "attach-websocket"),
		},
		{
			name: "attach is not upgraded to SPDY", front: refuse(all(at(onPod+"attach"), upgrade(spdy))),
			fails: in("kubelet-paths", "attach-spdy"),
		},
		{
			name: "port-forward is not upgraded to WebSockets", front: refuse(all(at(onPod+"portforward"), upgrade(websocket))),
			fails: byForwards,
		},
		{
			name: "port-forward is not upgraded to SPDY", front: refuse(all(at(onPod+"portforward"), upgrade(spdy))),
			fails: in("kubelet-paths", "port-forward-spdy"),
		},
		{
			name: "what is proxied to is not upgraded to WebSockets", front: refuse(all(proxied("pods|services", ".*"), upgrade(websocket))),
			fails: in("proxy-paths", "*-websocket"),
		},
		{
			name: "one exec in hundreds is another", front: anotherExec, everything: true,
			fails: in("kubelet-paths", "thousand-execs"),
		},
		{
			name: "whoever shows no credentials is an administrator", front: authorize(func(_ *lab, token string) bool { return token == "" }),
			fails: in("outside", "no-token"),
		},
		{
			name: "who shows a token that isn't good is an administrator", front: authorize((*lab).refuses),
			fails: ids(in("outside", "wrong-token"), in("in-pod", "token-audience", "bound-token")),
		},
		{
			name: "everybody is an administrator", front: authorize(func(*lab, string) bool { return true }),
			fails: ids(in("outside", "no-token", "wrong-token"), in("in-pod", "token-audience", "bound-token"),
				in("proxy-paths", "*-forbidden"), in("control-plane", "bootstrap-*")),
		},
		{
			name: "queries to services are cut off", front: change(proxied("services", ".*"), func(r *http.Request) { r.URL.RawQuery = "" }),
			fails: in("proxy-paths", "path-and-query", "redirects"),
		},
		{
			name: "bodies to pods are cut off", front: change(all(method("POST"), proxied("pods", ".*")), func(r *http.Request) {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader("")), 0
			}),
			fails: in("proxy-paths", "body"),
		},
		{
			name: "redirects are followed", front: answer(all(proxied("services", ".*"), at(".*/redirect")), func(w http.ResponseWriter) {
				_, _ = io.WriteString(w, "proxied")
			}),
			fails: in("proxy-paths", "redirects"),
		},
		{
			name: "tokens are passed on in a header", front: change(proxied("pods", ".*"), func(r *http.Request) {
				r.Header.Set("X-Forwarded-Access-Token", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			}),
			fails: in("proxy-paths", "credentials-stripped"),
		},
		{
			name: "names with https: are refused", front: refuse(proxied("nodes|pods|services", "https:.*")),
			fails: ids(in("proxy-paths", "pod-https", "service-https", "service-https-port-name", "service-https-empty-port", "node",
				"https-unverified"), in("kubelet-paths", "kubelets-verified")),
		},
		{
			name: "names with http: are refused", front: refuse(proxied("nodes|pods|services", "http:.*")),
			fails: ids(in("proxy-paths", "pod-http", "service-http", "pod-on-every-node", "node", "node-port"), in("in-pod", "kubectl-proxy"),
				in("outside", "node-port", "cluster-ip", "service-name")),
		},
		{
			name: "empty ports are refused", front: refuse(proxied("pods|services", ".*:")),
			fails: in("proxy-paths", "service-empty-port", "service-https-empty-port"),
		},
		{
			name: "names of ports are refused", front: refuse(proxied("services", ".*:[a-z]+")),
			fails: ids(in("proxy-paths", "service-port-name", "service-http", "service-https-port-name"), in("outside", "cluster-info")),
		},
		{
			name: "numbers of ports are refused", front: refuse(proxied("pods|services", "[^:]+:[0-9]+")),
			fails: ids(in("proxy-paths", "pod-port", "service-port", "undeclared-port", "no-endpoints", "*-websocket"),
				in("outside", "proxy-verb", "browser")),
		},
		{
			name: "names without a port are refused", front: refuse(proxied("pods|services", "[^:]+")),
			fails: in("proxy-paths", "pod-bare", "service-bare", "path-and-query", "body", "credentials-stripped", "redirects",
				"no-endpoints", "pods-forbidden", "services-forbidden"),
		},
		{
			name: "nodes are not proxied to", front: refuse(at(onNodes)),
			fails: ids(in("proxy-paths", "node", "node-port", "nodes-forbidden"), in("kubelet-paths", "kubelets-verified"),
				in("control-plane", "declared-kubelet-*", "kubelet-client-certificates-rotate", "bootstrap-token-only-joins"), in("in-pod", "apiserver-names")),
		},
		{
			name: "an undeclared port is the service's first", front: change(proxied("services", ".*:81"), func(r *http.Request) {
				r.URL.Path = strings.Replace(r.URL.Path, ":81/", ":80/", 1)
			}),
			fails: in("proxy-paths", "undeclared-port"),
		},
		{
			name: "a service without endpoints is another", front: change(proxied("services", "proxied-empty.*"), func(r *http.Request) {
				r.URL.Path = strings.Replace(r.URL.Path, "proxied-empty", "proxied-plain", 1)
			}),
			fails: in("proxy-paths", "no-endpoints"),
		},
		{
			name: "browsers are refused", front: refuse(agent("Mozilla/")),
			fails: in("outside", "browser"),
		},
		{
			name: "the version is told to kubectl alone", front: refuse(all(at("/version"), agent("Go-http-client"))),
			fails: in("outside", "kubeconfig", "wrong-root-certificate", "kubectl-proxy-host"),
		},
		{
			name: "pods are listed to kubectl alone", front: refuse(all(at("/api/v1/namespaces/[^/]+/pods"), agent("Go-http-client"))),
			fails: in("outside", "token", "no-token", "wrong-token", "kubectl-proxy", "kubectl-proxy-verifies"),
		},
		{
			name: "nobody is told who he is", front: refuse(at(".*/selfsubjectreviews")),
			fails: ids(in("outside", "kubeconfig"), in("control-plane", "bootstrap-certificate*")),
		},
		{
			name: "every pod is given a token", front: change(all(method("POST"), at("/api/v1/namespaces/[^/]+/pods")), mountToken),
			fails: in("in-pod", "opted-out"),
		},
		{
			name: "what is deleted stays", only: []string{"proxy-paths/nodes-forbidden", "aftermath/nothing-left"},
			front: answer(all(method("DELETE"), at(".*/clusterroles")), func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
			}),
			fails: in("aftermath", "nothing-left"),
		},
	}
}

// cut takes a parameter out of a URL.
func cut(u *url.URL, name string) {
	values := u.Query()
	values.Del(name)
	u.RawQuery = values.Encode()
}

// anotherExec has one of hundreds of sessions run another command.
func anotherExec(_ *lab, next handler) handler {
	var sessions atomic.Int64
	heard := all(at(onPod+"exec"), func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, "heard") })
	return change(func(r *http.Request) bool { return heard(r) && sessions.Add(1) == 500 }, func(r *http.Request) {
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "heard", "misheard", 1)
	})(nil, next)
}

// authorize gives the administrator's rights to who shows one of some tokens, or none.
func authorize(whom func(l *lab, token string) bool) wrong {
	return func(l *lab, next handler) handler {
		return change(func(r *http.Request) bool {
			return whom(l, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		}, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+l.token) })(l, next)
	}
}

// refuses reports whether the API refuses a token.
func (l *lab) refuses(token string) bool {
	if token == "" || token == l.token {
		return false
	}
	answer, err := l.client.AuthenticationV1().TokenReviews().Create(context.Background(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	return err == nil && !answer.Status.Authenticated
}

// mountToken has a pod that is created be given a token, whatever it asks for. Clients send it in an encoding of their choice.
func mountToken(r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err == nil {
		var decoded runtime.Object
		if decoded, _, err = scheme.Codecs.UniversalDeserializer().Decode(text, nil, &corev1.Pod{}); err == nil {
			decoded.(*corev1.Pod).Spec.AutomountServiceAccountToken = nil
			text, err = runtime.Encode(scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), decoded)
		}
	}
	if err != nil {
		text = []byte(err.Error()) // which the API refuses
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Type", runtime.ContentTypeJSON)
}
