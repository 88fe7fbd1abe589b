package main

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// clusters is what kind v0.33.0 writes for Envoy, shortened.
const clusters = `
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: kube_apiservers
  load_assignment:
    cluster_name: kube_apiservers
    endpoints:
    - lb_endpoints:
      - endpoint:
          address:
            socket_address:
              address: dev-control-plane
              port_value: 6443
      - endpoint:
          address:
            socket_address:
              address: dev-control-plane2
              port_value: 6443
`

func TestBackendsAreReadFromKindsFile(t *testing.T) {
	if got, want := backends(clusters), []string{"dev-control-plane:6443", "dev-control-plane2:6443"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := backends("resources: []"); len(got) != 0 {
		t.Errorf("got %v from kind's first, empty file", got)
	}
}

func TestHealthyBackendsTakeTurnsAndAllAreTriedWhereNoneIs(t *testing.T) {
	p := &pool{}
	if got := p.order(); got != nil {
		t.Errorf("an empty pool gives %v", got)
	}
	p.set([]string{"a", "b", "c"}, []string{"a", "b"})
	first, second := p.order(), p.order()
	if first[0] == second[0] || len(first) != 2 {
		t.Errorf("got %v, then %v", first, second)
	}
	p.set([]string{"a", "b"}, nil)
	if got := p.order(); len(got) != 2 {
		t.Errorf("with none healthy got %v", got)
	}
}

func TestAConnectionReachesALiveBackendAndMayBeHalfClosed(t *testing.T) {
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	go func() {
		c, err := backend.Accept()
		if err != nil {
			return
		}
		b, _ := io.ReadAll(c) // ends when the client closes its half
		_, _ = c.Write(append([]byte("got "), b...))
		c.Close()
	}()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	p := &pool{next: 1}
	p.set(nil, []string{dead.Addr().String(), backend.Addr().String()})

	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	go func() {
		c, err := front.Accept()
		if err == nil {
			forward(c, p)
		}
	}()
	client, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(front.Addr().String())))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || string(got) != "got hello" {
		t.Errorf("got %q, %v", got, err)
	}
}
