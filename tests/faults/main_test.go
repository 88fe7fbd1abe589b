// Package faults proves on a live cluster that what goes wrong during an apply does no harm: the provider is killed at
// every point of its plan, nodes and the engine fail under it, settings that don't work are declared. A client from
// outside asks the API all the time, and none of its requests may fail.
//
// KUBECOMM_FAULTS says how much of it is run: `all`, or what is chosen for a day, such as 2026-11-22 or `today`. A day's
// choice takes a few minutes, is printed, and changes with the date so that every case has its turn, in as many days as the
// README says; those with several control planes are run with `all` alone. Single cases are run with KUBECOMM_FAULTS=all and
// go test's -run.
package faults

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// wholeRun ends when it is interrupted: the cluster is taken down then, and no other is created.
var wholeRun context.Context

func TestMain(m *testing.M) {
	if text, isApplier := os.LookupEnv(orderVariable); isApplier {
		os.Exit(carryOut(text))
	}
	var stop context.CancelFunc
	wholeRun, stop = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := m.Run()
	stop()
	os.Exit(code)
}

func TestAClusterServesWhateverGoesWrongDuringAnApply(t *testing.T) {
	s := newSuite(t, 1)
	t.Run("the provider is killed", s.killed)
	t.Run("a setting doesn't work", s.refused)
	t.Run("a node or the engine fails", s.faulty)
}

// TestSeveralControlPlanesServeWhateverGoesWrongDuringAnApply is no part of a day's choice, because its cluster alone takes
// minutes to create.
func TestSeveralControlPlanesServeWhateverGoesWrongDuringAnApply(t *testing.T) {
	s := newSuite(t, 3)
	if !s.choice.all || s.choice.part > 1 { // of the parts of all, the first has it
		t.Skipf("%s has no case with several control planes", s.choice)
	}
	s.several(t)
}
