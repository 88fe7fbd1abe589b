package wire

import "sync"

// Drain counts what is open on a connection, and says when nothing is any more after it was closed to others.
type Drain struct {
	mu     sync.Mutex
	open   int
	closed bool
	empty  chan struct{}
}

// NewDrain begins with nothing open.
func NewDrain() *Drain { return &Drain{empty: make(chan struct{})} }

// Enter counts one more, who has to leave; false once it is closed.
func (d *Drain) Enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.open++
	}
	return !d.closed
}

// Leave counts one less.
func (d *Drain) Leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open--
	if d.closed && d.open == 0 {
		close(d.empty)
	}
}

// Close lets nobody in any more. What it returns is closed when nobody is in.
func (d *Drain) Close() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed && d.open == 0 {
		close(d.empty)
	}
	d.closed = true
	return d.empty
}

// Open is how many are in.
func (d *Drain) Open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}
