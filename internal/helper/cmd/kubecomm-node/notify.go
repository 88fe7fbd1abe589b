package main

import (
	"context"
	"log/slog"
	"net"
	"os"
)

// notifyReady tells systemd that the program does what it is for, in the way of sd_notify(3). Without systemd it does nothing.
func notifyReady(ctx context.Context, log *slog.Logger) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unixgram", socket)
	if err == nil {
		_, err = conn.Write([]byte("READY=1"))
		_ = conn.Close()
	}
	if err != nil {
		log.Error("telling systemd: " + err.Error())
	}
}
