package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
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

// pick returns the backend of the next connection: the healthy ones take turns, or all of them where fewer than half are
// healthy (Envoy's panic threshold). It is empty where there is none.
func (p *pool) pick() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.healthy
	if 2*len(list) < len(p.all) {
		list = p.all
	}
	if len(list) == 0 {
		return ""
	}
	p.next++
	return list[p.next%len(list)]
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
	health := map[string]*checked{}
	for ctx.Err() == nil {
		content, _ := os.ReadFile(file)
		var all, healthy []string
		for _, name := range backends(string(content)) {
			address, err := net.ResolveTCPAddr("tcp", name)
			if err != nil {
				continue // a node that is not there any more
			}
			all = append(all, address.String())
		}
		var wg sync.WaitGroup
		for _, address := range all {
			if health[address] == nil {
				health[address] = &checked{}
			}
			wg.Go(func() { health[address].check(client, "https://"+address+"/healthz") })
		}
		wg.Wait()
		for _, address := range all {
			if health[address].healthy {
				healthy = append(healthy, address)
			}
		}
		p.set(all, healthy)
		time.Sleep(interval)
	}
}

// checked is what is known of a backend's health.
type checked struct {
	healthy bool
	missed  int // checks in a row without an answer
}

// check believes any answer at once, and that there is none at the second time: kind's unhealthy_threshold.
func (c *checked) check(client *http.Client, url string) {
	response, err := client.Get(url)
	if err != nil {
		c.missed++
		c.healthy = c.healthy && c.missed < 2
		return
	}
	response.Body.Close()
	c.missed, c.healthy = 0, response.StatusCode == http.StatusOK
}
