package engine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// capSysResource is CAP_SYS_RESOURCE's number in capability.h.
const capSysResource = 24

// lacksSysResource reports whether no process of this machine can have
// CAP_SYS_RESOURCE. A machine that does not say, such as one that is not Linux,
// is taken for one that lacks nothing.
func lacksSysResource() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	set, err := boundingSet(string(status))
	return err == nil && set&(1<<capSysResource) == 0
}

// boundingSet reads the bounding set from the text of /proc/PID/status (proc(5)).
func boundingSet(status string) (uint64, error) {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			return strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return 0, fmt.Errorf("no CapBnd line in /proc/self/status")
}
