package observer

import (
	"time"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// Record is one thing that an observer saw: an answer, or a moment.
type Record struct {
	Answer *steady.Answer `json:"answer,omitempty"`
	Of     string         `json:"of,omitempty"` // the address that was asked, where it isn't the usual one
	Moment *Moment        `json:"moment,omitempty"`
}

// Moment is when something happened to a held connection.
type Moment struct {
	Thing string    `json:"thing"` // the connection's name
	At    time.Time `json:"at"`
	What  What      `json:"what"`
	Why   string    `json:"why,omitempty"`
}

// What can happen to a held connection.
type What string

// What happens to every held connection, and to watches alone.
const (
	Began   What = "began"
	Heard   What = "heard" // something arrived by it
	Ended   What = "ended"
	Refused What = "refused" // to begin again

	Lost     What = "lost"     // a change that was never heard of
	Repeated What = "repeated" // a change that had been heard of before
	Relisted What = "relisted" // where it was could not be continued from
)
