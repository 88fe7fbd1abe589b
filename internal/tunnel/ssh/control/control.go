// Package control is how root has a running server or proxy take up other files. A credential of systemd's stays what it was
// when the program started, and the program is nobody who could read the file; so root reads it, and hands it over by a
// socket of its own. It is told whether it was taken up.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	path      = "/reload"
	sizeLimit = 16 << 20
	timeLimit = 20 * time.Second
)

// Files are what is handed over.
type Files struct {
	Config []byte `json:"config"`
	Key    []byte `json:"key"`
}

// Serve hands what comes to take until the context ends.
func Serve(ctx context.Context, listener net.Listener, take func(Files) error) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		var files Files
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, sizeLimit)).Decode(&files)
		if err == nil {
			err = take(files)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		}
	})
	server := &http.Server{
		Handler: mux, ReadTimeout: timeLimit, WriteTimeout: timeLimit, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); ctx.Err() == nil {
		return fmt.Errorf("waiting for other files at %s: %w", listener.Addr(), err)
	}
	return nil
}

// Reload reads files and hands them over. Its errors hold nothing of them.
func Reload(ctx context.Context, socket, configFile, keyFile string) error {
	var files Files
	var problems [2]error
	files.Config, problems[0] = os.ReadFile(configFile)
	files.Key, problems[1] = os.ReadFile(keyFile)
	if err := errors.Join(problems[:]...); err != nil {
		return err
	}
	body, err := json.Marshal(files)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: timeLimit, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("handing %s over by %s: %w", configFile, socket, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		return fmt.Errorf("%s was not taken up: %s", configFile, strings.TrimSpace(string(reason)))
	}
	return nil
}
