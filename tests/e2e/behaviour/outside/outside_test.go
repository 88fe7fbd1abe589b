package outside

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/util/cert"
)

func TestItServesPagesAndDecidesUntilItsInputEnds(t *testing.T) {
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	require.NoError(t, err)
	address := freeAddress(t)
	input, instructions := io.Pipe()
	output, said := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(input, said) }()
	require.NoError(t, json.NewEncoder(instructions).Encode(Instructions{
		Address: address, Certificate: certificate, Key: key, Pages: map[string]json.RawMessage{"/keys": []byte(`{"keys":[]}`)},
	}))
	ready := make([]byte, len(Ready))
	_, err = io.ReadFull(output, ready)
	require.NoError(t, err)
	require.Equal(t, Ready, string(ready))

	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(certificate))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	response, err := client.Get("https://" + address + "/keys")
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.JSONEq(t, `{"keys":[]}`, string(body))
	for user, want := range map[string]authorizationv1.SubjectAccessReviewStatus{
		Allowed + "a": {Allowed: true}, Denied + "a": {Denied: true, Reason: Reason}, "somebody": {},
	} {
		review := authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user}}
		text, err := json.Marshal(review)
		require.NoError(t, err)
		response, err := client.Post("https://"+address+AuthorizePath, "application/json", bytes.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, json.NewDecoder(response.Body).Decode(&review))
		require.NoError(t, response.Body.Close())
		require.Equal(t, want, review.Status, user)
	}

	require.NoError(t, instructions.Close())
	require.NoError(t, <-ended)
	_, err = net.Dial("tcp", address)
	require.Error(t, err)
}

// freeAddress is one that nobody listens at now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

func TestInstructionsThatCannotBeReadEndIt(t *testing.T) {
	require.ErrorContains(t, Serve(bytes.NewReader([]byte("{")), io.Discard), "reading instructions")
	require.Error(t, Serve(bytes.NewReader([]byte("{}")), io.Discard), "it has no certificate")
}
