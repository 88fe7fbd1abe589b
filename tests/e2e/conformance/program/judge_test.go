package program

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
)

// hardened is a run on a hardened cluster, with what is changed in it.
func hardened(code int, changed map[string]string) Outcome {
	verdicts := map[string]string{
		Verified: Passed, "kubelet-paths/rogue-stranger": Passed, "outside/browser": Skipped,
		"control-plane/declared-tls-curves": Skipped, "tunnel/konnectivity-agents": Skipped,
		"tunnel/ssh-connections": Skipped,
	}
	maps.Copy(verdicts, changed)
	return Outcome{Code: code, Verdicts: verdicts, Reasons: map[string]string{}}
}

func TestAHardenedClusterHasAllChecksPassedButThoseThatMayBeLeftOut(t *testing.T) {
	assert.Empty(t, hardened(0, nil).NotHardened())
}

func TestWhatFailedOrWasSkippedWithoutNeedIsToldWithItsReason(t *testing.T) {
	o := hardened(1, map[string]string{Verified: Failed, "in-pod/token": Skipped, "outside/browser": Failed})
	o.Reasons = map[string]string{Verified: "a stranger was believed"}
	assert.Equal(t, []string{
		"the program ended with code 1, and not 0",
		"in-pod/token skipped",
		"kubelet-paths/kubelets-verified failed (a stranger was believed)",
		"outside/browser failed",
	}, o.NotHardened())
}

func TestARunWithoutTheCheckOfVerificationProvesNothing(t *testing.T) {
	none := Outcome{}
	assert.Equal(t, []string{"kubelet-paths/kubelets-verified was not done"}, none.NotHardened())
	none.Code = 1
	assert.Equal(t, []string{"kubelet-paths/kubelets-verified was not done"}, none.NotStock())
}

func TestAStockClusterFailsTheCheckOfVerificationAlone(t *testing.T) {
	stock := map[string]string{Verified: Failed, "kubelet-paths/rogue-stranger": Skipped, "kubelet-paths/logs": Passed}
	assert.Empty(t, Outcome{Code: 1, Verdicts: stock}.NotStock())
	stock["kubelet-paths/logs"] = Failed
	assert.Equal(t, []string{"kubelet-paths/logs failed, and not passed"}, Outcome{Code: 1, Verdicts: stock}.NotStock())
}

func TestAClusterThatIsStillHardenedIsNotTakenForAStockOne(t *testing.T) {
	o := Outcome{Verdicts: map[string]string{Verified: Passed, "kubelet-paths/rogue-stranger": Skipped}}
	assert.Equal(t, []string{
		"the program ended with code 0, and not 1",
		"kubelet-paths/kubelets-verified passed, and not failed",
	}, o.NotStock())
}
