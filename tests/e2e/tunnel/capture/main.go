// Command capture runs in a node of the tests' and writes down which connections begin there: one line of JSON for each first
// packet of a TCP connection that passes an interface, in either direction. Before, it writes `ready`. When its standard input
// has a line, or ends, it writes down what passed before that, and ends.
//
//	capture INTERFACE
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/tunnel/flow"
)

const ready = "ready"

// source is an interface's packets, which are read until they end.
type source interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	Close() error
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: capture INTERFACE")
		os.Exit(2)
	}
	if err := capture(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}

// drain is how long packets may take from the interface to here.
const drain = 5 * time.Second

func capture(name string, until io.Reader, out io.Writer) error {
	packets, err := open(name)
	if err != nil {
		return fmt.Errorf("seeing the packets of %s: %w", name, err)
	}
	if _, err := fmt.Fprintln(out, ready); err != nil {
		return err
	}
	var end atomic.Pointer[time.Time]
	written := make(chan error, 1)
	go func() { written <- write(packets, json.NewEncoder(out), &end) }()
	ended := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(until).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		ended <- err
	}()
	select {
	case err := <-written:
		return errors.Join(errors.New("packets ended"), err)
	case err := <-ended:
		if err != nil {
			return err
		}
	}
	now := time.Now()
	end.Store(&now)
	select {
	case err := <-written:
		return err
	case <-time.After(drain): // no packet came since
		return nil
	}
}

// write stops at the first packet that came after the end.
func write(packets source, out *json.Encoder, end *atomic.Pointer[time.Time]) error {
	defer func() { _ = packets.Close() }()
	for {
		data, info, err := packets.ReadPacketData()
		if err != nil {
			return err
		}
		if last := end.Load(); last != nil && info.Timestamp.After(*last) {
			return nil
		}
		if begun, ok := beginning(data); ok {
			if err := out.Encode(begun); err != nil {
				return err
			}
		}
	}
}

// beginning reads the first packet of a TCP connection, and returns false of any other.
func beginning(data []byte) (flow.Flow, bool) {
	packet := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	tcp, ok := packet.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !ok || !tcp.SYN || tcp.ACK {
		return flow.Flow{}, false
	}
	from, to := packet.NetworkLayer().NetworkFlow().Endpoints()
	return flow.Flow{From: from.String(), To: to.String(), Port: uint16(tcp.DstPort)}, true
}
