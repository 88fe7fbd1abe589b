// Package flow is what a capture of packets says of connections.
package flow

// Flow is a TCP connection that began.
type Flow struct {
	From string `json:"from"` // an address
	To   string `json:"to"`   // an address
	Port uint16 `json:"port"` // at To
}
