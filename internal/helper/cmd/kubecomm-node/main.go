// Command kubecomm-node is what kubecomm runs on nodes. systemd starts it; the provider carries it and installs it.
//
//	kubecomm-node approve CONFIG
//
// approves what kubelets ask for, as internal/approver judges it, until it is told to end.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// version is set at build time.
var version = "dev"

const usage = "usage: kubecomm-node --version | kubecomm-node approve CONFIG"

func main() {
	shown := flag.Bool("version", false, "print the version and end")
	flag.Usage = func() { fmt.Fprintln(os.Stderr, usage) }
	flag.Parse()
	if *shown {
		fmt.Println(version)
		return
	}
	if flag.NArg() != 2 || flag.Arg(0) != "approve" {
		flag.Usage()
		os.Exit(2)
	}
	// systemd's journal adds the time.
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := approve(ctx, log, flag.Arg(1))
	stop()
	if err != nil {
		log.Error(err.Error())
		os.Exit(1)
	}
}
