package behaviour

import (
	"context"
	"io"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

func requestPairs() []Pair {
	return []Pair{{
		Setting: "apiserver.request_timeout",
		Shows:   "a request that takes longer is ended, one that takes less is served",
		Values:  Values{First: {"5s"}, Second: {"1m"}},
		Answers: Answers{First: "504 Gateway Timeout", Second: "201 Created"},
		ask:     sendSlowly,
	}}
}

// pause is longer than the shorter timeout.
const pause = 7 * time.Second

// sendSlowly declares an object with a pause in the middle. The object is never made.
func sendSlowly(ctx context.Context, lab *Lab) (string, error) {
	client, err := rest.HTTPClientFor(lab.admin)
	if err != nil {
		return "", err
	}
	defer client.CloseIdleConnections()
	body, writer := io.Pipe()
	defer body.Close()
	go func() {
		if _, err := io.WriteString(writer, `{"apiVersion":"v1","kind":"ConfigMap",`); err != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		_, err := io.WriteString(writer, `"metadata":{"name":"slow"}}`)
		_ = writer.CloseWithError(err)
	}()
	url := lab.admin.Host + "/api/v1/namespaces/" + strangers + "/configmaps?dryRun=All"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	return response.Status, nil
}
