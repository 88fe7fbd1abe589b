package apply

import (
	"context"
	"crypto/sha256"
	_ "embed" // the unit
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/approver"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/helper"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/settings"
)

// The approver of what kubelets request, on each control plane. It has no file that a swap of the apiserver or kubeadm knows.
const (
	approverFolder  = stateFolder + "/approver"
	approverConfig  = approverFolder + "/config.json"
	approverCA      = approverFolder + "/ca.crt"
	approverToken   = approverFolder + "/token"
	approverUnit    = "kubecomm-approver.service"
	approverUnitAt  = "/etc/systemd/system/" + approverUnit
	approverState   = "kubecomm-approver" // of its own, under /var/lib/private, where it keeps the token that it renewed
	helperFolder    = "/opt/kubecomm"
	approverProgram = helperFolder + "/kubecomm-node"
)

//go:embed kubecomm-approver.service
var approverUnitText []byte

const programMode = 0o755

// architectures are Go's names for those that `uname --machine` tells of.
var architectures = map[string]string{"x86_64": "amd64", "aarch64": "arm64"}

// approverFiles are those of an approver on a control plane that hold no secret, by where they go. The program is among
// them if this build of the provider carries it.
func approverFiles(ctx context.Context, target Target, node Node, machine string) (map[string]cluster.File, error) {
	config := approver.Config{
		Server:     "https://127.0.0.1:" + realInstance(ctx, node).port, // its own, which traffic rules leave alone
		ServerName: serverName,
		Namespace:  approverNamespace, ServiceAccount: approver.Name, Instance: node.Name(), Nodes: approver.Nodes{},
	}
	for _, each := range target.Nodes {
		config.Nodes[each.Name()] = each.Addresses()
	}
	admin, err := target.Admin(ctx)
	if err != nil {
		return nil, err
	}
	files := map[string]cluster.File{
		approverConfig: {Data: config.Encode(), Mode: privateMode},
		approverCA:     {Data: admin.CAData, Mode: publicMode},
		approverUnitAt: {Data: approverUnitText, Mode: publicMode},
	}
	program, err := helper.Carried().For(architectures[machine])
	if errors.Is(err, helper.ErrNotCarried) {
		return files, nil
	}
	files[approverProgram] = cluster.File{Data: program.Data, Mode: programMode}
	return files, err
}

// ApproverObservation is how a control plane's approver was found.
type ApproverObservation struct {
	Machine string // what the node is, as `uname --machine` tells
	Present bool   // there is anything of it
	Active  bool   // it runs and sees requests
	SHA256  string // of the installed program; empty if there is none
	Problem error  // why it isn't as an apply would leave it; nil if it is
}

// approverScript prints what systemd says of the unit, how the program is called that runs, and of each file that there is
// its digest and when it was changed.
const approverScript = `unit=$1; shift
echo "machine=$(uname --machine)"
systemctl show --timestamp=unix "$unit" \
  --property ActiveState,UnitFileState,DropInPaths,NeedDaemonReload,MainPID,ExecMainStartTimestamp
pid=$(systemctl show --property MainPID --value "$unit")
echo "runs=$(readlink "/proc/$pid/exe")"
for file; do
  [ ! -f "$file" ] || echo "file $(stat -L -c '%a %Y' -- "$file") $(sha256sum <"$file" | cut -d ' ' -f 1) $file"
done`

// foundFile is a file of an approver's.
type foundFile struct {
	mode    uint32
	changed int64 // in seconds since 1970
	digest  string
}

func observeApprover(ctx context.Context, target Target, node Node) (ApproverObservation, error) {
	output, err := node.Run(ctx, cluster.Command{Args: []string{
		"sh", "-c", approverScript, "sh", approverUnit,
		approverProgram, approverUnitAt, approverConfig, approverCA, approverToken,
	}})
	if err != nil {
		return ApproverObservation{}, fmt.Errorf("looking at the approver on node %s: %w", node.Name(), err)
	}
	properties, files, err := parseApprover(string(output))
	if err != nil {
		return ApproverObservation{}, fmt.Errorf("looking at the approver on node %s: %w", node.Name(), err)
	}
	observed := ApproverObservation{
		Machine: properties["machine"],
		Present: len(files) > 0, SHA256: files[approverProgram].digest, Active: properties["ActiveState"] == "active",
	}
	want, err := approverFiles(ctx, target, node, properties["machine"])
	if err != nil {
		return observed, err
	}
	observed.Problem = approverProblem(properties, files, want)
	return observed, nil
}

func parseApprover(output string) (map[string]string, map[string]foundFile, error) {
	properties, files := map[string]string{}, map[string]foundFile{}
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		if text, isFile := strings.CutPrefix(line, "file "); isFile {
			var file foundFile
			var path string
			if _, err := fmt.Sscanf(text, "%o %d %s %s", &file.mode, &file.changed, &file.digest, &path); err != nil {
				return nil, nil, fmt.Errorf("%q: %w", line, err)
			}
			files[path] = file
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		properties[name] = value
	}
	return properties, files, nil
}

// approverProblem compares what was found with what is to be there.
func approverProblem(properties map[string]string, files map[string]foundFile, want map[string]cluster.File) error {
	if len(files) == 0 {
		return errors.New("it isn't installed")
	}
	var start int64
	_, _ = fmt.Sscanf(properties["ExecMainStartTimestamp"], "@%d", &start) // none where it never ran
	for _, path := range []string{approverProgram, approverUnitAt, approverConfig, approverCA} {
		found, there := files[path]
		wanted, known := want[path]
		digest := sha256.Sum256(wanted.Data)
		switch {
		case !there:
			return fmt.Errorf("%s is missing", path)
		case !known: // a program that this build doesn't carry
		case found.digest != hex.EncodeToString(digest[:]):
			return fmt.Errorf("%s is another than what it should be", path)
		case found.mode != uint32(wanted.Mode.Perm()):
			return fmt.Errorf("%s has permissions %o, not %o", path, found.mode, wanted.Mode.Perm())
		}
	}
	token, there := files[approverToken]
	switch {
	case !there:
		return fmt.Errorf("%s is missing", approverToken)
	case token.mode != uint32(privateMode):
		return fmt.Errorf("%s has permissions %o, not %o", approverToken, token.mode, privateMode)
	case properties["DropInPaths"] != "":
		return fmt.Errorf("its unit is changed by %s", properties["DropInPaths"])
	case properties["NeedDaemonReload"] == "yes":
		return errors.New("its unit was changed after systemd had read it")
	case properties["UnitFileState"] != "enabled":
		return fmt.Errorf("its unit is %s, so that it won't start with the node", properties["UnitFileState"])
	case properties["ActiveState"] != "active":
		return fmt.Errorf("it doesn't work: its unit is %s", properties["ActiveState"])
	case properties["runs"] != approverProgram:
		return fmt.Errorf("it runs %s", properties["runs"])
	}
	for path, file := range files {
		if file.changed > start {
			return fmt.Errorf("%s was changed after it started", path)
		}
	}
	return nil
}

// CheckProgram returns helper.ErrNotCarried, wrapped, if the settings need a program on nodes that this build of the
// provider doesn't carry for them. Without an observation it looks whether it carries any.
func CheckProgram(observed *Observation, want settings.Settings) error {
	switch {
	case !asksFor(want):
		return nil
	case observed == nil && !helper.Carried().Any():
		return helper.ErrNotCarried
	case observed == nil:
		return nil
	}
	for _, node := range observed.Nodes {
		if node.APIServer == nil {
			continue
		}
		if _, err := helper.Carried().For(architectures[node.Approver.Machine]); err != nil {
			return fmt.Errorf("node %s is a machine of type %s: %w", node.Name, node.Approver.Machine, err)
		}
	}
	return nil
}
