package faults

import "testing"

func (s *suite) refused(t *testing.T) {}
func (s *suite) faulty(t *testing.T) {}
