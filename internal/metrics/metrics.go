// Package metrics reads what components say that they have counted, in the text format that Prometheus collects.
package metrics

import (
	"bytes"
	"fmt"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Labels are some of a sample's, by name.
type Labels map[string]string

// Sum adds up the samples of a metric that have at least those labels. What has labels is not there until something was counted:
// where there is no sample, the sum is 0. It returns an error if a sample of the metric can't be read.
func Sum(text []byte, name string, labels Labels) (int, error) {
	samples := samplesOf(text, name)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(samples))
	if err != nil {
		return 0, fmt.Errorf("reading metric %s: %w", name, err)
	}
	total := 0.0
	for _, sample := range families[name].GetMetric() {
		if labels.in(sample.GetLabel()) {
			total += sample.GetUntyped().GetValue()
		}
	}
	return int(total), nil
}

// samplesOf leaves out what isn't asked for: apiservers have megabytes of metrics. Without the line that says a metric's type,
// the parser takes what is left as it is, be it a counter or a histogram's count.
func samplesOf(text []byte, name string) []byte {
	var samples bytes.Buffer
	for line := range bytes.Lines(text) {
		rest, found := bytes.CutPrefix(line, []byte(name))
		if found && bytes.IndexAny(rest, "{ ") == 0 {
			samples.Write(bytes.TrimSuffix(line, []byte("\n")))
			samples.WriteByte('\n')
		}
	}
	return samples.Bytes()
}

func (l Labels) in(pairs []*dto.LabelPair) bool {
	for name, value := range l {
		same := func(pair *dto.LabelPair) bool { return pair.GetName() == name && pair.GetValue() == value }
		if !slices.ContainsFunc(pairs, same) {
			return false
		}
	}
	return true
}
