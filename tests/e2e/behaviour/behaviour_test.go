package behaviour

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

func TestEverySettingHasAPairOrAReasonWhyNot(t *testing.T) {
	pairs := map[string]Pair{}
	for _, pair := range Pairs() {
		require.NotContains(t, pairs, pair.Setting, "it has two pairs")
		pairs[pair.Setting] = pair
	}
	for _, setting := range settings.Managed() {
		_, shown := pairs[setting.Name]
		reason, unshown := Unshown()[setting.Name]
		require.NotEqual(t, shown, unshown, "%s needs either a pair or a reason", setting.Name)
		require.Equal(t, unshown, reason != "", setting.Name)
	}
	require.Len(t, settings.Managed(), len(pairs)+len(Unshown()), "what isn't a setting can't be shown")
}

func TestEveryPairTellsValuesApartByTheirAnswers(t *testing.T) {
	for _, pair := range Pairs() {
		t.Run(pair.Setting, func(t *testing.T) {
			differences := 0
			for state, answer := range pair.Answers {
				require.NotEmpty(t, answer)
				require.Contains(t, States(), state)
				for other, otherAnswer := range pair.Answers {
					if answer != otherAnswer {
						differences++
						require.NotEqual(t, pair.Values.In(state), pair.Values.In(other), "%q and %q", answer, otherAnswer)
					}
				}
			}
			require.Positive(t, differences, "it would pass if the setting had no effect")
			require.NotEmpty(t, pair.Shows)
		})
	}
}

func TestWhatThePairsEndWithCanBeDeclared(t *testing.T) {
	for _, state := range []State{Second, Third} {
		declared := map[string]settings.Value{}
		for _, pair := range Pairs() {
			declared[pair.Setting] = pair.Values.In(state)
		}
		require.Empty(t, settings.Check(declared), state)
	}
}

func TestTheThirdApplyChangesTheAuthorizersAlone(t *testing.T) {
	for _, pair := range Pairs() {
		_, changed := pair.Values[Third]
		require.Equal(t, strings.HasPrefix(pair.Setting, "apiserver.authoriz"), changed, pair.Setting)
	}
}

func TestByHandTheKubeletAloneIsConfigured(t *testing.T) {
	for _, pair := range Pairs() {
		for _, setting := range settings.Managed() {
			if setting.Name == pair.Setting && pair.Values[Before] != nil {
				require.NotEmpty(t, setting.Field, setting.Name)
			}
		}
	}
}
