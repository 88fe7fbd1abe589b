package engine

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestAKilledProcessDoesNotRunEvenWhileItKeepsItsName(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("there is no /proc here")
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	deadline := time.Now().Add(10 * time.Second)
	for !runs(pid, "sleep") {
		if time.Now().After(deadline) {
			t.Fatal("a live process is not seen")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if runs(pid, "dockerd") {
		t.Error("a process of another name is taken for dockerd")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for runs(pid, "sleep") {
		if time.Now().After(deadline) {
			t.Fatal("a killed process is taken for a live one")
		}
		time.Sleep(10 * time.Millisecond)
	}
	// Nobody has asked for its exit status yet: the kernel still has its name.
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
		t.Errorf("the process is gone, so this proves nothing: %v", err)
	}
	_ = cmd.Wait()
}
