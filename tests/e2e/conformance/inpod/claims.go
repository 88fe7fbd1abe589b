package inpod

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// claims are what a service account's token says.
type claims struct {
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	Audience   []string `json:"aud"`
	IssuedAt   int64    `json:"iat"`
	Expiry     int64    `json:"exp"`
	Kubernetes struct {
		Namespace string `json:"namespace"`
		Pod       named  `json:"pod"`
		Node      named  `json:"node"`
		Account   named  `json:"serviceaccount"`
		WarnAfter int64  `json:"warnafter"`
	} `json:"kubernetes.io"`
}

type named struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// parseClaims doesn't verify: whether a token is good, apiservers are asked. Its errors say nothing of the token.
func parseClaims(token string) (claims, error) {
	var found claims
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return found, fmt.Errorf("the token has %d parts, not 3", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return found, errors.New("the token's claims aren't base64")
	}
	if err := json.Unmarshal(payload, &found); err != nil {
		return found, errors.New("the token's claims aren't those of a service account's")
	}
	return found, nil
}

// length is how long the token is good for.
func (c claims) length() time.Duration { return time.Duration(c.Expiry-c.IssuedAt) * time.Second }

// issuedAfter is how much later than another the token was issued.
func (c claims) issuedAfter(other claims) time.Duration {
	return time.Duration(c.IssuedAt-other.IssuedAt) * time.Second
}

func (c claims) String() string {
	text := fmt.Sprintf("claims: issuer %s, subject %s, audience %s, pod %s, node %s, good for %s",
		c.Issuer, c.Subject, strings.Join(c.Audience, " "), c.Kubernetes.Pod.Name, c.Kubernetes.Node.Name, c.length())
	if c.Kubernetes.WarnAfter != 0 {
		text += fmt.Sprintf(", warned of after %s", time.Duration(c.Kubernetes.WarnAfter-c.IssuedAt)*time.Second)
	}
	return text
}

// belongTo demands that the claims name an account, and a pod.
func (c claims) belongTo(namespace, account, pod, uid string) error {
	if subject := "system:serviceaccount:" + namespace + ":" + account; c.Subject != subject {
		return fmt.Errorf("the token is of %s, not of %s", c.Subject, subject)
	}
	if found := c.Kubernetes; found.Namespace != namespace || found.Account.Name != account {
		return fmt.Errorf("the token names account %s/%s, not %s/%s", found.Namespace, found.Account.Name, namespace, account)
	}
	if found := c.Kubernetes.Pod; found.Name != pod || found.UID != uid {
		return fmt.Errorf("the token names pod %s (%s), not %s (%s)", found.Name, found.UID, pod, uid)
	}
	return nil
}
