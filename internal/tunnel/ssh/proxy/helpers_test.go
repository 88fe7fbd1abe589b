package proxy_test

import "strings"

func contains(l *logs, text string) bool { return strings.Contains(l.String(), text) }

func count(l *logs, text string) int { return strings.Count(l.String(), text) }
