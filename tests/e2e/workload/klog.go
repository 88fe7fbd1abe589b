package workload

import (
	"errors"
	"flag"
	"os"

	"k8s.io/klog/v2"
)

// MuteKlog silences the Kubernetes libraries, which report every stream that a client ends as an error. A test framework that logs
// through them is silenced as well.
func MuteKlog() error {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	return errors.Join(
		flags.Set("logtostderr", "false"), flags.Set("stderrthreshold", "FATAL"), flags.Set("log_file", os.DevNull))
}
