// Command kubecomm-node is what kubecomm runs on nodes. systemd starts it; the provider carries it and installs it.
//
//	kubecomm-node approve CONFIG
//
// approves what kubelets ask for, as internal/approver judges it, until it is told to end.
//
//	kubecomm-node ssh-server CONFIG
//	kubecomm-node ssh-proxy CONFIG
//
// are the ends of SSH tunnels, as internal/tunnel/ssh says.
//
//	kubecomm-node ssh-reload SOCKET CONFIG KEY
//
// has one of them take other files up.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/kubecomm/terraform-provider-kubecomm/internal/tunnel/ssh/control"
)

// version is set at build time.
var version = "dev"

const usage = `usage: kubecomm-node --version
       kubecomm-node approve CONFIG
       kubecomm-node ssh-server CONFIG
       kubecomm-node ssh-proxy CONFIG
       kubecomm-node ssh-reload SOCKET CONFIG KEY`

type command func(ctx context.Context, log *slog.Logger, arguments []string) error

// withFile is a command whose only argument is a file.
func withFile(run func(ctx context.Context, log *slog.Logger, file string) error) command {
	return func(ctx context.Context, log *slog.Logger, arguments []string) error {
		return run(ctx, log, arguments[0])
	}
}

// commands are what the program does, with how many arguments.
var commands = map[string]struct {
	arguments int
	run       command
}{
	"approve":    {1, withFile(approve)},
	"ssh-server": {1, withFile(sshServer)},
	"ssh-proxy":  {1, withFile(sshProxy)},
	"ssh-reload": {3, func(ctx context.Context, _ *slog.Logger, arguments []string) error {
		return control.Reload(ctx, arguments[0], arguments[1], arguments[2])
	}},
}

func main() {
	shown := flag.Bool("version", false, "print the version and end")
	flag.Usage = func() { fmt.Fprintln(os.Stderr, usage) }
	flag.Parse()
	if *shown {
		fmt.Println(version)
		return
	}
	asked, known := commands[flag.Arg(0)]
	if !known || flag.NArg() != 1+asked.arguments {
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
	err := asked.run(ctx, log, flag.Args()[1:])
	stop()
	if err != nil {
		log.Error(err.Error())
		os.Exit(1)
	}
}
