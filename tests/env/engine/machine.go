package engine

import (
	"os"
	"os/exec"
	"runtime"
)

// machine is what decides how an engine is had.
type machine struct {
	linux, debian, root bool
	// dockerd: the daemon's program is installed.
	dockerd bool
	// systemd runs this machine.
	systemd    bool
	dockerHost string
}

func look() machine {
	_, err := lookPath("dockerd")
	// systemd(1), sd_booted(3): the folder exists where systemd is the init.
	_, booted := os.Stat("/run/systemd/system")
	return machine{
		linux:      runtime.GOOS == "linux",
		debian:     fileContains("/etc/os-release", "ID=debian"),
		root:       os.Geteuid() == 0,
		dockerd:    err == nil,
		systemd:    booted == nil,
		dockerHost: os.Getenv("DOCKER_HOST"),
	}
}

// lookPath also looks where Debian puts programs for root, which is not on
// every user's PATH.
func lookPath(program string) (string, error) {
	p, err := exec.LookPath(program)
	if err == nil {
		return p, nil
	}
	for _, dir := range []string{"/usr/local/sbin/", "/usr/sbin/", "/sbin/"} {
		if _, statErr := os.Stat(dir + program); statErr == nil {
			return dir + program, nil
		}
	}
	return "", err
}
