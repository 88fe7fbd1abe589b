package program

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The verdicts of checks.
const (
	Passed  = "passed"
	Failed  = "failed"
	Skipped = "skipped"
)

// Verified is the check that tells a hardened cluster from a stock one.
const Verified = "kubelet-paths/kubelets-verified"

// leftOut are checks that are skipped where the machine lacks what they need, and only there: an image with Kubernetes' Python
// library, and a browser; and one that waits for minutes, and wasn't asked for.
var leftOut = []string{"in-pod/python-client", "outside/browser", "in-pod/token-renewal"}

// HardenedFlags have everything checked of a cluster that is hardened as the profile baseline says. The images are as LoadClients
// returned them.
func HardenedFlags(images ...string) []string {
	return append([]string{"-profile", "baseline", "-destructive"}, images...)
}

// NotHardened says what a run with HardenedFlags found that it finds on no hardened cluster. What is skipped proves nothing, and
// counts, unless what it needs may be lacking or the profile says nothing of it.
func (o Outcome) NotHardened() []string {
	wrong := o.ended(0)
	for _, id := range slices.Sorted(maps.Keys(o.Verdicts)) {
		may := slices.Contains(leftOut, id) || strings.HasPrefix(id, "control-plane/declared-") ||
			// The profile has no tunnel.
			strings.HasPrefix(id, "tunnel/konnectivity-") || strings.HasPrefix(id, "tunnel/ssh-")
		if verdict := o.Verdicts[id]; verdict != Passed && (verdict != Skipped || !may) {
			wrong = append(wrong, o.told(id))
		}
	}
	return append(wrong, o.lacks(Verified)...)
}

// StockFlags have the paths to kubelets checked as if the cluster were hardened. A thousand execs tell nothing more of it.
func StockFlags() []string {
	return []string{"-profile", "baseline", "-labels", "area=kubelet-paths", "-skip-labels", "id=kubelet-paths/thousand-execs"}
}

// NotStock says what a run with StockFlags found that it finds on no stock cluster: all paths serve there, and nobody verifies
// kubelets.
func (o Outcome) NotStock() []string {
	wrong := o.ended(1)
	for _, id := range slices.Sorted(maps.Keys(o.Verdicts)) {
		want := Passed
		switch id {
		case Verified:
			want = Failed
		case "kubelet-paths/rogue-stranger", "kubelet-paths/rogue-neighbour": // destructive
			want = Skipped
		}
		if o.Verdicts[id] != want {
			wrong = append(wrong, fmt.Sprintf("%s, and not %s", o.told(id), want))
		}
	}
	return append(wrong, o.lacks(Verified)...)
}

func (o Outcome) ended(want int) []string {
	if o.Code == want {
		return nil
	}
	return []string{fmt.Sprintf("the program ended with code %d, and not %d", o.Code, want)}
}

func (o Outcome) lacks(id string) []string {
	if _, done := o.Verdicts[id]; done {
		return nil
	}
	return []string{id + " was not done"}
}

func (o Outcome) told(id string) string {
	told := id + " " + o.Verdicts[id]
	if o.Reasons[id] != "" {
		told += " (" + o.Reasons[id] + ")"
	}
	return told
}

// Count is how many checks have a verdict.
func (o Outcome) Count(verdict string) int {
	n := 0
	for _, found := range o.Verdicts {
		if found == verdict {
			n++
		}
	}
	return n
}
