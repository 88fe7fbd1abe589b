package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/control"
	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/proxy"
)

// sshProxy carries what this control plane's apiserver dials.
func sshProxy(ctx context.Context, log *slog.Logger, file string) error {
	config, key, err := readFiles(file, ssh.ClientKeyName, ssh.ParseProxyConfig)
	if err != nil {
		return err
	}
	inherited, err := inheritedSockets()
	if err != nil {
		return err
	}
	running := proxy.New(proxy.Options{Config: config, Key: key, Limits: proxy.DefaultLimits(), Log: log})
	group, ctx := errgroup.WithContext(ctx)
	stopped := running.Start(ctx)
	defer stopped()
	for _, listener := range inherited.serving {
		group.Go(func() error { return running.Serve(ctx, listener) })
	}
	group.Go(func() error {
		return control.Serve(ctx, inherited.control, func(files control.Files) error {
			config, key, err := parseFiles(files, ssh.ParseProxyConfig)
			if err == nil {
				running.Reload(config, key)
			}
			return err
		})
	})
	go serveHealth(ctx, log, ssh.ProxyHealthPort, running.Handler())
	go watchNodesForEver(ctx, log, config, running)
	log.Info("carrying what the apiserver dials", "version", version, "nodes", len(config.Nodes),
		"key", ssh.Fingerprint(key.PublicKey()))
	notifyReady(ctx, log)
	return group.Wait()
}

// nodesRetry is how long to wait after what only an apply may mend.
const nodesRetry = time.Minute

// watchNodesForEver has the proxy know of nodes what the API tells. Without the API, the proxy serves those that it knows: the
// apiserver may well come later than its proxy, and a token that isn't valid is for an apply to mend.
func watchNodesForEver(ctx context.Context, log *slog.Logger, config ssh.ProxyConfig, to *proxy.Proxy) {
	account := account{config.Server, config.ServerName, config.Namespace, config.ServiceAccount}
	for ctx.Err() == nil {
		err := watchNodes(ctx, log, account, to)
		if ctx.Err() != nil {
			return
		}
		log.Error("watching nodes: " + err.Error())
		to.SetAPIError(err)
		select {
		case <-ctx.Done():
		case <-time.After(nodesRetry):
		}
	}
}

// watchNodes returns when it can't go on.
func watchNodes(ctx context.Context, log *slog.Logger, account account, to *proxy.Proxy) error {
	client, err := newClient(account, filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), caCredential), addNodes)
	if err != nil {
		return err
	}
	identity, err := newIdentity(client, account, log)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	client.unknown = func(err error) { end(unknownToken(err)) }
	go func() { end(identity.keepFresh(ctx)) }()
	client.tellNodes(ctx, to.SetNodes)
	return context.Cause(ctx)
}
