package workload

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// forwardOver opens a port to the pod's server and asks it for an echo, and who it is.
func forwardOver(transport tunnelTransport) func(context.Context, Pod) error {
	return func(ctx context.Context, pod Pod) error {
		forwardCtx, stop := context.WithCancel(ctx)
		defer stop()
		ready, ended := make(chan struct{}), make(chan error, 1)
		var problems bytes.Buffer
		forwarder, err := transport(forwardCtx, pod, tunnel{ready, &problems})
		if err != nil {
			return err
		}
		go func() { ended <- forwarder.ForwardPorts() }()
		select {
		case <-ready:
		case err := <-ended:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		forwarded, err := forwarder.GetPorts()
		if err != nil {
			return err
		}
		err = askServer(ctx, pod, fmt.Sprintf("http://127.0.0.1:%d", forwarded[0].Local))
		stop()
		if ending := <-ended; err != nil {
			return fmt.Errorf("%w: %s", errors.Join(err, ending), problems.String())
		}
		return nil
	}
}

func askServer(ctx context.Context, pod Pod, address string) error {
	word := rand.Text()
	// A pod's host name is the pod's name, cut to what a host name may have.
	for path, wanted := range map[string]string{"/echo?msg=" + word: word, "/hostname": pod.Hostname()} {
		answer, err := get(ctx, address+path)
		if err != nil {
			return err
		}
		if answer != wanted {
			return fmt.Errorf("GET %s answered %q, not %q", path, answer, wanted)
		}
	}
	return nil
}

// Hostname is what the pod's server says that it is called.
func (p Pod) Hostname() string {
	const limit = 63
	return strings.TrimRight(p.name[:min(limit, len(p.name))], "-.")
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	// Neither a proxy nor a connection that another forwarding left open.
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}
