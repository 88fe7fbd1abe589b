package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/approver"
)

// lab is a server that answers as an API would that knows one token, and an approver's files.
type lab struct {
	t        *testing.T
	mu       sync.Mutex
	known    []string
	requests []certificatesv1.CertificateSigningRequest
	approved chan certificatesv1.CertificateSigningRequest
	told     chan eventsv1.Event
	asked    chan authenticationv1.TokenRequest
	config   string // the file
	given    string // the file with the token
	kept     string // the file with the renewed one
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{
		t: t, approved: make(chan certificatesv1.CertificateSigningRequest, 8), told: make(chan eventsv1.Event, 8),
		asked: make(chan authenticationv1.TokenRequest, 8), known: []string{tokenOf(time.Now(), time.Hour)},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+requestsPath, l.list)
	mux.HandleFunc("PUT "+requestsPath+"/{name}/approval", func(w http.ResponseWriter, r *http.Request) { receive(l, w, r, l.approved) })
	mux.HandleFunc("POST /apis/events.k8s.io/v1/namespaces/default/events", func(w http.ResponseWriter, r *http.Request) { receive(l, w, r, l.told) })
	mux.HandleFunc("POST /api/v1/namespaces/kube-system/serviceaccounts/approver/token", l.giveToken)
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	credentials, state := t.TempDir(), t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	t.Setenv("STATE_DIRECTORY", state)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(filepath.Join(credentials, caCredential), ca, 0o600))
	l.given, l.kept = filepath.Join(credentials, tokenCredential), filepath.Join(state, tokenCredential)
	l.config = filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.WriteFile(l.given, []byte(l.known[0]), 0o600))
	require.NoError(t, os.WriteFile(l.config, approver.Config{
		Server: server.URL, ServerName: "example.com", Namespace: "kube-system", ServiceAccount: "approver", Instance: "cp",
		Nodes: approver.Nodes{"worker": {netip.MustParseAddr("172.18.0.3")}},
	}.Encode(), 0o600))
	return l
}

// run approves until what is wanted has happened, and returns how the approver ended.
func (l *lab) run(until func()) error {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- approve(ctx, slog.New(slog.NewTextHandler(io.Discard, nil)), l.config) }()
	if until != nil {
		until()
		cancel()
	}
	return <-ended
}

func tokenOf(issued time.Time, lifetime time.Duration) string {
	claims := fmt.Sprintf(`{"iat":%d,"exp":%d}`, issued.Unix(), issued.Add(lifetime).Unix())
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".signature"
}

func (l *lab) refuses(w http.ResponseWriter, r *http.Request) bool {
	l.mu.Lock()
	known := slices.Contains(l.known, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	l.mu.Unlock()
	if known {
		return false
	}
	answer(w, http.StatusUnauthorized, metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Reason: metav1.StatusReasonUnauthorized, Code: 401,
	})
	return true
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func (l *lab) list(w http.ResponseWriter, r *http.Request) {
	switch {
	case l.refuses(w, r):
	case r.URL.Query().Get("fieldSelector") != "spec.signerName=kubernetes.io/kubelet-serving":
		answer(w, http.StatusBadRequest, nil)
	case r.URL.Query().Get("sendInitialEvents") == "true": // as older apiservers answer
		answer(w, http.StatusUnprocessableEntity, metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Reason: metav1.StatusReasonInvalid, Code: 422,
		})
	case r.URL.Query().Get("watch") == "true":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	default:
		answer(w, http.StatusOK, certificatesv1.CertificateSigningRequestList{
			TypeMeta: metav1.TypeMeta{APIVersion: "certificates.k8s.io/v1", Kind: "CertificateSigningRequestList"},
			ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: l.requests,
		})
	}
}

func receive[T any](l *lab, w http.ResponseWriter, r *http.Request, to chan<- T) {
	if l.refuses(w, r) {
		return
	}
	var body T
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		l.t.Error(err)
	}
	to <- body
	answer(w, http.StatusOK, body)
}

func (l *lab) giveToken(w http.ResponseWriter, r *http.Request) {
	if l.refuses(w, r) {
		return
	}
	var asked authenticationv1.TokenRequest
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		l.t.Error(err)
	}
	asked.Status.Token = tokenOf(time.Now(), time.Hour)
	l.mu.Lock()
	l.known = append(l.known, asked.Status.Token)
	l.mu.Unlock()
	l.asked <- asked
	answer(w, http.StatusCreated, asked)
}

func requestOf(t *testing.T, name, dnsName string) certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:node:worker", Organization: []string{"system:nodes"}}, DNSNames: []string{dnsName},
	}, key)
	require.NoError(t, err)
	return certificatesv1.CertificateSigningRequest{
		TypeMeta:   metav1.TypeMeta{APIVersion: "certificates.k8s.io/v1", Kind: "CertificateSigningRequest"},
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "0123", ResourceVersion: "7"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: certificatesv1.KubeletServingSignerName, Username: "system:node:worker", Groups: []string{"system:nodes"},
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth},
		},
	}
}

func TestOfTheRequestsThatWaitTheRightOneIsApprovedAndOfTheOtherIsToldWhyNot(t *testing.T) {
	l := newLab(t)
	l.requests = append(l.requests, requestOf(t, "rogue", "kubernetes.default.svc"), requestOf(t, "right", "worker"))
	require.NoError(t, l.run(func() {
		approved, event := <-l.approved, <-l.told
		require.Equal(t, "right", approved.Name)
		require.Equal(t, "7", approved.ResourceVersion, "what is approved is what was judged")
		require.Equal(t, "rogue", event.Regarding.Name)
		require.Equal(t, string(approver.ForeignNames), event.Reason)
	}))
	require.Empty(t, l.approved)
}

func TestAnApproverWhoseTokenTheAPIDoesNotKnowEndsAndSaysWhatToDo(t *testing.T) {
	l := newLab(t)
	l.known = []string{"another"}
	require.ErrorContains(t, l.run(nil), "apply the kubecomm_hardening again")
}

func TestATokenHalfOfWhoseLifeIsOverIsRenewedAndKept(t *testing.T) {
	l := newLab(t)
	l.known = []string{tokenOf(time.Now().Add(-40*time.Minute), time.Hour)}
	require.NoError(t, os.WriteFile(l.given, []byte(l.known[0]), 0o600))
	require.NoError(t, l.run(func() {
		asked := <-l.asked
		require.Equal(t, int64(tokenLifetime/time.Second), *asked.Spec.ExpirationSeconds)
		require.Eventually(t, func() bool { _, err := os.Stat(l.kept); return err == nil }, 5*time.Second, 10*time.Millisecond)
	}))
	kept, err := os.ReadFile(l.kept)
	require.NoError(t, err)
	require.Equal(t, l.known[1], string(kept))
}

func TestOfTwoTokensTheLaterOneCounts(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	older, newer, over := tokenOf(now.Add(-time.Hour), 24*time.Hour), tokenOf(now, time.Hour), tokenOf(now.Add(-3*time.Hour), time.Hour)
	tests := map[string]struct{ given, kept, want, problem string }{
		"what was renewed":                          {older, newer, newer, ""},
		"what was given by an apply since":          {newer, older, newer, ""},
		"what was given first":                      {given: newer, want: newer},
		"none that has ended":                       {given: over, problem: "apply the kubecomm_hardening again"},
		"none at all":                               {problem: "apply the kubecomm_hardening again"},
		"what was given, where what was kept broke": {newer, "half a tok", newer, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			i := &identity{given: filepath.Join(folder, "given"), kept: filepath.Join(folder, "kept")}
			for file, content := range map[string]string{i.given: test.given, i.kept: test.kept} {
				if content != "" {
					require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
				}
			}
			err := i.load(now)
			if test.problem != "" {
				require.ErrorContains(t, err, test.problem)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, i.current())
		})
	}
}

func TestATokenIsRenewedAfterAWeekOrHalfItsLifeWhateverComesFirst(t *testing.T) {
	issued := time.Unix(1_800_000_000, 0)
	for lifetime, want := range map[time.Duration]time.Duration{
		365 * 24 * time.Hour: 7 * 24 * time.Hour, 24 * time.Hour: 12 * time.Hour, time.Hour: 30 * time.Minute,
	} {
		parsed, err := parseToken(tokenOf(issued, lifetime))
		require.NoError(t, err)
		require.Equal(t, issued.Add(want), parsed.renewal())
	}
}
