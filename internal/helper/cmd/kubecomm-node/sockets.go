package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh"
)

// sockets are what systemd listens at in a program's place, so that who has them need not be root.
type sockets struct {
	serving []net.Listener
	control net.Listener // by which root hands other files over
}

func inheritedSockets() (sockets, error) {
	var found sockets
	for _, file := range activation.Files(true) {
		listener, err := net.FileListener(file)
		_ = file.Close()
		if err != nil {
			return sockets{}, fmt.Errorf("taking socket %s over: %w", file.Name(), err)
		}
		address := listener.Addr()
		if address.Network() == "unix" && filepath.Base(address.String()) == ssh.ControlSocket {
			found.control = listener
			continue
		}
		found.serving = append(found.serving, listener)
	}
	if len(found.serving) == 0 || found.control == nil {
		return sockets{}, errors.New("systemd has passed on no sockets: the program is started by its unit")
	}
	return found, nil
}

const (
	healthLimit = 10 * time.Second
	healthRetry = 10 * time.Second
)

// serveHealth answers at a port of the loopback address. That somebody has it is no reason not to do what matters.
func serveHealth(ctx context.Context, log *slog.Logger, port int, handler http.Handler) {
	server := &http.Server{
		Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Handler: handler,
		ReadTimeout: healthLimit, WriteTimeout: healthLimit, IdleTimeout: time.Minute,
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	for ctx.Err() == nil {
		err := server.ListenAndServe()
		if ctx.Err() == nil {
			log.Error("telling of health: " + err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(healthRetry):
		}
	}
}
