// Package steady is a client of the API that asks for something small again and again, by a new connection each time,
// and keeps what became of each request: for tests of what clients notice while a cluster is changed.
package steady

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

const (
	// defaultPace makes it a client and no load test.
	defaultPace = 20 * time.Millisecond
	// answerLimit is how long an answer may take before the request counts as failed.
	answerLimit = 10 * time.Second
)

// Options are what a client asks, and how.
type Options struct {
	Config *rest.Config
	// Do is what is done in place of a request; nil makes requests. It needs no Config.
	Do func(ctx context.Context) error
	// Request makes the next request; nil asks for the default namespace.
	Request func(ctx context.Context, host string) (*http.Request, error)
	Pace    time.Duration // the least time between two requests; 0 means 20 ms
	Keep    func(Answer)  // is given each answer instead of it being kept in memory; may be nil
}

// Answer is what became of a request.
type Answer struct {
	Asked  time.Time     `json:"asked"`
	Took   time.Duration `json:"took"`
	Stages Stages        `json:"stages"`
	Error  string        `json:"error,omitempty"` // also if the status is no success
}

func (a Answer) ended() time.Time { return a.Asked.Add(a.Took) }

// Client is a client that runs.
type Client struct {
	started time.Time
	cancel  context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	answers []Answer
}

// Start starts a client. It goes on until it is stopped or the context ends.
func Start(ctx context.Context, options Options) (*Client, error) {
	if options.Request == nil {
		options.Request = Get("/api/v1/namespaces/default")
	}
	if options.Do == nil {
		httpClient, err := newHTTPClient(options.Config)
		if err != nil {
			return nil, err
		}
		options.Do = func(ctx context.Context) error { return ask(ctx, httpClient, options) }
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &Client{started: time.Now(), cancel: cancel, done: make(chan struct{})}
	if options.Pace == 0 {
		options.Pace = defaultPace
	}
	if options.Keep == nil {
		options.Keep = c.keep
	}
	go func() {
		defer close(c.done)
		run(ctx, options)
	}()
	return c, nil
}

// Get asks for a path.
func Get(path string) func(context.Context, string) (*http.Request, error) {
	return func(ctx context.Context, host string) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, host+path, nil)
	}
}

func newHTTPClient(config *rest.Config) (*http.Client, error) {
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, err
	}
	transport, err := rest.HTTPWrappersForConfig(config, &http.Transport{TLSClientConfig: tlsConfig, DisableKeepAlives: true})
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: transport, Timeout: answerLimit}, nil
}

func run(ctx context.Context, options Options) {
	pace := time.NewTicker(options.Pace)
	defer pace.Stop()
	for {
		answer := Answer{Asked: time.Now()}
		watch := stopwatch{asked: answer.Asked}
		if err := options.Do(watch.watch(ctx)); err != nil {
			answer.Error = err.Error()
		}
		answer.Took, answer.Stages = time.Since(answer.Asked), watch.stages()
		if ctx.Err() != nil {
			return
		}
		options.Keep(answer)
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask reads the whole answer: one that breaks off is a failure too.
func ask(ctx context.Context, client *http.Client, options Options) error {
	request, err := options.Request(ctx, options.Config.Host)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %.200s", response.Status, body)
	}
	return nil
}

func (c *Client) keep(answer Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, answer)
}

// Answers returns what was kept so far.
func (c *Client) Answers() []Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Answer(nil), c.answers...)
}

// Stop ends the client and says what became of its requests. One that had no answer yet counts only for the gap.
func (c *Client) Stop() Report {
	stopped := time.Now()
	c.cancel()
	<-c.done
	return Summarize(c.Answers(), Window{From: c.started, To: stopped})
}
