package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

func TestHealthyBackendsTakeTurnsAndAllDoWhereFewAreHealthy(t *testing.T) {
	p := &pool{}
	if got := p.pick(); got != "" {
		t.Errorf("an empty pool gives %v", got)
	}
	for _, c := range []struct{ healthy, picked []string }{
		{[]string{"a", "b"}, []string{"a", "b"}},
		{[]string{"a"}, []string{"a", "b", "c"}},
		{nil, []string{"a", "b", "c"}},
	} {
		p.set([]string{"a", "b", "c"}, c.healthy)
		var picked []string
		for range 3 * len(c.picked) {
			picked = append(picked, p.pick())
		}
		slices.Sort(picked)
		if picked = slices.Compact(picked); !slices.Equal(picked, c.picked) {
			t.Errorf("with %v healthy, %v had connections", c.healthy, picked)
		}
	}
}

func TestABackendIsGivenUpAtAnErrorOrTheSecondSilence(t *testing.T) {
	answer := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(answer) }))
	c := &checked{}
	step := func(what string, healthy bool) {
		t.Helper()
		if c.check(server.Client(), server.URL); c.healthy != healthy {
			t.Errorf("%s: healthy is %v", what, c.healthy)
		}
	}
	step("it answers", true)
	answer = http.StatusInternalServerError
	step("it says that it is ill", false)
	answer = http.StatusOK
	step("it answers again", true)
	server.Close()
	step("it is silent", true)
	step("it stays silent", false)
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
	p := &pool{}
	p.set(nil, []string{backend.Addr().String()})

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

func TestAClientWhoseBackendRefusesLosesItsConnection(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	p := &pool{}
	p.set(nil, []string{dead.Addr().String()})
	client, balancer := net.Pipe()
	go forward(balancer, p)
	if got, err := io.ReadAll(client); err != nil || len(got) != 0 {
		t.Errorf("got %q, %v", got, err)
	}
}
