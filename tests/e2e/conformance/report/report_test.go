package report

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

func written(t *testing.T) string {
	t.Helper()
	made := Report{
		Cluster: "https://127.0.0.1:6443", Version: "v1.37.1", Expectation: "profile baseline, tunnel none",
		Begun: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Elapsed: 61 * time.Second,
		Results: []suite.Result{
			{Check: suite.Check{ID: "b/refused", Sentence: "it is refused", Answers: []string{"C3"}}, Verdict: suite.Failed,
				Reason: "nothing | refused it\nat all", Evidence: []suite.Note{{Text: "GET / → 200 <html>"}}},
			{Check: suite.Check{ID: "a/shown", Sentence: "it is shown", Answers: []string{"C8", "A9"}}, Verdict: suite.Passed,
				Evidence: []suite.Note{{Text: "an expired certificate was accepted", Unsafe: true}}},
			{Check: suite.Check{ID: "c/looked", Sentence: "it is looked at", Answers: []string{"N1"}}, Verdict: suite.Skipped,
				Reason: "there is no worker"},
		},
	}
	made.Sort()
	folder := filepath.Join(t.TempDir(), "results")
	require.NoError(t, made.Write(folder))
	return folder
}

func TestMarkdownHasALineForEachCheckAndTheEvidenceOfFailures(t *testing.T) {
	folder := written(t)
	page, err := os.ReadFile(filepath.Join(folder, MarkdownFile))
	require.NoError(t, err)
	for _, want := range []string{
		"Kubernetes v1.37.1, expected: profile baseline, tunnel none. 1 passed, 1 failed, 1 skipped in 1m1s.",
		"| a/shown | it is shown | C8, A9 | passed | 0s | **unsafe**: an expired certificate was accepted |\n",
		`| b/refused | it is refused | C3 | **failed** | 0s | nothing \| refused it at all |` + "\n",
		"| c/looked | it is looked at | N1 | skipped | 0s | there is no worker |\n",
		"## b/refused\n\nit is refused\n",
		"- GET / → 200 &lt;html>\n",
	} {
		assert.Contains(t, string(page), want)
	}
	assert.NotContains(t, string(page), "## a/shown")
}

func TestJSONHasTheCountsAndEveryCheck(t *testing.T) {
	folder := written(t)
	text, err := os.ReadFile(filepath.Join(folder, JSONFile))
	require.NoError(t, err)
	var read struct {
		Passed, Failed, Skipped int
		Checks                  []struct{ ID, Verdict, Reason string }
	}
	require.NoError(t, json.Unmarshal(text, &read))
	assert.Equal(t, []int{1, 1, 1}, []int{read.Passed, read.Failed, read.Skipped})
	assert.Equal(t, "b/refused", read.Checks[1].ID)
	assert.Equal(t, "failed", read.Checks[1].Verdict)
}

func TestJUnitHasATestCaseForEachCheck(t *testing.T) {
	folder := written(t)
	text, err := os.ReadFile(filepath.Join(folder, JUnitFile))
	require.NoError(t, err)
	var read junit.Testsuites
	require.NoError(t, xml.Unmarshal(text, &read))
	require.Equal(t, []int{3, 1, 1}, []int{read.Tests, read.Failures, read.Skipped})
	failed := read.Suites[0].Testcases[1]
	assert.Equal(t, "b", failed.Classname)
	assert.Equal(t, "refused", failed.Name)
	assert.Equal(t, "nothing | refused it", failed.Failure.Message)
	assert.Contains(t, failed.SystemOut.Data, "GET / → 200 <html>")
}
