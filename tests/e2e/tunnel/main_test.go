package tunnel

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"k8s.io/klog/v2"
)

// TestMain silences the Kubernetes libraries, which report every stream that a test ends as an error.
func TestMain(m *testing.M) {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	err := errors.Join(
		flags.Set("logtostderr", "false"), flags.Set("stderrthreshold", "FATAL"), flags.Set("log_file", os.DevNull))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}
