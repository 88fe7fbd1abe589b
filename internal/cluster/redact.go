package cluster

import "regexp"

// secrets are what kubeadm, kubelets and engines may print that opens a door.
var secrets = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	// A block without its end is one that was cut off.
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`),
		"(private key)"},
	// The same in base64, as kubeconfigs hold it: "LS0tLS1CRUdJTi" is "-----BEGIN".
	{regexp.MustCompile(`(client-key-data["']?: *["']?)[A-Za-z0-9+/=]+`), "${1}(private key)"},
	{regexp.MustCompile(`(--certificate-key[ =]|certificateKey["']?: *["']?)[0-9a-fA-F]{32,}`), "${1}(certificate key)"},
	{regexp.MustCompile(`://[^/\s:@]+:[^/\s@]+@`), "://(credentials)@"},
	{regexp.MustCompile(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b`), "(bootstrap token)"},
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`), "(token)"},
}

// Redact takes keys and tokens out of text that goes into an error, a log or a report.
func Redact(text string) string {
	for _, secret := range secrets {
		text = secret.pattern.ReplaceAllString(text, secret.replacement)
	}
	return text
}
