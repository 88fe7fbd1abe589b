package main

import "github.com/gopacket/gopacket/pcapgo"

func open(name string) (source, error) { return pcapgo.NewEthernetHandle(name) }
