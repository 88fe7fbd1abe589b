package main

import "strings"

// call is what matters of runc's command line.
type call struct {
	command string
	bundle  string
	process string
}

// globalsWithValue are runc's global flags that take a value (runc v1.1
// main.go and v1.3 main.go); the command is the first word after them.
var globalsWithValue = map[string]bool{
	"log": true, "log-format": true, "root": true, "criu": true, "rootless": true,
}

// switches are the flags of create, run, restore and exec that take no value
// (runc v1.1 and v1.3: create.go, run.go, restore.go, exec.go). Words after the
// first that is neither a flag nor a flag's value are the container's own.
var switches = map[string]bool{
	"no-pivot": true, "no-new-keyring": true, "detach": true, "d": true,
	"no-subreaper": true, "keep": true, "tty": true, "t": true,
	"no-new-privs": true, "ignore-paused": true, "tcp-established": true,
	"ext-unix-sk": true, "shell-job": true, "file-locks": true,
	"auto-dedup": true, "lazy-pages": true,
}

// parse finds the command, and for it the bundle (by default the working
// directory, as in runc) and the process file.
func parse(args []string) call {
	c := call{bundle: "."}
	i := 0
	for ; i < len(args); i++ {
		name, inline := flagName(args[i])
		if name == "" {
			c.command = args[i]
			break
		}
		if globalsWithValue[name] && !inline {
			i++
		}
	}
	for i++; i < len(args); i++ {
		name, inline := flagName(args[i])
		if name == "" {
			break
		}
		if switches[name] {
			continue
		}
		value := ""
		if inline {
			_, value, _ = strings.Cut(args[i], "=")
		} else if i+1 < len(args) {
			i++
			value = args[i]
		}
		switch name {
		case "b", "bundle":
			c.bundle = value
		case "p", "process":
			c.process = value
		}
	}
	return c
}

func flagName(arg string) (name string, inline bool) {
	if !strings.HasPrefix(arg, "-") || arg == "-" || arg == "--" {
		return "", false
	}
	name, _, inline = strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return name, inline
}
