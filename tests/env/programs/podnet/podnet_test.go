package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func decodeNode(t *testing.T, text string) node {
	t.Helper()
	var n node
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEachPodSubnetIsRoutedByTheNodesAddressOfItsFamily(t *testing.T) {
	n := decodeNode(t, `{"metadata":{"name":"w"},"spec":{"podCIDRs":["10.244.1.0/24","fd00:10:244:1::/64"]},
		"status":{"addresses":[{"type":"Hostname","address":"w"},{"type":"InternalIP","address":"172.18.0.3"},{"type":"InternalIP","address":"fc00::3"}]}}`)
	want := []route{{"10.244.1.0/24", "172.18.0.3"}, {"fd00:10:244:1::/64", "fc00::3"}}
	if got := routes(n); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestANodeWithoutAnAddressOrSubnetHasNoRouteYet(t *testing.T) {
	for _, text := range []string{`{"spec":{"podCIDRs":["10.244.1.0/24"]}}`, `{"status":{"addresses":[{"type":"InternalIP","address":"172.18.0.3"}]}}`} {
		if got := routes(decodeNode(t, text)); len(got) != 0 {
			t.Errorf("got %v for %s", got, text)
		}
	}
}

func TestTheConfigurationIsWrittenWholeAndOnlyOnceForTheSameSubnets(t *testing.T) {
	n := &network{confDir: t.TempDir(), mtu: 1400}
	if err := n.configure(nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(n.confDir, "10-kindnet.conflist")
	if _, err := os.Stat(path); err == nil {
		t.Error("written without a subnet")
	}
	if err := n.configure([]string{"10.244.1.0/24"}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var conf struct {
		Plugins []struct {
			Type string
			MTU  int
			IPAM struct {
				Ranges [][]struct{ Subnet string }
				Routes []struct{ Dst string }
			}
		}
	}
	if err := json.Unmarshal(content, &conf); err != nil {
		t.Fatal(err)
	}
	ptp := conf.Plugins[0]
	if ptp.Type != "ptp" || ptp.MTU != 1400 || ptp.IPAM.Ranges[0][0].Subnet != "10.244.1.0/24" || ptp.IPAM.Routes[0].Dst != "0.0.0.0/0" {
		t.Errorf("got %s", content)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := n.configure([]string{"10.244.1.0/24"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("written again without a change")
	}
}

func TestTheManifestBearsKindsMarksAndNamesItsImageOnce(t *testing.T) {
	b, err := os.ReadFile("manifest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, mark := range []string{"would you kindly template this file", "would you kindly patch this file", "{{ .PodSubnet }}"} {
		if !strings.Contains(text, mark) {
			t.Errorf("no %q", mark)
		}
	}
	if n := strings.Count(text, "PODNET_IMAGE"); n != 1 {
		t.Errorf("the image's place appears %d times", n)
	}
}
