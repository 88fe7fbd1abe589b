package control_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/control"
)

func TestFilesAreHandedOverAndWhetherTheyWereTakenUpIsTold(t *testing.T) {
	folder := t.TempDir()
	socket, config, key := filepath.Join(folder, "s"), filepath.Join(folder, "config.json"), filepath.Join(folder, "key")
	require.NoError(t, os.WriteFile(config, []byte("a configuration"), 0o600))
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	taken := make(chan control.Files, 8)
	var refusal atomic.Pointer[string]
	ended := make(chan error, 1)
	go func() {
		ended <- control.Serve(ctx, listener, func(files control.Files) error {
			taken <- files
			if text := refusal.Load(); text != nil {
				return errors.New(*text)
			}
			return nil
		})
	}()

	err = control.Reload(ctx, socket, config, key)
	require.ErrorIs(t, err, os.ErrNotExist, "nothing is handed over where a file is missing")
	require.Empty(t, taken)

	require.NoError(t, os.WriteFile(key, []byte("a secret"), 0o600))
	require.NoError(t, control.Reload(ctx, socket, config, key))
	require.Equal(t, control.Files{Config: []byte("a configuration"), Key: []byte("a secret")}, <-taken)

	text := "it is no configuration"
	refusal.Store(&text)
	err = control.Reload(ctx, socket, config, key)
	require.EqualError(t, err, config+" was not taken up: it is no configuration")
	<-taken

	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	answer, err := client.Get("http://localhost/reload")
	require.NoError(t, err)
	_ = answer.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, answer.StatusCode)
	require.Empty(t, taken)

	cancel()
	require.NoError(t, <-ended)
	require.ErrorContains(t, control.Reload(t.Context(), socket, config, key), "handing "+config+" over")
}
