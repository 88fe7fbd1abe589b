package tunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/cluster"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/tests/e2e/conformance/suite"
)

// program is one end of a tunnel as a node runs it.
type program struct {
	unit  string
	files []string // that root alone may open: keys and sockets
}

func sshPrograms(node suite.Node) []program {
	programs := []program{{ssh.ServerService, []string{ssh.ServerKey, ssh.ServerControl}}}
	if node.ControlPlane {
		programs = append(programs, program{
			ssh.ProxyService, []string{ssh.ProxyKey, ssh.ProxyToken, ssh.Socket, ssh.ProxyControl},
		})
	}
	return programs
}

func sshSandbox(ctx context.Context, s *suite.Subject, e *suite.Evidence) error {
	var problems []error
	for _, node := range s.Nodes {
		inside, err := s.Inside(node)
		if err != nil {
			return err
		}
		for _, each := range sshPrograms(node) {
			args := append([]string{"sh", "-c", sandboxScript, "sh", each.unit}, each.files...)
			output, err := inside.Run(ctx, cluster.Command{Args: args})
			if err == nil {
				e.Note("%s on node %s: %s", each.unit, node.Name, strings.Join(strings.Fields(string(output)), " "))
				err = each.problems(string(output))
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("%s on node %s: %w", each.unit, node.Name, err))
			}
		}
	}
	return errors.Join(problems...)
}

// sandboxScript prints what the kernel says of a unit's process, who is known to have its user's number, and the permissions, the
// owner and the kind of files.
const sandboxScript = `unit=$1; shift
pid=$(systemctl show --property=MainPID --value -- "$unit")
[ "${pid:-0}" -gt 0 ] || { echo "it doesn't run" >&2; exit 1; }
grep -E '^(Uid|Gid|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs):' "/proc/$pid/status" || exit 1
awk -F: -v uid="$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")" '$3 == uid { print "Known:", $1 }' /etc/passwd
for file; do stat --format 'File: %n %a %u %F' -- "$file" || exit 1; done`

// problems judge what the script printed.
func (p program) problems(output string) error {
	var problems []error
	demand := func(held bool, format string, args ...any) {
		if !held {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	told := map[string]bool{}
	for line := range strings.Lines(output) {
		name, rest, _ := strings.Cut(line, ":")
		values := strings.Fields(rest)
		told[name] = true
		switch name {
		case "Uid", "Gid": // real, effective, saved and of the file system
			demand(!slices.Contains(values, "0"), "it is root: %s %s", name, strings.Join(values, " "))
		case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
			demand(strings.Trim(strings.Join(values, ""), "0") == "", "it has capabilities: %s %s", name, strings.Join(values, " "))
		case "NoNewPrivs":
			demand(slices.Equal(values, []string{"1"}), "it may become more than it is: NoNewPrivs %s", strings.Join(values, " "))
		case "Known":
			demand(false, "it is user %s, who exists otherwise", strings.Join(values, " "))
		case "File":
			if len(values) < 4 {
				demand(false, "it isn't known who may open %s", strings.Join(values, " "))
				continue
			}
			told[values[0]] = true
			demand(values[1] == "600" && values[2] == "0", "%s has mode %s and owner %s, not 600 and root", values[0], values[1], values[2])
		}
	}
	needed := append([]string{"Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"}, p.files...)
	for _, name := range needed {
		demand(told[name], "nothing is known of %s", name)
	}
	return errors.Join(problems...)
}
