package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/bench/observer"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/steady"
)

// place is where clients of the API are.
type place interface {
	name() string
	// answers counts them.
	answers(ctx context.Context) (int, error)
	// records returns what was seen so far, in order.
	records(ctx context.Context) ([]observer.Record, error)
}

// local is a place on this machine.
type local struct {
	title string

	mu   sync.Mutex
	seen []observer.Record
}

// observe runs an observer here until the context ends.
func (l *local) observe(ctx context.Context, config *rest.Config, clients int) error {
	return observer.Run(ctx, observer.Options{Config: config, Clients: clients, Keep: l.keep})
}

func (l *local) keep(record observer.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, record)
}

func (l *local) name() string { return l.title }

func (l *local) answers(context.Context) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(answersOf(l.seen)), nil
}

func (l *local) records(context.Context) ([]observer.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clip(l.seen), nil
}

// pod is a place in the cluster.
type pod struct{ node *cluster.Node }

func (p pod) name() string { return fmt.Sprintf("pod on %s (%s)", p.node.Name(), p.node.Role()) }

// answers are counted on the node, because reading them all again and again would disturb what is measured.
func (p pod) answers(ctx context.Context) (int, error) {
	script := `grep -c '^{"answer"' "$1" || [ $? = 1 ]`
	output, err := p.node.Run(ctx, cluster.Command{Args: []string{"sh", "-c", script, "sh", recordsFile}})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(output)))
}

func (p pod) records(ctx context.Context) ([]observer.Record, error) {
	file, err := p.node.ReadFile(ctx, recordsFile)
	if err != nil {
		return nil, err
	}
	return parseRecords(file.Data)
}

// parseRecords leaves out a last line that is being written.
func parseRecords(text []byte) ([]observer.Record, error) {
	var records []observer.Record
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var record observer.Record
		if err := json.Unmarshal(line, &record); err != nil {
			return nil, fmt.Errorf("%w in %q", err, line)
		}
		records = append(records, record)
	}
	return records, nil
}

// split takes apart what was seen at a place, by the address that was asked: where one answers, another need not. What is
// held is with the usual one.
func split(place string, records []observer.Record) []seen {
	all := []seen{{place: place}}
	for _, record := range records {
		name := place
		if record.Of != "" {
			name += ", at " + record.Of
		}
		i := slices.IndexFunc(all, func(s seen) bool { return s.place == name })
		if i < 0 {
			i = len(all)
			all = append(all, seen{place: name})
		}
		all[i].records = append(all[i].records, record)
	}
	return all
}

func answersOf(records []observer.Record) []steady.Answer {
	var answers []steady.Answer
	for _, record := range records {
		if record.Answer != nil {
			answers = append(answers, *record.Answer)
		}
	}
	return answers
}

func momentsOf(records []observer.Record) []observer.Moment {
	var moments []observer.Moment
	for _, record := range records {
		if record.Moment != nil {
			moments = append(moments, *record.Moment)
		}
	}
	return moments
}
