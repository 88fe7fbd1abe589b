package helper

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func compressed(t *testing.T, content string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, err := writer.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return buffer.Bytes()
}

func TestAProgramComesAsItWasBeforeItWasCompressedAndWithItsDigest(t *testing.T) {
	p := newPrograms(fstest.MapFS{"kubecomm-node-linux-arm64.gz": {Data: compressed(t, "a program")}})
	require.True(t, p.Any())
	for range 2 {
		program, err := p.For("arm64")
		require.NoError(t, err)
		digest := sha256.Sum256([]byte("a program"))
		require.Equal(t, Program{Data: []byte("a program"), SHA256: hex.EncodeToString(digest[:])}, program)
	}
	_, err := p.For("amd64")
	require.ErrorIs(t, err, ErrNotCarried)
	require.ErrorContains(t, err, "amd64")
}

func TestABuildWithoutProgramsSaysSo(t *testing.T) {
	p := newPrograms(fstest.MapFS{"README.md": {Data: []byte("none")}})
	require.False(t, p.Any())
	_, err := p.For("amd64")
	require.ErrorIs(t, err, ErrNotCarried)
}

func TestAProgramThatIsNoneIsAnErrorOfItsOwn(t *testing.T) {
	p := newPrograms(fstest.MapFS{"kubecomm-node-linux-amd64.gz": {Data: []byte("half")}})
	_, err := p.For("amd64")
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrNotCarried)
}

func TestWhatThisBuildCarriesCanBeAskedFor(t *testing.T) {
	for _, architecture := range []string{"amd64", "arm64"} {
		program, err := Carried().For(architecture)
		if err != nil { // a build without `make helper`
			require.ErrorIs(t, err, ErrNotCarried)
			continue
		}
		require.Equal(t, "\x7fELF", string(program.Data[:4]))
	}
}
