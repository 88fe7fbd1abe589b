// Package outside is what a cluster may rely on that is none of its own: an issuer of tokens, and a webhook that decides
// what clients may do. It runs on a node, where the node's apiserver reaches it without a packet leaving the node.
package outside

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
)

// Instructions are what the server is told first on its standard input.
type Instructions struct {
	Address          string                     // to listen at
	Certificate, Key []byte                     // PEM
	Pages            map[string]json.RawMessage // what it answers to a GET, by path
}

// Ready is what it says once it listens.
const Ready = "ready\n"

// AuthorizePath is where it takes reviews of what clients may do.
const AuthorizePath = "/authorize"

// What it decides is told by how the user's name begins. Of other users it has no opinion.
const (
	Allowed = "login:allowed-"
	Denied  = "login:denied-"
	Reason  = "the policy says no" // of who is denied
)

// headerLimit bounds how long a client may take to say what it wants.
const headerLimit = 10 * time.Second

// Serve does as instructed until its input ends.
func Serve(input io.Reader, output io.Writer) error {
	var told Instructions
	if err := json.NewDecoder(input).Decode(&told); err != nil {
		return fmt.Errorf("reading instructions: %w", err)
	}
	pair, err := tls.X509KeyPair(told.Certificate, told.Key)
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", told.Address, &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: told.handler(), ReadHeaderTimeout: headerLimit}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	if _, err := io.WriteString(output, Ready); err != nil {
		return errors.Join(err, server.Close())
	}
	go func() {
		_, _ = io.Copy(io.Discard, input)
		_ = server.Close()
	}()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (i Instructions) handler() http.Handler {
	mux := http.NewServeMux()
	for path, page := range i.Pages {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { answer(w, page) })
	}
	mux.HandleFunc("POST "+AuthorizePath, func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Status = decide(review.Spec.User)
		answer(w, review)
	})
	return mux
}

func decide(user string) authorizationv1.SubjectAccessReviewStatus {
	switch {
	case strings.HasPrefix(user, Allowed):
		return authorizationv1.SubjectAccessReviewStatus{Allowed: true}
	case strings.HasPrefix(user, Denied):
		return authorizationv1.SubjectAccessReviewStatus{Denied: true, Reason: Reason}
	}
	return authorizationv1.SubjectAccessReviewStatus{}
}

func answer(w http.ResponseWriter, content any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(content) // a client that went away needs no answer
}
