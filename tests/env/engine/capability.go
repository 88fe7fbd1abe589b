package engine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// capSysResource is CAP_SYS_RESOURCE's number in capability.h.
const capSysResource = 24

// lacksSysResource reports whether a process, and so none of its children, can
// have CAP_SYS_RESOURCE. Where that can not be read it is taken to have it.
func lacksSysResource(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
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
	return 0, fmt.Errorf("no CapBnd line in the status")
}
