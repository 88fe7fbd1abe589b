package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"sync"
	"time"
)

// pool is the set of backends and which of them answer.
type pool struct {
	mu      sync.Mutex
	all     []string
	healthy []string
	next    int
}

// order returns the backends to try for one connection: the healthy ones from
// the next in turn, or all of them while none has been seen healthy.
func (p *pool) order() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.healthy
	if len(list) == 0 {
		list = p.all
	}
	if len(list) == 0 {
		return nil
	}
	p.next++
	i := p.next % len(list)
	return append(slices.Clone(list[i:]), list[:i]...)
}

func (p *pool) set(all, healthy []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.healthy, healthy) {
		fmt.Printf("backends: %v, healthy: %v\n", all, healthy)
	}
	p.all, p.healthy = all, healthy
}

var endpoint = regexp.MustCompile(`(?m)^\s*address:\s*"?([^\s"{]+)"?\s*\n\s*port_value:\s*(\d+)`)

// backends reads the endpoints from kind's cluster file.
func backends(cds string) []string {
	var found []string
	for _, m := range endpoint.FindAllStringSubmatch(cds, -1) {
		found = append(found, m[1]+":"+m[2])
	}
	return found
}

// watch keeps the pool in step with the file, which kind replaces once the
// nodes are up, and with the backends' health.
func watch(ctx context.Context, p *pool, file string) {
	client := &http.Client{
		Timeout: 3 * time.Second,
		Transport: &http.Transport{
			// kind's file says ACCEPT_UNTRUSTED: only life is asked for here, the
			// client on the other side of the connection verifies for itself.
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			DisableKeepAlives: true,
		},
	}
	for ctx.Err() == nil {
		content, _ := os.ReadFile(file)
		all := backends(string(content))
		alive := make([]bool, len(all))
		var wg sync.WaitGroup
		for i, b := range all {
			wg.Go(func() {
				resp, err := client.Get("https://" + b + "/healthz")
				if err == nil {
					resp.Body.Close()
					alive[i] = resp.StatusCode == http.StatusOK
				}
			})
		}
		wg.Wait()
		var healthy []string
		for i, b := range all {
			if alive[i] {
				healthy = append(healthy, b)
			}
		}
		p.set(all, healthy)
		time.Sleep(interval)
	}
}
