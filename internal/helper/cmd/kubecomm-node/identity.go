package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The names of the credentials that systemd passes on.
const (
	caCredential    = "ca.crt"
	tokenCredential = "token"
)

// identity is who a program is: a service account, by a token that it renews itself. A client certificate it could only
// renew if it might approve such requests, its own and anybody's, which is as good as to be an administrator. A token it
// may ask for by a right to its own name, and it ends with the service account.
//
// The token is asked for a year, and renewed long before: a machine may sleep for months. Where apiservers are told to give
// out shorter ones, it is renewed after half of what they gave.
type identity struct {
	client  *client
	account account
	log     *slog.Logger
	given   string // the file that the provider wrote, as systemd passes it on
	kept    string // the file with what was renewed since

	mu    sync.Mutex
	token token
}

// newIdentity has the client show the token that was issued last. Its errors are for the caller to judge: a program may have
// something to do without the API.
func newIdentity(client *client, account account, log *slog.Logger) (*identity, error) {
	i := &identity{
		client: client, account: account, log: log,
		given: filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), tokenCredential),
		kept:  filepath.Join(os.Getenv("STATE_DIRECTORY"), tokenCredential),
	}
	client.token = i.current
	return i, i.load(time.Now())
}

// unknownToken explains what no trying again mends.
func unknownToken(err error) error {
	return fmt.Errorf("the API doesn't know the token any more; apply the kubecomm_hardening again: %w", err)
}

const (
	tokenLifetime = 365 * 24 * time.Hour
	tokenRenewal  = 7 * 24 * time.Hour
	tokenRetry    = time.Minute
)

// token is a token with when it was issued and ends, by its own words: it is shown to who made it, and so needs no check.
type token struct {
	text            string
	issued, expires time.Time
}

func (t token) renewal() time.Time {
	if half := t.issued.Add(t.expires.Sub(t.issued) / 2); half.Before(t.issued.Add(tokenRenewal)) {
		return half
	}
	return t.issued.Add(tokenRenewal)
}

func parseToken(text string) (token, error) {
	text = strings.TrimSpace(text)
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return token{}, errors.New("it is no JSON Web Token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return token{}, errors.New("it is no JSON Web Token")
	}
	var claims struct {
		IssuedAt int64 `json:"iat"`
		Expires  int64 `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Expires == 0 {
		return token{}, errors.New("it is a JSON Web Token that doesn't say when it ends")
	}
	return token{text: text, issued: time.Unix(claims.IssuedAt, 0), expires: time.Unix(claims.Expires, 0)}, nil
}

// load takes the token that was issued last, of the one that was given and the one that was kept.
func (i *identity) load(now time.Time) error {
	var problems error
	for _, file := range []string{i.given, i.kept} {
		data, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var found token
		if err == nil {
			found, err = parseToken(string(data))
		}
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("the token in %s: %w", file, err))
		} else if found.issued.After(i.token.issued) {
			i.token = found
		}
	}
	if !now.Before(i.token.expires) {
		return errors.Join(problems, errors.New("there is no token that is valid; apply the kubecomm_hardening again"))
	}
	return nil
}

func (i *identity) current() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.token.text
}

// keepFresh renews the token until the context ends, or the API says that it isn't valid any more.
func (i *identity) keepFresh(ctx context.Context) error {
	next := i.token.renewal()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(0, time.Until(next))):
		}
		err := i.renew(ctx)
		switch {
		case err == nil:
			next = i.token.renewal()
			i.log.Info("renewed the token", "expires", i.token.expires.UTC().Format(time.RFC3339))
		case apierrors.IsUnauthorized(err):
			return unknownToken(err)
		default:
			i.log.Error("renewing the token: " + err.Error())
			next = time.Now().Add(tokenRetry)
		}
	}
}

func (i *identity) renew(ctx context.Context) error {
	text, err := i.client.requestToken(ctx, i.account.namespace, i.account.name, tokenLifetime)
	if err != nil {
		return err
	}
	renewed, err := parseToken(text)
	if err != nil {
		return err
	}
	i.mu.Lock()
	i.token = renewed
	i.mu.Unlock()
	const mode = 0o600
	if err := os.WriteFile(i.kept+".new", []byte(text), mode); err != nil { //nolint:gosec // systemd says where
		return err
	}
	return os.Rename(i.kept+".new", i.kept) //nolint:gosec // systemd says where
}
