package pki

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestABundleIsReadAsAWholeOrRefused(t *testing.T) {
	ca, other := newTestCA(t), newTestCA(t)
	one, two, key := string(EncodeBundle(ca.Certificate)), string(EncodeBundle(other.Certificate)), string(ca.Key.Reveal())
	lines := strings.SplitAfter(one, "\n")
	without := func(i int) string { return strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "") }
	last := len(lines) - 2 // before what follows the last line's end
	spoiled := func(block string) string { return strings.Replace(block, "\nM", "\n!", 1) }
	tests := map[string]struct {
		text   string
		refuse string // empty: both are read, or the first alone
	}{
		"a certificate":                        {one, ""},
		"two certificates":                     {one + two, ""},
		"lines that end as Windows has it":     {strings.ReplaceAll(one+two, "\n", "\r\n"), ""},
		"blank lines around":                   {"\n \n" + one + "\n\n" + two + "\n \n", ""},
		"comments around":                      {"# our CAs\n" + one + "# the next\n" + two + "# the end\n", ""},
		"OpenSSL's text before":                {"Certificate:\n    Data:\n        Version: 3 (0x2)\n" + one, ""},
		"OpenSSL's text before both":           {"Certificate:\n    Data:\n" + one + "Certificate:\n    Data:\n" + two, ""},
		"nothing":                              {"", "it holds no certificate"},
		"comments alone":                       {"# none\n", "it holds no certificate"},
		"text alone":                           {"garbage", "not a PEM file of certificates"},
		"text at the end":                      {one + "garbage\n", "not a PEM file of certificates"},
		"base64 at the end":                    {one + lines[1], "not a PEM file of certificates"},
		"a first block that isn't base64":      {spoiled(one) + two, "PEM block 1 is damaged"},
		"a second block that isn't base64":     {one + spoiled(two), "PEM block 2 is damaged"},
		"a second of three that isn't base64":  {one + spoiled(two) + one, "PEM block 2 is damaged"},
		"an only block that isn't base64":      {spoiled(one), "PEM block 1 is damaged"},
		"a block without its first line":       {without(0) + two, "PEM block 1 is damaged"},
		"a block without its last line":        {without(last) + two, "PEM block 1 is damaged"},
		"an only block without its last line":  {without(last), "PEM block 1 is damaged"},
		"an only block without its first line": {without(0), "PEM block 1 is damaged"},
		"a first line twice":                   {lines[0] + one, "PEM block 1 is damaged"},
		"two files in a row without a newline": {strings.TrimSpace(one) + two, "PEM block 1 is damaged"},
		"an indented block":                    {one + "  " + strings.ReplaceAll(strings.TrimSpace(two), "\n", "\n  "), "PEM block 2 is damaged"},
		"a mark before the first letter":       {"\ufeff" + one, "PEM block 1 is damaged"},
		"a first line with another type":       {strings.Replace(one, "BEGIN CERT", "BEGIN X509 CERT", 1) + two, "PEM block 1 is damaged"},
		"a damaged key":                        {spoiled(key) + one, "PEM block 1 is damaged"},
		"a key":                                {key + one, `a PEM block of type "PRIVATE KEY"`},
		"a key at the end":                     {one + key, `a PEM block of type "PRIVATE KEY"`},
		"a block that Kubernetes passes over": {
			string(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Headers: map[string]string{"a": "b"}, Bytes: ca.Certificate.Raw})),
			"PEM block 1 has headers",
		},
		"a certificate that is none": {
			one + string(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: []byte("none")})), "certificate 2: x509",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := ParseBundle([]byte(test.text))
			if test.refuse != "" {
				require.ErrorContains(t, err, test.refuse)
				require.Empty(t, found)
				require.NotContains(t, err.Error(), keyLine(ca.Key), "an error text must hold no key")
				require.NotContains(t, err.Error(), "BEGIN")
				return
			}
			require.NoError(t, err)
			want := []*x509.Certificate{ca.Certificate, other.Certificate}[:strings.Count(test.text, "BEGIN")]
			require.Equal(t, want, found)
		})
	}
}
