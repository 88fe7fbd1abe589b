package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/tunnel/flow"
)

func packet(t *testing.T, network gopacket.SerializableLayer, tcp *layers.TCP) []byte {
	t.Helper()
	kind := layers.EthernetTypeIPv4
	if _, is := network.(*layers.IPv6); is {
		kind = layers.EthernetTypeIPv6
	}
	buffer := gopacket.NewSerializeBuffer()
	ethernet := &layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: kind}
	require.NoError(t, gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true}, ethernet, network, tcp))
	return buffer.Bytes()
}

type recorded struct{ packets [][]byte }

func (r *recorded) ReadPacketData() ([]byte, gopacket.CaptureInfo, error) {
	if len(r.packets) == 0 {
		return nil, gopacket.CaptureInfo{}, io.EOF
	}
	data := r.packets[0]
	r.packets = r.packets[1:]
	return data, gopacket.CaptureInfo{Timestamp: time.Now()}, nil
}

func (r *recorded) Close() error { return nil }

func TestOnlyBeginningsOfConnectionsAreWrittenDown(t *testing.T) {
	v4 := func() *layers.IPv4 {
		return &layers.IPv4{
			Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.IPv4(172, 18, 0, 2), DstIP: net.IPv4(172, 18, 0, 3),
		}
	}
	v6 := &layers.IPv6{
		Version: 6, NextHeader: layers.IPProtocolTCP, SrcIP: net.ParseIP("fc00::2"), DstIP: net.ParseIP("fc00::3"),
	}
	source := &recorded{packets: [][]byte{
		packet(t, v4(), &layers.TCP{SrcPort: 40000, DstPort: 10250, SYN: true}),
		packet(t, v4(), &layers.TCP{SrcPort: 10250, DstPort: 40000, SYN: true, ACK: true}),
		packet(t, v4(), &layers.TCP{SrcPort: 40000, DstPort: 10250, ACK: true}),
		packet(t, v6, &layers.TCP{SrcPort: 40000, DstPort: 22, SYN: true}),
		[]byte("no packet"),
	}}
	var out strings.Builder
	require.ErrorIs(t, write(source, json.NewEncoder(&out), new(atomic.Pointer[time.Time])), io.EOF)
	var found []flow.Flow
	for lines := json.NewDecoder(strings.NewReader(out.String())); ; {
		var one flow.Flow
		if err := lines.Decode(&one); errors.Is(err, io.EOF) {
			break
		}
		found = append(found, one)
	}
	require.Equal(t, []flow.Flow{{From: "172.18.0.2", To: "172.18.0.3", Port: 10250}, {From: "fc00::2", To: "fc00::3", Port: 22}}, found)
}

func TestWhatPassesAfterTheEndIsNotWrittenDown(t *testing.T) {
	network := &layers.IPv4{Version: 4, Protocol: layers.IPProtocolTCP, SrcIP: net.IPv4(172, 18, 0, 2), DstIP: net.IPv4(172, 18, 0, 3)}
	var out strings.Builder
	var end atomic.Pointer[time.Time]
	end.Store(new(time.Now().Add(-time.Minute)))
	source := &recorded{packets: [][]byte{packet(t, network, &layers.TCP{DstPort: 10250, SYN: true})}}
	require.NoError(t, write(source, json.NewEncoder(&out), &end))
	require.Empty(t, out.String())
}
