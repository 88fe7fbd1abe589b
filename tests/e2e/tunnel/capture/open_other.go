//go:build !linux

package main

import "errors"

func open(string) (source, error) { return nil, errors.New("it runs on Linux, as nodes do") }
