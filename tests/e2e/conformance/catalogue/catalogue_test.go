package catalogue

import (
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

var cisID = regexp.MustCompile(`^CIS \d+\.\d+(\.\d+)?$`)

func TestEveryCheckSaysWhatItProvesAndWhatItAnswers(t *testing.T) {
	seen := map[string]bool{}
	for _, check := range All() {
		assert.Regexp(t, `^[a-z-]+/[a-z0-9-]+$`, check.ID)
		assert.False(t, seen[check.ID], "two checks are %s", check.ID)
		seen[check.ID] = true
		assert.NotEmpty(t, check.Sentence, check.ID)
		assert.NotNil(t, check.Try, check.ID)
		assert.NotEmpty(t, check.Answers, check.ID)
		for _, answered := range check.Answers {
			known := slices.ContainsFunc(suite.Statements(), func(s suite.Statement) bool { return s.ID == answered })
			assert.True(t, known || cisID.MatchString(answered), "%s answers %s, which is no statement", check.ID, answered)
		}
	}
}

func TestARefusalThatIsAssertedHasAPositiveControl(t *testing.T) {
	for _, check := range All() {
		assert.Equal(t, check.Refusal != "", check.Control != nil, check.ID)
	}
}

func TestEveryStatementThatHoldsTodayIsAnswered(t *testing.T) {
	answered := map[string]bool{}
	for _, check := range All() {
		for _, id := range check.Answers {
			answered[id] = true
		}
	}
	for _, statement := range suite.Statements() {
		assert.True(t, answered[statement.ID], "%s %s", statement.ID, statement.Text)
	}
}
