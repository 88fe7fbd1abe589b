package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	cryptossh "golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/control"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/server"
)

// sshServer forwards to what is on this node.
func sshServer(ctx context.Context, log *slog.Logger, file string) error {
	config, key, err := readFiles(file, ssh.HostKeyName, ssh.ParseServerConfig)
	if err != nil {
		return err
	}
	inherited, err := inheritedSockets()
	if err != nil {
		return err
	}
	running, err := server.New(server.Options{Config: config, HostKey: key, Limits: server.DefaultLimits(), Log: log})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return running.Serve(ctx, inherited.serving...) })
	group.Go(func() error {
		return control.Serve(ctx, inherited.control, func(files control.Files) error {
			config, key, err := parseFiles(files, ssh.ParseServerConfig)
			if err != nil {
				return err
			}
			return running.Reload(config, key)
		})
	})
	go serveHealth(ctx, log, ssh.ServerHealthPort, running.Handler())
	log.Info("forwarding", "version", version, "node", config.Node, "hostKey", ssh.Fingerprint(key.PublicKey()))
	notifyReady(ctx, log)
	return group.Wait()
}

// readFiles reads a configuration and the key that systemd passes on with it.
func readFiles[T any](file, keyCredential string, parse func([]byte) (T, error)) (T, cryptossh.Signer, error) {
	var files control.Files
	var none T
	var err error
	if files.Config, err = os.ReadFile(file); err != nil {
		return none, nil, err
	}
	keyFile := filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), keyCredential)
	if files.Key, err = os.ReadFile(keyFile); err != nil { //nolint:gosec // systemd says where
		return none, nil, err
	}
	config, key, err := parseFiles(files, parse)
	if err != nil {
		return none, nil, fmt.Errorf("%s and %s: %w", file, keyFile, err)
	}
	return config, key, nil
}

func parseFiles[T any](files control.Files, parse func([]byte) (T, error)) (T, cryptossh.Signer, error) {
	config, err := parse(files.Config)
	if err != nil {
		return config, nil, err
	}
	key, err := ssh.ParseKey(files.Key)
	if err != nil {
		return config, nil, fmt.Errorf("the key: %w", err)
	}
	return config, key, nil
}
