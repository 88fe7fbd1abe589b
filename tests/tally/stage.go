package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// stage is what one stage of `make test` came to.
type stage struct {
	name     string
	ran      bool
	tests    bool // the stage runs tests, and is not a mere check as lint is
	took     time.Duration
	count    count
	failures []string
}

// readStage reads NAME.exit ("exit-code seconds") and, where the stage ran tests, NAME.json.
func readStage(dir, name string) (stage, error) {
	s := stage{name: name}

	status, err := os.ReadFile(filepath.Join(dir, name+".exit"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	var code, seconds int
	if _, err := fmt.Sscan(string(status), &code, &seconds); err != nil {
		return s, fmt.Errorf("%s.exit: %q is not an exit code and seconds: %w", name, status, err)
	}
	s.ran = true
	s.took = time.Duration(seconds) * time.Second

	stream, err := os.Open(filepath.Join(dir, name+".json"))
	switch {
	case err == nil:
		defer stream.Close()
		s.tests = true
		if s.count, s.failures, err = countTests(stream); err != nil {
			s.fail(fmt.Sprintf("its results are incomplete: %v", err))
		}
	case !errors.Is(err, fs.ErrNotExist):
		return s, err
	}

	switch {
	case code != 0 && s.count.failed == 0:
		s.fail(fmt.Sprintf("exit code %d", code))
	case s.tests && s.count == count{}:
		s.fail("no test ran")
	}
	return s, nil
}

func (s *stage) fail(why string) {
	s.count.failed++
	s.failures = append(s.failures, why)
}

// String is the stage's row of the table.
func (s stage) String() string {
	switch {
	case !s.ran:
		return fmt.Sprintf("%-16s not run", s.name)
	case !s.tests && s.count.failed == 0:
		return fmt.Sprintf("%-16s%8s%26s", s.name, "ok", s.took)
	}
	return fmt.Sprintf("%-16s%8d%8d%8d%10s", s.name, s.count.passed, s.count.failed, s.count.skipped, s.took)
}
